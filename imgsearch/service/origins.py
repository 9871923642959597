"""Checks of a request's host name and origin.

If a user's browser can reach the service, a page of another site in that browser could post to it.
The page could also read from it through a name that resolves to this machine (DNS rebinding). A
service without keys has no other protection against these attacks.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from imgsearch.errors import ConfigError
from imgsearch.service.problems import HttpProblem

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


class Origins:
    """ASGI middleware that rejects unknown host names, and cross-origin writes.

    `hosts` are the accepted host names, None for any. `cors` are the other origins that may write.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] | None, cors: Collection[str]
    ) -> None:
        self._app, self._hosts, self._cors = app, hosts, frozenset(cors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            host = headers.get(b"host", b"").decode("latin-1")
            if self._hosts is not None and _name(host) not in self._hosts:
                raise HttpProblem(
                    421, "host_refused", "This service does not accept that host name."
                )
            origin = headers.get(b"origin", b"").decode("latin-1")
            writes = scope["type"] == "websocket" or scope["method"] not in _SAFE
            if origin and writes and not self._known(origin, host):
                raise HttpProblem(403, "origin_refused", "Pages of that origin may not write here.")
        await self._app(scope, receive, send)

    def _known(self, origin: str, host: str) -> bool:
        return origin in self._cors or origin.partition("://")[2].lower() == host.lower()


def checked(origins: Collection[str]) -> tuple[str, ...]:
    """Check origins and return them as a tuple.

    Raises:
        ConfigError: one is not an origin, for example "*".
    """
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin:
            raise ConfigError(
                f"{origin!r} is not an origin. Name each origin, e.g. https://photos.example.org."
            )
    return tuple(origins)


def _name(host: str) -> str:
    """Return the host name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
