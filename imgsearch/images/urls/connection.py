"""Connections to checked addresses, within a deadline, with httpcore.

httpcore handles no proxies, cookies, redirects or compression by itself.
"""

import ssl
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

import httpcore
from typing_extensions import override

from imgsearch.images.urls.addresses import Address


class Untrusted(httpcore.ConnectError):
    """The server's certificate has an unknown authority, or belongs to another host."""


class Pinned(httpcore.NetworkBackend):
    """Connects to one of `addresses` instead of the requested host.

    `deadline` is a time of `monotonic`, and `seconds` limits the time to connect. At most `most`
    bytes are read from the network.
    """

    def __init__(
        self, addresses: Sequence[Address], *, deadline: float, seconds: float, most: int
    ) -> None:
        self._addresses, self._deadline = addresses, deadline
        self._seconds, self._most = seconds, most
        self._network = httpcore.SyncBackend()

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        until = min(monotonic() + self._seconds, self._deadline)
        failure: Exception = httpcore.ConnectTimeout()
        for index, address in enumerate(self._addresses):
            left = until - monotonic()
            if left <= 0:
                break
            share = left / (len(self._addresses) - index)  # leaves time for other addresses
            try:
                stream = self._network.connect_tcp(str(address), port, timeout=share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _Timed(stream, self._deadline, self._most)
        raise failure


class _Timed(httpcore.NetworkStream):
    """A stream whose reads and writes fail after the deadline, even if chunks still arrive."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float, most: int) -> None:
        self._inner, self._deadline, self._most = inner, deadline, most

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, timeout=self._left())
        self._most -= len(data)
        if self._most < 0:  # tiny chunks, or endless interim responses
            raise httpcore.ReadError
        return data

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout=self._left())

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._left()
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, timeout=left)
        except httpcore.ConnectError as error:  # httpcore 1.0 drops the cause later
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise Untrusted from error
            raise
        return _Timed(inner, self._deadline, self._most)

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _left(self) -> float:
        left = self._deadline - monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left
