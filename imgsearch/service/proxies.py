"""Proxies before the service: what they say of a request counts, and nobody else's word does."""

from collections.abc import Collection
from ipaddress import ip_network
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from imgsearch.errors import ConfigError

_HOST: Final = b"x-forwarded-host"


class Proxies:
    """ASGI middleware: takes scheme, client and host from X-Forwarded-Proto, -For and -Host.

    Only requests from `networks` may have them. They are removed from
    all requests, because Gradio would believe anybody's.
    """

    def __init__(self, app: ASGIApp, *, networks: list[str]) -> None:
        self._app = app
        self._forwarded = ProxyHeadersMiddleware(cast(Any, self._hosted), networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        client = scope.get("client")
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif client and client[0] in self._forwarded.trusted_hosts:
            await self._forwarded(cast(Any, scope), cast(Any, receive), cast(Any, send))
        else:
            await self._app(_stripped(scope), receive, send)

    async def _hosted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a proxy's request with the host that its client asked for."""
        named = [value for name, value in scope["headers"] if name == _HOST]
        plain = _stripped(scope)
        if named and (host := named[0].partition(b",")[0].strip()):
            others = [pair for pair in plain["headers"] if pair[0] != b"host"]
            plain["headers"] = [(b"host", host), *others]
        await self._app(plain, receive, send)


def networks(addresses: Collection[str]) -> list[str]:
    """Return addresses and networks as networks.

    Raises:
        ConfigError: one is neither.
    """
    try:
        return [str(ip_network(each, strict=False)) for each in addresses]
    except ValueError as error:
        raise ConfigError(f"a proxy has an address or network as 10.0.0.0/8: {error}") from error


def _stripped(scope: Scope) -> Scope:
    headers = [
        pair
        for pair in scope["headers"]
        if not pair[0].startswith((b"x-forwarded-", b"forwarded", b"x-gradio-server"))
    ]
    return {**scope, "headers": headers}
