"""The bytes that a URL names, within limits, from hosts that may be asked."""

import re
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from imgsearch.errors import ConfigError, MissingExtra, UrlFailed, UrlRefused
from imgsearch.images.urls.addresses import Address, Guard, Resolver, resolve
from imgsearch.images.urls.target import PORTS, Target

if TYPE_CHECKING:
    import httpcore

_MOVED: Final = (301, 302, 303, 307, 308)
_UNPRIVILEGED: Final = 1_024  # below are mail, shells and what else answers to a line of text
_OVERHEAD: Final = 1 << 18  # bytes beside the content: headers, TLS, the sizes of chunks


@dataclass(frozen=True, slots=True)
class UrlLimits:
    """How much of the network one URL may take.

    `seconds` are for everything from the look for the host to the last byte, `connect_seconds`
    for a connection. `ports` are those allowed; none given: 80, 443 and those from 1,024 on.

    Raises:
        ConfigError: a limit is not positive, or there are to be fewer than 0 redirects.
    """

    max_bytes: int = 32 * 1024**2
    seconds: float = 20.0
    connect_seconds: float = 5.0
    redirects: int = 5
    ports: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.seconds, self.connect_seconds) <= 0 or self.redirects < 0:
            raise ConfigError("limits for URLs are positive numbers")

    def allows(self, port: int) -> bool:
        """Tell whether a server at `port` may be asked."""
        if self.ports:
            return port in self.ports
        return port in PORTS.values() or port >= _UNPRIVILEGED


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: `url` is where it lay in the end, `media_type` what the server says of it."""

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
    """Return the bytes that an http or https URL names, by one GET for each redirect.

    Hosts are asked on the public internet only, and those in `allow`: names, addresses, networks.
    `trust` replaces the certificate authorities of the system. Messages hold no address, and do
    not tell a name that is not known from one that is not public.

    Raises:
        UrlRefused: the URL, or what it redirects to, must not be fetched, or is too large.
        UrlFailed: no such answer in time.
        ConfigError: something in `allow` is no host, address or network.
        MissingExtra: httpx is not installed.
    """
    guard = Guard.parse(allow)
    return _Walk(Target.parse(url), limits or UrlLimits(), guard, resolver, trust).to_end()


class _Walk:
    """From a URL to its content, redirect by redirect."""

    def __init__(
        self,
        start: Target,
        limits: UrlLimits,
        guard: Guard,
        resolver: Resolver,
        trust: ssl.SSLContext | None,
    ) -> None:
        self._name, self._place = start.shown(), start
        self._limits, self._guard, self._resolver = limits, guard, resolver
        self._trust = trust
        self._deadline = monotonic() + limits.seconds

    def to_end(self) -> Fetched:
        for _ in range(self._limits.redirects + 1):
            with self._answer() as answer:
                if answer.status not in _MOVED:
                    return self._content(answer)
                self._place = self._next(answer)
        raise self._refused(f"redirects more than {self._limits.redirects} times")

    @contextmanager
    def _answer(self) -> "Iterator[httpcore.Response]":
        """Yield the server's answer; translate what httpcore raises while it is read, too."""
        try:
            import httpcore

            from imgsearch.images.urls.connection import Pinned
        except ImportError as error:
            raise MissingExtra(
                f"fetching URLs needs {error.name}", extra="service", name=error.name
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
                pool.stream("GET", self._wire(), headers=self._headers()) as answer,
            ):
                yield answer
        except httpcore.TimeoutException as error:
            raise self._failed("no answer in time") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise self._failed(_reason(error)) from error

    def _addresses(self) -> list[Address]:
        place = self._place
        if not self._limits.allows(place.port):
            raise self._refused(f"port {place.port} is not one to fetch images from")
        found: SimpleQueue[list[str]] = SimpleQueue()
        asking = Thread(
            target=lambda: found.put(list(self._resolver(place.host, place.port))), daemon=True
        )  # the system's resolver takes no deadline
        asking.start()
        try:
            told = found.get(timeout=max(0.0, self._deadline - monotonic()))
        except Empty as error:
            raise self._failed("no answer in time") from error
        addresses = self._guard.accepted(place.host, told)
        if not addresses:
            raise self._refused("its host has no public address")
        return addresses

    def _context(self) -> ssl.SSLContext | None:
        if self._place.scheme == "https" and self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust

    def _wire(self) -> "httpcore.URL":
        import httpcore

        place = self._place
        return httpcore.URL(
            scheme=place.scheme, host=place.host, port=place.port, target=place.path
        )

    def _headers(self) -> dict[bytes | str, bytes | str]:
        return {
            "Host": self._place.authority,
            "User-Agent": "imgsearch",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }

    def _next(self, answer: "httpcore.Response") -> Target:
        try:
            return self._place.following(_header(answer, b"location").decode())
        except (UrlRefused, UnicodeDecodeError) as error:
            raise self._refused("redirects to what must not be fetched") from error

    def _content(self, answer: "httpcore.Response") -> Fetched:
        if answer.status != 200:
            raise self._failed(f"the server answers {answer.status}")
        if _header(answer, b"content-encoding").lower() not in (b"", b"identity"):
            raise self._failed("the server packs its answer, unasked")
        most = self._limits.max_bytes
        if int(_header(answer, b"content-length") or 0) > most:  # h11 has seen that it is digits
            raise self._refused(f"more than {most:,} bytes")
        data = bytearray()
        for chunk in answer.iter_stream():
            data += chunk
            if len(data) > most:
                raise self._refused(f"more than {most:,} bytes")
        told = _header(answer, b"content-type").partition(b";")[0].decode("latin-1").strip()
        media_type = told.lower() if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", told) else ""
        return Fetched(bytes(data), str(self._place), media_type)

    def _refused(self, why: str) -> UrlRefused:
        return UrlRefused(f"{self._name}: {why}", path=self._name)

    def _failed(self, why: str) -> UrlFailed:
        return UrlFailed(f"{self._name}: {why}", path=self._name)


def _header(answer: "httpcore.Response", name: bytes) -> bytes:
    """Return a header's value, the last one's if it comes again, b"" without it."""
    return {key.lower(): value for key, value in answer.headers}.get(name, b"")


def _reason(error: Exception) -> str:
    """Return a network error in words of our own: the system's may hold an address."""
    import httpcore

    from imgsearch.images.urls.connection import Untrusted

    if isinstance(error, Untrusted):
        return "its certificate is not trusted"
    if isinstance(error, httpcore.ConnectError):
        return "cannot be reached"
    if isinstance(error, httpcore.ProtocolError):
        return "its answer is no proper HTTP"
    return "the connection broke off"
