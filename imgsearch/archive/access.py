"""API keys with scopes, and rate limits."""

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
from imgsearch.types import check_name

Scope: TypeAlias = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""In ascending order. Each scope includes the scopes before it."""

_SECRET: Final = re.compile(r"img_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_MAX_NAME: Final = 128  # characters
_MOST_COLLECTIONS: Final = 1_000  # of a key
# minimum time between two writes of a key's last use; a write costs more than a search
_USE_INTERVAL: Final = timedelta(minutes=1)
_ROUNDING: Final = 1e-6  # tokens; a caller that waited for the Retry-After time is always allowed
_MAX_CALLERS: Final = 10_000  # about 2 MB


def _now() -> datetime:
    return datetime.now(UTC)


class Keys:
    """The API keys of a service. A secret is ``img_ID_`` and 256 random bits, returned only once.

    The catalog stores the secret's SHA-256. A slow hash would delay each request, and is needed
    only for secrets that can be guessed.
    """

    def __init__(self, catalog: Catalog, *, clock: Callable[[], datetime] = _now) -> None:
        self._catalog, self._clock = catalog, clock

    def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        expires: datetime | None = None,
        collections: Collection[str] | None = None,
    ) -> tuple[KeyRow, str]:
        """Create a key. Returns the key and its secret, which cannot be read again.

        `collections` are the only collections that the key may use; they need not exist yet. None
        sets no limit.

        Raises:
            ConfigError: the name does not have 1 to 128 printable characters; `scopes` is empty or
                contains an unknown scope; `expires` is in the past or has no time zone; or
                `collections` is empty, has more than 1,000 names or an invalid one.
        """
        now = self._clock()
        if not (0 < len(name.strip()) <= _MAX_NAME and name.isprintable()):
            raise ConfigError(
                f"key name {name[: _MAX_NAME + 1]!r} is invalid. "
                f"Use 1 to {_MAX_NAME} printable characters."
            )
        if not scopes or not set(scopes) <= set(SCOPES):
            raise ConfigError(
                f"scopes {sorted(scopes)} are invalid. Use one or more of {', '.join(SCOPES)}."
            )
        if expires is not None and (expires.utcoffset() is None or expires <= now):
            raise ConfigError(
                f"expiry {expires.isoformat()!r} is invalid: it is over or has no time zone. "
                "Pass a future time with its time zone."
            )
        if isinstance(collections, str):
            collections = (collections,)
        if collections is not None and not 0 < len(collections) <= _MOST_COLLECTIONS:
            raise ConfigError(
                f"a key cannot be limited to {len(collections)} collections. "
                f"Name 1 to {_MOST_COLLECTIONS:,}, or none for a key without a limit."
            )
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
            collections=None if collections is None else _names(collections),
        )
        self._catalog.save_key(row)
        return row, secret

    def check(self, secret: str | None, scope: Scope) -> KeyRow:
        """Return the key for a secret, and check that it allows `scope`.

        The time of the last use is saved at most once a minute.

        Raises:
            AccessDenied: the secret is missing or unknown, or its key has expired.
            ScopeMissing: the key does not allow `scope`.
        """
        if not secret:
            raise AccessDenied("a key is missing. Send one with the request.")
        row = self._find(secret)
        now = self._clock()
        if row.expires is not None and row.expires <= now:
            raise AccessDenied(f"the key expired at {row.expires.isoformat()}. Use another one.")
        if not allows(row.scopes, scope):
            raise ScopeMissing(
                f"the key allows {', '.join(row.scopes)}, and this needs {scope}. Use another one."
            )
        if row.last_used is None or now - row.last_used >= _USE_INTERVAL:
            row = replace(row, last_used=now)
            self._catalog.key_used(row.id, now)
        return row

    def all(self) -> list[KeyRow]:
        """Return all keys, oldest first, including expired keys."""
        return self._catalog.keys()

    def revoke(self, id_: str) -> None:
        """Delete a key. Effective immediately.

        Raises:
            AccessDenied: no key has this id.
        """
        self._catalog.delete_key(id_)

    def _find(self, secret: str) -> KeyRow:
        """Return the key for a secret.

        Raises:
            AccessDenied: the secret is wrong. The message does not reveal which part of it.
        """
        id_ = id_of(secret)
        try:
            row = self._catalog.key(id_) if id_ else None
        except AccessDenied:  # no key has this id
            row = None
        if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
            raise AccessDenied("the key is unknown. Check it, or create another one.")
        return row


def id_of(secret: str) -> str:
    """Return the id of the key with this secret, or "" if the text is not a secret."""
    shape = _SECRET.fullmatch(secret)
    return shape["id"] if shape else ""


def allows(scopes: Collection[str], scope: Scope) -> bool:
    """Return whether one of `scopes` includes `scope`."""
    enough = SCOPES[SCOPES.index(scope) :]
    return any(known in enough for known in scopes)


class RateLimit:
    """Limits each caller to `per_minute` requests a minute, with a token bucket. Thread-safe.

    An idle caller may send `burst` requests at once, by default the number for ten seconds. The
    `most` most recent callers are remembered; others start with a full bucket. `clock` is a
    monotonic clock that returns seconds.

    Raises:
        ConfigError: a limit is below 1.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        burst: int | None = None,
        most: int = _MAX_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = max(1, math.ceil(per_minute / 6)) if burst is None else burst
        if min(per_minute, self._burst, most) < 1:
            limits = f"{per_minute:g} requests a minute, bursts of {self._burst}, {most} callers"
            raise ConfigError(f"the rate limit is invalid: {limits}. Each number is at least 1.")
        self._rate, self._most, self._clock = per_minute / 60, most, clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # caller → tokens, when

    def wait(self, caller: str) -> int:
        """Count a request from `caller`. Returns 0 if it is allowed, otherwise seconds to wait.

        The seconds are for the Retry-After header. Rejected requests use no token.
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
    """Return the name under which `RateLimit` counts an IP address.

    For IPv6 this is the /64 network, because a subscriber usually has a whole /64. Text that is not
    an IP address is returned unchanged.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Network((ip, 64), strict=False))
    return str(ip)


def _names(collections: Collection[str]) -> tuple[str, ...]:
    """Return the names of collections, sorted, each once.

    Raises:
        ConfigError: a name is invalid.
    """
    return tuple(sorted({check_name(name) for name in collections}))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
