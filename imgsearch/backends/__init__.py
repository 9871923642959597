"""Vector stores behind one contract: `connect(url)` opens one, once a process."""

import atexit
import re
import threading
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from imgsearch.arguments import check_access
from imgsearch.backends.base import Capabilities, VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.schema import Index, Metric, Schema
from imgsearch.backends.tencent.address import Options
from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.settings import quiet_grpc

# scheme → module, the drivers that it needs, the extra that brings them
_DRIVERS: Final = {
    "memory": ("memory", (), ""),
    "milvus-lite": ("milvus.backend", ("pymilvus", "milvus_lite"), ""),
    "milvus": ("milvus.backend", ("pymilvus",), ""),
    "milvus+https": ("milvus.backend", ("pymilvus",), ""),
    "tencent": ("tencent.backend", ("tcvectordb",), "tencent"),
    "tencent+https": ("tencent.backend", ("tcvectordb",), "tencent"),
    "tencent+grpc": ("tencent.backend", ("tcvectordb",), "tencent"),
    "tencent+grpcs": ("tencent.backend", ("tcvectordb",), "tencent"),
}
_PORTS: Final = {
    "milvus": 19530,
    "milvus+https": 443,
    "tencent": 80,
    "tencent+https": 443,
    "tencent+grpc": 80,
    "tencent+grpcs": 443,
}
_registered: dict[str, type[VectorBackend]] = {}
_open: dict[tuple[str, str | None], VectorBackend] = {}
_lock = threading.RLock()


def connect(
    url: str | PathLike[str], *, token: str | None = None, timeout: float = 10.0
) -> VectorBackend:
    """Open the store that `url` names, or share the one that this process already has open.

    ``photos.db`` or ``milvus-lite:///abs/photos.db``: an embedded Milvus, a folder of that name,
    created where it is not there (its parent too, but no further up: that would be a typing
    error). ``milvus://host:19530/database``, ``milvus+https://…``: a Milvus server; `token` is
    ``user:password`` or an API key. ``tencent://host:80/database`` (HTTP), ``tencent+grpc://…``,
    and with verified TLS ``tencent+https://…``, ``tencent+grpcs://…``: Tencent VectorDB; `token`
    is ``KEY`` or ``ACCOUNT:KEY``, and ``?shards=1&replicas=0&consistency=strong&ca=FILE`` may
    follow. ``memory://name``: exact search, kept until the process ends;
    ``memory://``: gone when it is closed. `timeout` is in seconds, a request to a server; the
    first to connect sets it. Without a token, a connection that was opened with one is shared, so
    that operators, which carry no secret, reach the store that a program opened.

    Raises:
        ConfigError: the token is not a text, or the timeout not a positive number; the URL has
            another scheme or holds a secret; or the store cannot exist: a missing folder, an
            unknown database (Milvus), a missing key (Tencent).
        MissingExtra: the store's driver is not installed.
        StoreLocked: another process has the file open.
        BackendUnavailable: nothing answers there, or Milvus refuses the token.
        BackendError: Tencent refuses the key.
    """
    check_access(token, timeout)
    url = canonical(url)
    key = url, token if urlsplit(url).scheme in _PORTS else None
    with _lock:
        backend = _open.get(key) or (_any(url) if token is None else None)
        if backend is None:
            backend = _open[key] = _driver(url)(url, token=token, timeout=timeout)
        backend._users += 1
        return backend


def register(scheme: str, backend: type[VectorBackend]) -> None:
    """Register your own store: `connect` opens ``SCHEME://…`` with it, in this process.

    `connect` calls the class with the URL, the token and the timeout; see `VectorBackend`. A later
    registration replaces an earlier one. `imgsearch.testing.contract` has the suite of tests that
    every store passes, and its docstring has the command.

    Raises:
        ConfigError: the scheme is one of ours, or no lower-case word.
    """
    if scheme in _DRIVERS:
        raise ConfigError(f"{scheme}:// is a store of imgsearch's own; take another scheme")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise ConfigError(f"{scheme!r} is no scheme: lower-case letters and digits, a letter first")
    _registered[scheme] = backend


