"""Downloads URLs from allowed hosts, within limits."""

import re
import ssl
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO, Final

from imgsearch.errors import ConfigError, MissingExtra, UrlFailed, UrlRefused
from imgsearch.images.urls.addresses import Address, Guard, Resolver, resolve
from imgsearch.images.urls.target import PORTS, Target

if TYPE_CHECKING:
    import httpcore

_MOVED: Final = (301, 302, 303, 307, 308)
_UNPRIVILEGED: Final = 1_024  # lower ports have mail, shells and other text protocols
_OVERHEAD: Final = 1 << 18  # bytes besides the content: headers, TLS, chunk sizes


@dataclass(frozen=True, slots=True)
class UrlLimits:
    """Limits of the download of a URL.

    `seconds` limits the total time from the name lookup to the last byte, and `connect_seconds` the
    time to connect. If `ports` is empty, 80, 443 and ports from 1,024 are allowed.

    Raises:
        ConfigError: a limit is not positive, or `redirects` is negative.
    """

    max_bytes: int = 32 * 1024**2
    seconds: float = 20.0
    connect_seconds: float = 5.0
    redirects: int = 5
    ports: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.seconds, self.connect_seconds) <= 0 or self.redirects < 0:
            raise ConfigError("limits of URLs must be positive numbers")

    def allows(self, port: int) -> bool:
        """Return whether requests to `port` are allowed."""
        if self.ports:
            return port in self.ports
        return port in PORTS.values() or port >= _UNPRIVILEGED


@dataclass(frozen=True, slots=True)
class Fetched:
    """The downloaded content, the URL after redirects, and the server's media type, or ""."""

    data: bytes = field(repr=False)
    url: str
    media_type: str


def fetch(
    url: str,
    *,
    limits: UrlLimits | None = None,
    allow: Collection[str] = (),
    resolver: Resolver = resolve,
    trust: ssl.SSLContext | None = None,
) -> Fetched:
    """Download an http or https URL, with a GET request for each redirect.

    Hosts must be public or in `allow`, which has names, addresses and networks. `trust` replaces
    the certificate authorities of the system. Messages have no addresses, and do not reveal if a
    name is unknown or not public.

    Raises:
        UrlRefused: the URL or a redirect is not allowed, or the content is too large.
        UrlFailed: the request failed or timed out.
        ConfigError: an item of `allow` is not a host, address or network.
        MissingExtra: httpx is not installed.
    """
    guard = Guard.parse(allow)
    return _Download(Target.parse(url), limits or UrlLimits(), guard, resolver, trust).run()


def save(url: str, file: BinaryIO, *, limits: UrlLimits, allow: Collection[str] = ()) -> None:
    """Download a URL into a file, as `fetch` does, without holding it in memory.

    Raises: as for `fetch`.
    """
    _Download(Target.parse(url), limits, Guard.parse(allow), resolve, None).save(file)


_GENEROUS: Final = UrlLimits(max_bytes=256 * 1024**2, seconds=60.0)  # for a user's own list


def fetcher(hosts: Collection[str], limits: UrlLimits | None = None) -> Callable[[str], bytes]:
    """Return a function that downloads an image by its URL, and raises the errors of `fetch`.

    `hosts` are names, addresses and networks that are allowed besides public ones.

    Without `limits` an image may have 256 MB and take 60 s.

    Raises:
        ConfigError: an item of `hosts` is not a host, address or network.
    """
    Guard.parse(hosts)
    limits = limits or _GENEROUS

    def fetch_data(url: str) -> bytes:
        return fetch(url, limits=limits, allow=hosts).data

    return fetch_data


