"""Support for trusted reverse proxies and their X-Forwarded-* headers.

uvicorn's own middleware reads X-Forwarded-Proto and -For. It ignores X-Forwarded-Host, and leaves
the headers of untrusted clients in the request.
"""

from collections.abc import Collection
from ipaddress import ip_network
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from imgsearch.errors import ConfigError

_HOST: Final = b"x-forwarded-host"


class Proxies:
    """ASGI middleware that takes scheme, client and host from X-Forwarded-Proto, -For and -Host.

    The headers are used only in requests from `networks`. They are removed from every request,
    because Gradio would trust them from any client.
    """

    def __init__(self, app: ASGIApp, *, networks: list[str]) -> None:
        self._app = app
        self._forwarded = ProxyHeadersMiddleware(cast(Any, self._hosted), networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        client = scope.get("client")
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif client and client[0] in self._forwarded.trusted_hosts:
            await self._forwarded(cast(Any, scope), cast(Any, receive), cast(Any, send))
        else:
            await self._app(_stripped(scope), receive, send)

    async def _hosted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a proxy's request with the client's original host."""
        hosts = [value for name, value in scope["headers"] if name == _HOST]
        stripped = _stripped(scope)
        if hosts and (host := hosts[0].partition(b",")[0].strip()):
            others = [pair for pair in stripped["headers"] if pair[0] != b"host"]
            stripped["headers"] = [(b"host", host), *others]
        await self._app(stripped, receive, send)


def networks(addresses: Collection[str]) -> list[str]:
    """Return addresses and networks in network notation: 10.0.0.1 becomes 10.0.0.1/32.

    Raises:
        ConfigError: one is neither an address nor a network.
    """
    try:
        return [str(ip_network(address, strict=False)) for address in addresses]
    except ValueError as error:
        raise ConfigError(
            f"a proxy is named by its address or network, e.g. 10.0.0.0/8: {error}"
        ) from error


def _stripped(scope: Scope) -> Scope:
    headers = [
        pair
        for pair in scope["headers"]
        if not pair[0].startswith((b"x-forwarded-", b"forwarded", b"x-gradio-server"))
    ]
    return {**scope, "headers": headers}
