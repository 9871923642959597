"""Who may do what: keys with scopes, and how often somebody may ask."""

import hashlib
import hmac
import math
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final, Literal, TypeAlias, get_args

from imgsearch.catalog import Catalog, KeyRow
from imgsearch.errors import AccessDenied, ConfigError, ScopeMissing

Scope: TypeAlias = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""From least to most; each allows what those before it do."""

_SECRET: Final = re.compile(r"img_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_LONGEST_NAME: Final = 128  # letters
_NOTED: Final = timedelta(minutes=1)  # a write for each request would cost more than a search
_ROUNDING: Final = 1e-6  # of a token: who waits as told must not be too early
_MOST_CALLERS: Final = 10_000  # some 2 MB


def _now() -> datetime:
    return datetime.now(UTC)


class Keys:
    """The keys of a service. A secret is ``img_ID_`` and 256 random bits, and is shown once.

    The catalogue keeps its sha256: a slow hash protects secrets that can be guessed, and nobody
    guesses 256 bits, while each request would pay for it.
    """

    def __init__(self, catalog: Catalog, *, clock: Callable[[], datetime] = _now) -> None:
        self._catalog, self._clock = catalog, clock

    def create(
        self, name: str, scopes: Collection[Scope], *, expires: datetime | None = None
    ) -> tuple[KeyRow, str]:
        """Make a key, and return it with its secret, which nobody can read again.

        Raises:
            ConfigError: no name of 1 to 128 printable letters, no scope or an unknown one, or a
                time that is over or has no zone.
        """
        now = self._clock()
        if not (0 < len(name.strip()) <= _LONGEST_NAME and name.isprintable()):
            raise ConfigError(f"a key's name has 1 to {_LONGEST_NAME} printable letters")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise ConfigError(f"a key's scopes are some of {', '.join(SCOPES)}")
        if expires is not None and (expires.utcoffset() is None or expires <= now):
            raise ConfigError("a key expires at a time to come, with its zone")
        id_ = secrets.token_hex(6)
        secret = f"img_{id_}_{secrets.token_urlsafe(32)}"
        ordered = tuple(scope for scope in SCOPES if scope in scopes)
        row = KeyRow(
            id=id_,
            digest=_digest(secret),
            scopes=ordered,
            name=name,
            created=now,
            last_used=None,
            expires=expires,
        )
        self._catalog.save_key(row)
        return row, secret

    def check(self, secret: str | None, scope: Scope) -> KeyRow:
        """Return the key that a secret belongs to, if it allows `scope`.

        That it was used is noted, at most once a minute.

        Raises:
            AccessDenied: there is no secret, or no such key, or it has expired.
            ScopeMissing: the key is a lesser one.
        """
        if not secret:
            raise AccessDenied("this needs a key")
        row = self._of(secret)
        now = self._clock()
        if row.expires is not None and row.expires <= now:
            raise AccessDenied("the key has expired")
        if not allows(row.scopes, scope):
            raise ScopeMissing(f"the key allows {', '.join(row.scopes)}; this needs {scope}")
        if row.last_used is None or now - row.last_used >= _NOTED:
            row = replace(row, last_used=now)
            self._catalog.key_used(row.id, now)
        return row

    def all(self) -> list[KeyRow]:
        """Return every key, the oldest first; expired ones, too."""
        return self._catalog.keys()

    def revoke(self, id_: str) -> None:
        """Take a key away, at once.

        Raises:
            AccessDenied: there is none of this id.
        """
        self._catalog.delete_key(id_)

    def _of(self, secret: str) -> KeyRow:
        """Return a secret's key; what is wrong with a secret is not told."""
        shape = _SECRET.fullmatch(secret)
        try:
            row = self._catalog.key(shape["id"]) if shape else None
        except AccessDenied:  # no key of that id
            row = None
        if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
            raise AccessDenied("the key is not known")
        return row


def allows(scopes: Collection[str], scope: Scope) -> bool:
    """Tell whether one of `scopes` is `scope`, or more than that."""
    enough = SCOPES[SCOPES.index(scope) :]
    return any(each in enough for each in scopes)


class RateLimit:
    """How often each caller may ask: a token bucket each, filled `per_minute`.

    A caller who was silent may ask `burst` times at once (by default as often as in ten seconds).
    Those who asked last are remembered, `most` of them; one who is forgotten begins anew.
    Thread-safe. `clock` tells seconds, and never goes back.

    Raises:
        ConfigError: a limit below 1.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        burst: int | None = None,
        most: int = _MOST_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = max(1, math.ceil(per_minute / 6)) if burst is None else burst
        if min(per_minute, self._burst, most) < 1:
            raise ConfigError("a limit on requests is at least 1")
        self._rate, self._most, self._clock = per_minute / 60, most, clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # caller → tokens, when

    def wait(self, caller: str) -> int:
        """Take one request of `caller`; 0: it may go on, else the seconds for Retry-After.

        A request that is refused takes nothing away.
        """
        with self._lock:
            now = self._clock()
            tokens, at = self._left.pop(caller, (float(self._burst), now))
            tokens = min(float(self._burst), tokens + (now - at) * self._rate)
            allowed = tokens >= 1 - _ROUNDING
            self._left[caller] = (tokens - allowed, now)
            if len(self._left) > self._most:
                self._left.popitem(last=False)
        return 0 if allowed else math.ceil((1 - tokens) / self._rate)


def caller(address: str) -> str:
    """Return whom an address belongs to: of IPv6 its first 64 bits, which one subscriber has.

    What is no address is returned as it is.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False))
    return str(found)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