def _any(url: str) -> VectorBackend | None:
    """Return an open connection to `url`: operators know the URL alone, not the token."""
    return next((backend for (place, _), backend in _open.items() if place == url), None)


def is_there(url: str | PathLike[str]) -> bool:
    """Tell whether there is a store to open: False for an embedded file that was never made.

    Raises:
        ConfigError: as for `connect`.
    """
    scheme, _, rest = canonical(url).partition("://")
    try:
        return scheme != "milvus-lite" or Path(rest).exists()
    except OSError as error:
        raise ConfigError(f"{rest[:80]!r} is not a path: {error.strerror}") from error


def release(backend: VectorBackend) -> None:
    """Count one user of a shared backend less; close it with the last. Idempotent after that."""
    with _lock:
        backend._users = max(0, backend._users - 1)
        keys = [key for key, open_ in _open.items() if open_ is backend]
        if keys and not backend._users:
            del _open[keys[0]]
            backend._close()


def canonical(url: str | PathLike[str]) -> str:
    """Return the one spelling of a store's URL.

    Raises:
        ConfigError: as for `connect`.
    """
    return _canonical(_text(url))


def _text(url: object) -> str:
    text = fspath(url) if isinstance(url, str | PathLike) else url
    if not isinstance(text, str) or "\0" in text:
        raise ConfigError(f"a store is a path that ends in .db, or a URL, not {url!r}")
    return text


def _canonical(url: str) -> str:
    if "://" not in url:
        if not url.endswith(".db"):
            raise ConfigError(f"{url!r} is no store: give PATH.db, memory://NAME or milvus://HOST")
        try:
            return f"milvus-lite://{Path(url).expanduser().resolve()}"
        except RuntimeError as error:  # ~NAME without such a user
            raise ConfigError(f"{url!r}: {error}") from error
    scheme, _, rest = url.partition("://")
    if scheme in _registered:
        return url
    if scheme not in _DRIVERS:
        raise ConfigError(f"unknown store {scheme!r}://; known: {', '.join(_DRIVERS)}")
    if scheme == "milvus-lite":
        if not (rest.startswith("/") and rest.endswith(".db")):
            raise ConfigError(f"{url!r}: milvus-lite takes an absolute path that ends in .db")
        return f"milvus-lite://{Path(rest).resolve()}"
    return (
        _canonical_server(url) if scheme in _PORTS else url.rstrip("/").ljust(len("memory://"), "/")
    )


def _canonical_server(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:  # its text quotes the URL, which may hold a secret
        raise ConfigError(
            "a server's URL is SCHEME://HOST:PORT/DATABASE; the port is a number"
        ) from None
    optional = parts.query if parts.scheme.startswith("tencent") else ""
    if "@" in parts.netloc or parts.query != optional or parts.fragment:
        raise ConfigError("a store's URL holds no user or password; see the settings in the README")
    database = parts.path.strip("/") or "default"
    if not host or "/" in database:
        raise ConfigError(f"{url!r}: a server's URL is {parts.scheme}://HOST:PORT/DATABASE")
    bracketed = f"[{host}]" if ":" in host else host
    options = str(Options.parse(optional))
    return f"{parts.scheme}://{bracketed}:{port}/{database}{'?' if options else ''}{options}"


@atexit.register
def _close_all() -> None:
    with _lock:
        for backend in list(_open.values()):
            backend._users = 1
            release(backend)


def _driver(url: str) -> type[VectorBackend]:
    scheme = url.partition("://")[0]
    if scheme in _registered:
        return _registered[scheme]
    module, drivers, extra = _DRIVERS[scheme]
    with quiet_grpc():
        for driver in drivers:
            try:
                import_module(driver)
            except ModuleNotFoundError as error:
                if error.name != driver:
                    raise
                raise MissingExtra(f"{url} needs {driver}", extra=extra, name=driver) from error
        backend: type[VectorBackend] = import_module(f"imgsearch.backends.{module}").Backend
    return backend


__all__ = [
    "Capabilities",
    "Collection",
    "FieldNames",
    "Index",
    "Metric",
    "Schema",
    "VectorBackend",
    "canonical",
    "connect",
    "is_there",
    "register",
    "release",
]