class _Download:
    """A download that follows redirects."""

    def __init__(
        self,
        start: Target,
        limits: UrlLimits,
        guard: Guard,
        resolver: Resolver,
        trust: ssl.SSLContext | None,
    ) -> None:
        self._name, self._target = start.redacted(), start
        self._limits, self._guard, self._resolver = limits, guard, resolver
        self._trust = trust
        self._deadline = monotonic() + limits.seconds

    def run(self) -> Fetched:
        with self._response() as response:
            return self._content(response)

    def save(self, file: BinaryIO) -> None:
        with self._response() as response:
            file.writelines(self._chunks(response))

    @contextmanager
    def _response(self) -> "Iterator[httpcore.Response]":
        """Yield the response after redirects."""
        for _ in range(self._limits.redirects + 1):
            with self._request() as response:
                if response.status not in _MOVED:
                    yield response
                    return
                self._target = self._next(response)
        raise self._refused(f"redirects more than {self._limits.redirects} times")

    @contextmanager
    def _request(self) -> "Iterator[httpcore.Response]":
        """Send a request and yield its response; translate errors of httpcore."""
        try:
            import httpcore

            from imgsearch.images.urls.connection import Pinned
        except ImportError as error:
            raise MissingExtra(
                f"fetching URLs needs {error.name}", extra="client", name=error.name
            ) from error
        pinned = Pinned(
            self._addresses(),
            deadline=self._deadline,
            seconds=self._limits.connect_seconds,
            most=2 * self._limits.max_bytes + _OVERHEAD,
        )
        try:
            with (
                httpcore.ConnectionPool(self._context(), network_backend=pinned) as pool,
                pool.stream("GET", self._url(), headers=self._headers()) as response,
            ):
                yield response
        except httpcore.TimeoutException as error:
            raise self._failed("no response in time") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise self._failed(_reason(error)) from error

    def _addresses(self) -> list[Address]:
        target = self._target
        if not self._limits.allows(target.port):
            raise self._refused(f"port {target.port} is not allowed")
        results: SimpleQueue[list[str]] = SimpleQueue()
        lookup = Thread(
            target=lambda: results.put(list(self._resolver(target.host, target.port))), daemon=True
        )  # a thread, because the system's resolver has no deadline
        lookup.start()
        try:
            texts = results.get(timeout=max(0.0, self._deadline - monotonic()))
        except Empty as error:
            raise self._failed("no response in time") from error
        addresses = self._guard.allowed(target.host, texts)
        if not addresses:
            raise self._refused("its host has no public address")
        return addresses

    def _context(self) -> ssl.SSLContext | None:
        if self._target.scheme == "https" and self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust

    def _url(self) -> "httpcore.URL":
        import httpcore

        target = self._target
        return httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )

    def _headers(self) -> dict[bytes | str, bytes | str]:
        return {
            "Host": self._target.authority,
            "User-Agent": "imgsearch",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }

    def _next(self, response: "httpcore.Response") -> Target:
        try:
            return self._target.redirect(_header(response, b"location").decode())
        except (UrlRefused, UnicodeDecodeError) as error:
            raise self._refused("redirects to a URL that is not allowed") from error

    def _content(self, response: "httpcore.Response") -> Fetched:
        data = b"".join(self._chunks(response))
        text = _header(response, b"content-type").partition(b";")[0].decode("latin-1").strip()
        media_type = text.lower() if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", text) else ""
        return Fetched(data, str(self._target), media_type)

    def _chunks(self, response: "httpcore.Response") -> Iterator[bytes]:
        """Yield the content, up to the limit."""
        if response.status != 200:
            raise self._failed(f"the server responds {response.status}")
        if _header(response, b"content-encoding").lower() not in (b"", b"identity"):
            raise self._failed("the server compresses its response unrequested")
        most = self._limits.max_bytes
        if int(_header(response, b"content-length") or 0) > most:  # h11 checks for digits
            raise self._refused(f"more than {most:,} bytes")
        size = 0
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > most:
                raise self._refused(f"more than {most:,} bytes")
            yield chunk

    def _refused(self, reason: str) -> UrlRefused:
        return UrlRefused(f"{self._name}: {reason}", path=self._name)

    def _failed(self, reason: str) -> UrlFailed:
        return UrlFailed(f"{self._name}: {reason}", path=self._name)


def _header(response: "httpcore.Response", name: bytes) -> bytes:
    """Return the last value of a header. Returns b"" if it is missing."""
    return {key.lower(): value for key, value in response.headers}.get(name, b"")


def _reason(error: Exception) -> str:
    """Describe a network error without the system's text, which may have an address."""
    import httpcore

    from imgsearch.images.urls.connection import Untrusted

    if isinstance(error, Untrusted):
        return "its certificate is not trusted"
    if isinstance(error, httpcore.ConnectError):
        return "cannot be reached"
    if isinstance(error, httpcore.ProtocolError):
        return "its response is invalid HTTP"
    return "the connection broke off"
