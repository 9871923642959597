"""Vector stores with a common interface.

`connect(url)` opens a store; equal URLs share one connection per process.
"""

import atexit
import re
import threading
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from imgsearch import plugins
from imgsearch.backends.base import Capabilities, VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.milvus import imports as milvus_imports
from imgsearch.backends.schema import Index, Metric, Schema
from imgsearch.backends.tencent.address import Options
from imgsearch.backends.vectors import place
from imgsearch.backends.vectors.place import SCHEME
from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.settings import TIMEOUT, quiet_grpc
from imgsearch.text import did_you_mean
from imgsearch.types import check_access

# scheme → module, required drivers, extra that installs the drivers
_DRIVERS: Final = {
    "memory": ("memory", (), ""),
    "parquet": ("parquet", (), ""),
    "vectors": ("vectors.store", (), ""),
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
_FILES: Final = {".db": "milvus-lite", ".parquet": "parquet"}
_registered: dict[str, type[VectorBackend]] = {}
_open: dict[tuple[str, str | None], VectorBackend] = {}
_lock = threading.RLock()


def connect(
    url: str | PathLike[str], *, token: str | None = None, timeout: float = TIMEOUT
) -> VectorBackend:
    """Open the store at `url`, or share a connection that is already open in this process.

    - ``photos.db``, ``milvus-lite:///abs/photos.db``: an embedded Milvus store, which is a folder.
      The folder and its parent are created if missing.
    - ``milvus://host:19530/database``, ``milvus+https://…``: a Milvus server; `token` is
      ``user:password`` or an API key.
    - ``tencent://host:80/database`` (HTTP), ``tencent+grpc://…``, and with verified TLS
      ``tencent+https://…``, ``tencent+grpcs://…``: Tencent VectorDB; `token` is ``KEY`` or
      ``ACCOUNT:KEY``. Options are ``?shards=1&replicas=0&consistency=strong&ca=FILE``.
    - ``vectors.parquet``, ``parquet:///abs/vectors.parquet``: a file of `Library.to_parquet`, for
      exact search; it is read into memory and never written.
    - ``JOB``, ``vectors:JOB``, ``s3://bucket/JOB``: the folder of a job of `imgsearch.embed`, for
      exact search; it is never written. `token` is ``KEY:SECRET`` of S3.
    - ``memory://name``: exact search in memory, kept until the process ends. `close` deletes the
      unnamed store ``memory://``.

    `timeout` limits each request to a server, in seconds; the first `connect` sets it. Connecting
    to a server takes at most 10 s. A call without a token shares any open connection to the URL, so
    operators, which have no secrets, use the store that the program opened.

    Raises:
        ConfigError: the token is not a text; the timeout is not a positive number; the URL has an
            unknown scheme or contains a secret; the parent folder of an embedded store cannot be
            created; the Milvus database does not exist; or the Tencent key is missing.
        MissingExtra: the store's driver is not installed.
        StoreLocked: another process has the embedded store open.
        BackendUnavailable: the server does not respond, or Milvus rejects the token.
        BackendError: Tencent rejects the key.
    """
    check_access(token, timeout)
    url = canonical(url)
    key = url, token if urlsplit(url).scheme in _PORTS else None
    with _lock:
        backend = _open.get(key)
        if backend is None and token is None:
            backend = _shared(url)
        if backend is None:
            backend = _open[key] = _driver(url)(url, token=token, timeout=timeout)
        backend._users += 1
        return backend


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The arguments of `connect`. The token is not shown."""

    url: str | PathLike[str]
    token: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT

    def connect(self) -> VectorBackend:
        """Open the store, or share an open connection; see `connect`."""
        return connect(self.url, token=self.token, timeout=self.timeout)


def register(scheme: str, backend: type[VectorBackend]) -> None:
    """Register a custom store class, with which `connect` opens ``SCHEME://…`` in this process.

    `connect` calls the class with the URL, the token and the timeout; see `VectorBackend`. A later
    registration replaces an earlier one. `imgsearch.testing.contract` has the tests that every
    store must pass; its docstring shows the command.

    Raises:
        ConfigError: the scheme is built into imgsearch, or is invalid.
    """
    if scheme in _DRIVERS:
        raise ConfigError(f"scheme {scheme!r} is imgsearch's own. Choose another one.")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise ConfigError(
            f"scheme {scheme!r} is invalid. Use lower-case letters and digits, a letter first."
        )
    _registered[scheme] = backend


def _shared(url: str) -> VectorBackend | None:
    """Return an open connection to `url` with any token. Returns None without a connection."""
    return next((backend for (known, _), backend in _open.items() if known == url), None)


def is_there(url: str | PathLike[str]) -> bool:
    """Return whether an embedded store exists. Always True for servers and stores in memory.

    Raises:
        ConfigError: as for `connect`.
    """
    url = canonical(url)
    if url.startswith(SCHEME):
        return place.exists(url)
    scheme, _, rest = url.partition("://")
    try:
        return scheme not in _FILES.values() or Path(rest).exists()
    except OSError as error:
        raise ConfigError(f"store path {rest[:80]!r} is invalid: {error.strerror}") from error


def is_embedded(url: str) -> bool:
    """Return whether the canonical URL of a store names one that Milvus Lite runs in-process."""
    return url.startswith(f"{_FILES['.db']}:")


def release(backend: VectorBackend) -> None:
    """Release one use of a shared backend; the last release closes it.

    Further calls have no effect.
    """
    with _lock:
        backend._users = max(0, backend._users - 1)
        keys = [key for key, open_ in _open.items() if open_ is backend]
        if keys and not backend._users:
            del _open[keys[0]]
            backend._close()


def canonical(url: str | PathLike[str]) -> str:
    """Return a store's URL in its canonical form.

    Raises:
        ConfigError: as for `connect`.
    """
    return _canonical(_text(url))


def _text(url: object) -> str:
    text = fspath(url) if isinstance(url, str | PathLike) else url
    if not isinstance(text, str) or "\0" in text:
        raise ConfigError(f"store {url!r} is invalid. Use a path that ends in .db, or a URL.")
    return text


def _canonical(url: str) -> str:
    if place.is_job(url):
        return place.canonical(url)
    if "://" not in url:
        return _canonical_path(url)
    scheme, _, rest = url.partition("://")
    if scheme in _registered:
        return url
    if scheme not in _DRIVERS:
        return _canonical_plugin(scheme, url)
    if scheme in _FILES.values():
        return _canonical_file(scheme, rest)
    return (
        _canonical_server(url) if scheme in _PORTS else url.rstrip("/").ljust(len("memory://"), "/")
    )


def _canonical_plugin(scheme: str, url: str) -> str:
    """Return the URL of another package's store, which is not imported.

    Raises:
        ConfigError: no package offers a store for this scheme.
    """
    others = plugins.names(plugins.BACKENDS)
    if scheme not in others:
        known = [*_DRIVERS, *_registered, *others]
        end = did_you_mean(scheme, known) or "."
        raise ConfigError(f"unknown store {scheme}://{end} The stores are {', '.join(known)}.")
    return url


def _canonical_path(path: str) -> str:
    scheme = _FILES.get(Path(path).suffix)
    if scheme is None:
        raise ConfigError(
            f"store {path!r} is invalid. Use PATH.db, PATH.parquet, the folder of a job, "
            "memory://NAME or milvus://HOST."
        )
    try:
        return f"{scheme}://{Path(path).expanduser().resolve()}"
    except RuntimeError as error:  # ~NAME without such a user
        raise ConfigError(f"store {path!r} is invalid: {error}") from error


def _canonical_file(scheme: str, path: str) -> str:
    (suffix,) = (suffix for suffix, known in _FILES.items() if known == scheme)
    if not (path.startswith("/") and path.endswith(suffix)):
        raise ConfigError(
            f"store {scheme + '://' + path!r} is invalid. Use {scheme}:// and an absolute path to "
            f"a {suffix}."
        )
    return f"{scheme}://{Path(path).resolve()}"


def _canonical_server(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:  # not chained: its text quotes the URL, which may contain a secret
        raise ConfigError(
            "the store's URL is invalid. Use SCHEME://HOST:PORT/DATABASE with a number as port."
        ) from None
    optional = parts.query if parts.scheme.startswith("tencent") else ""
    if "@" in parts.netloc or parts.query != optional or parts.fragment:
        raise ConfigError(
            "the store's URL contains a user, a password or a query. Pass secrets by the "
            "environment; see the settings."
        )
    database = parts.path.strip("/") or "default"
    if not host or "/" in database:
        raise ConfigError(f"store {url!r} is invalid. Use {parts.scheme}://HOST:PORT/DATABASE.")
    bracketed = f"[{host}]" if ":" in host else host
    options = str(Options.parse(optional))
    return f"{parts.scheme}://{bracketed}:{port}/{database}{'?' if options else ''}{options}"


@atexit.register
def _close_all() -> None:
    with _lock:
        for backend in list(_open.values()):
            backend._users = 1
            release(backend)


def _plugin(scheme: str) -> type[VectorBackend]:
    """Return the store class of another package.

    Raises:
        PluginFailed: the package cannot be imported, or offers no store class.
    """
    backend = plugins.load(plugins.BACKENDS, scheme)
    if isinstance(backend, type) and issubclass(backend, VectorBackend):
        register(scheme, backend)
        return backend
    package = plugins.names(plugins.BACKENDS).get(scheme, "?")
    reason = "it is not a subclass of VectorBackend"
    raise plugins.broken(plugins.BACKENDS, scheme, package, reason)


def _driver(url: str) -> type[VectorBackend]:
    scheme = url.partition(":" if url.startswith(SCHEME) else "://")[0]
    if scheme in _registered:
        return _registered[scheme]
    if scheme not in _DRIVERS:
        return _plugin(scheme)
    module, drivers, extra = _DRIVERS[scheme]
    if "pymilvus" in drivers:
        milvus_imports.install()
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
    "is_embedded",
    "is_there",
    "register",
    "release",
]
