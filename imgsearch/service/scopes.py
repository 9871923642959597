"""Who may do what: API keys with scopes, and how often."""

import hashlib
import time
from collections import OrderedDict
from typing import Annotated, Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from imgsearch.access import Keys, RateLimit, Scope, caller
from imgsearch.errors import AccessDenied
from imgsearch.service.problems import Problem

# seconds that a key which was good stays so unasked; a revoked one ends as soon. Progress is then
# told from memory alone, however busy the catalogue is.
_TRUSTED: Final = 5.0
_MOST: Final = 1_024  # keys remembered
_CHECKS: Final = 8  # threads: checks wait for the catalogue, and must not take all others' threads

_BEARER: Final = HTTPBearer(auto_error=False, description="An API key.")
_HEADER: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key.")


class Access:
    """Admits requests: with a key of the right scope where `keys` are asked for, and in time."""

    def __init__(self, keys: Keys | None, *, per_minute: int) -> None:
        self._keys = keys
        self._rate = RateLimit(per_minute) if per_minute else None
        self._trusted: OrderedDict[tuple[bytes, str], float] = OrderedDict()
        self._threads: CapacityLimiter | None = None

    @property
    def open(self) -> bool:
        """Whether no keys are asked for."""
        return self._keys is None

    async def admit(self, secret: str | None, scope: Scope, address: str) -> None:
        """Let a request pass.

        Raises:
            AccessDenied: a key is wanted, and none was given, or one that is not known.
            ScopeMissing: the key does not have `scope`.
            Problem: 429, too many requests of that key, or from that address.
        """
        if self._keys is None:
            self._count(caller(address))
            return
        if not secret:
            self._count(caller(address))
            raise AccessDenied("an API key is wanted")
        mark = (hashlib.sha256(secret.encode()).digest(), scope)
        if time.monotonic() >= self._trusted.get(mark, 0.0):
            self._count(caller(address))  # who tries keys out is slowed down by where they are
            await self._checked(self._keys, secret, scope)
            self._trusted[mark] = time.monotonic() + _TRUSTED
            self._trusted.move_to_end(mark)
            while len(self._trusted) > _MOST:
                self._trusted.popitem(last=False)
        self._count(mark[0].hex())

    async def _checked(self, keys: Keys, secret: str, scope: Scope) -> None:
        if self._threads is None:
            self._threads = CapacityLimiter(_CHECKS)
        await to_thread.run_sync(keys.check, secret, scope, limiter=self._threads)

    def _count(self, who: str) -> None:
        if self._rate is not None and (seconds := self._rate.wait(who)):
            raise Problem(429, "rate_exceeded", "Too many requests.", retry=seconds)


def allowed(scope: Scope) -> Any:
    """Return the dependency that lets requests with `scope` pass: "read", "write" or "admin"."""

    async def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        header: Annotated[str | None, Depends(_HEADER)],
    ) -> None:
        secret = bearer.credentials if bearer is not None else header
        address = request.client.host if request.client else ""
        await request.app.state.service.access.admit(secret, scope, address)

    return Depends(check)
