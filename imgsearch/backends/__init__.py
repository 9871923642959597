"""Vector stores behind one contract: `connect(url)` opens one, once a process."""

import atexit
import threading
from importlib import import_module
from typing import Final

from imgsearch.backends.base import Capabilities, Collection, VectorBackend
from imgsearch.backends.schema import Index, Metric, Schema
from imgsearch.errors import ConfigError, MissingExtra

# scheme → module, the driver that it needs, the extra that brings it
_DRIVERS: Final = {
    "memory": ("memory", "", ""),
    "milvus-lite": ("milvus", "milvus_lite", "imgsearch"),
    "milvus": ("milvus", "pymilvus", "imgsearch"),
    "milvus+https": ("milvus", "pymilvus", "imgsearch"),
}
_open: dict[str, VectorBackend] = {}
_lock = threading.RLock()


def connect(url: str, *, token: str | None = None, timeout: float = 10.0) -> VectorBackend:
    """Open the store that `url` names, or share the one that this process already has open.

    ``photos.db`` or ``milvus-lite:///abs/photos.db``: an embedded Milvus file.
    ``milvus://host:19530/database``, ``milvus+https://…``: a Milvus server; `token` is
    ``user:password`` or an API key. ``memory://name``: exact search, gone with the process.
    `timeout` is in seconds, a request.

    Raises:
        ConfigError: the URL's scheme is not one of these, or the URL holds a secret.
        MissingExtra: the store's driver is not installed.
        StoreLocked: another process has the file open.
        BackendUnavailable: nothing answers there.
    """
    url = canonical(url)
    with _lock:
        backend = _open.get(url)
        if backend is None:
            backend = _open[url] = _driver(url)(url, token=token, timeout=timeout)
        backend._users += 1
        return backend


def release(backend: VectorBackend) -> None:
    """Count one user of a shared backend less; close it with the last. Idempotent after that."""
    with _lock:
        backend._users = max(0, backend._users - 1)
        if not backend._users and _open.get(backend.url) is backend:
            del _open[backend.url]
            backend._close()


def canonical(url: str) -> str:
    """Return the one spelling of a store's URL.

    Raises:
        ConfigError: as for `connect`.
    """
    from pathlib import Path

    if "://" not in url:
        if not url.endswith(".db"):
            raise ConfigError(f"{url!r} is no store: give PATH.db, memory://NAME or milvus://HOST")
        return f"milvus-lite://{Path(url).expanduser().resolve()}"
    scheme, _, rest = url.partition("://")
    if scheme not in _DRIVERS:
        raise ConfigError(f"unknown store {scheme!r}://; known: {', '.join(_DRIVERS)}")
    if "@" in rest.split("/")[0]:
        raise ConfigError("a store's URL holds no user or password; see the settings in the README")
    return url.rstrip("/") if rest.strip("/") else url


@atexit.register
def _close_all() -> None:
    with _lock:
        for backend in list(_open.values()):
            backend._users = 1
            release(backend)


def _driver(url: str) -> type[VectorBackend]:
    module, driver, extra = _DRIVERS[url.partition("://")[0]]
    try:
        found: type[VectorBackend] = import_module(f"imgsearch.backends.{module}").Backend
    except ModuleNotFoundError as error:
        if error.name != driver:
            raise
        raise MissingExtra(f"{url} needs {driver}: pip install '{extra}'") from error
    return found


__all__ = [
    "Capabilities",
    "Collection",
    "Index",
    "Metric",
    "Schema",
    "VectorBackend",
    "canonical",
    "connect",
    "release",
]
