"""Authorization by API keys with scopes, and rate limits."""

import hashlib
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Annotated, Any, Final, TypeAlias

from anyio import CapacityLimiter, move_on_after, to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from imgsearch.archive import KeyRow
from imgsearch.archive.access import Keys, RateLimit, Scope, caller
from imgsearch.archive.limited import denied
from imgsearch.errors import AccessDenied, CatalogError
from imgsearch.service.parameters import only_known
from imgsearch.service.problems import HttpProblem

# Every request looks up its key. If the catalog does not respond within `_PATIENCE` seconds, a key
# that was valid within the last `_TRUSTED` seconds is accepted. Requests for job progress, which is
# in memory, therefore do not wait for the catalog.
_PATIENCE: Final = 0.1
_TRUSTED: Final = 5.0
_MOST: Final = 1_024  # keys in the cache
_CHECKS: Final = 8  # threads for checks only, because checks wait for the catalog

_Mark: TypeAlias = tuple[bytes, str]  # sha256 of a secret, scope
_BEARER: Final = HTTPBearer(auto_error=False, description="An API key.")
_HEADER: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key.")


class Access:
    """Checks API keys and the rate limit. If `keys` is None, no key is needed."""

    def __init__(self, keys: Keys | None, *, per_minute: int) -> None:
        self._keys = keys
        self._rate = RateLimit(per_minute) if per_minute else None
        self._trusted: OrderedDict[_Mark, tuple[float, KeyRow]] = OrderedDict()
        self._threads: CapacityLimiter | None = None

    @property
    def open(self) -> bool:
        """Whether requests need no key."""
        return self._keys is None

    async def admit(self, secret: str | None, scope: Scope, address: str) -> KeyRow | None:
        """Check a request's key and rate. Returns the key, None if no key is needed.

        Raises:
            AccessDenied: a key is needed, and the request has none or an unknown one.
            ScopeMissing: the key does not have `scope`.
            HttpProblem: 429, too many requests with this key or from this address.
        """
        if self._keys is None:
            self._count(caller(address))
            return None
        if not secret:
            self._count(caller(address))
            raise AccessDenied("the request has no API key")
        mark = (hashlib.sha256(secret.encode()).digest(), scope)
        trusted = self._trusted.get(mark)
        if trusted is not None and time.monotonic() < trusted[0]:
            row = trusted[1]
            with suppress(CatalogError), move_on_after(_PATIENCE):
                row = await self._check(self._keys, secret, scope, mark)
        else:
            self._count(caller(address))  # limits the guesses of a key per address
            row = await self._check(self._keys, secret, scope, mark)
        self._count(mark[0].hex())
        return row

    async def _check(self, keys: Keys, secret: str, scope: Scope, mark: _Mark) -> KeyRow:
        """Check a key in the catalog; cache a valid key, and drop an invalid one from the cache."""
        if self._threads is None:
            self._threads = CapacityLimiter(_CHECKS)
        try:
            row = await to_thread.run_sync(
                keys.check, secret, scope, limiter=self._threads, abandon_on_cancel=True
            )
        except AccessDenied:
            self._trusted.pop(mark, None)
            raise
        self._trusted[mark] = time.monotonic() + _TRUSTED, row
        self._trusted.move_to_end(mark)
        while len(self._trusted) > _MOST:
            self._trusted.popitem(last=False)
        return row

    def _count(self, requester: str) -> None:
        if self._rate is not None and (seconds := self._rate.wait(requester)):
            raise HttpProblem(429, "rate_exceeded", "Too many requests.", retry=seconds)


def allowed(scope: Scope, *, limited: bool = False) -> Any:
    """Return a dependency that requires a key with `scope`: "read", "write" or "admin".

    A key that is limited to collections is refused unless `limited` is True. Such a route uses
    `Here` for all that it reads and writes, because its archive and jobs refuse other collections.
    The dependency also rejects query parameters that the route does not declare.
    """

    async def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        header: Annotated[str | None, Depends(_HEADER)],
    ) -> None:
        secret = bearer.credentials if bearer is not None else header
        address = request.client.host if request.client else ""
        access: Access = request.app.state.service.access
        key = await access.admit(secret, scope, address)
        if key is not None:
            request.state.key_id = key.id  # for the access log
            if key.collections is not None and not limited:
                raise denied(key.collections, "all collections")
            request.state.collections = key.collections
        await only_known(request)

    return Depends(check)


def collections_of(request: Request) -> tuple[str, ...] | None:
    """Return the collections to which the request's key is limited, None without a limit."""
    collections: tuple[str, ...] | None = getattr(request.state, "collections", None)
    return collections
