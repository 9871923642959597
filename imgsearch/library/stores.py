"""Checks that a store exists, and opens stores with the token and timeout from the settings."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Final, TypeVar

from imgsearch import backends
from imgsearch.backends import FieldNames, Metric, VectorBackend, canonical
from imgsearch.backends.milvus import folder as milvus_folder
from imgsearch.backends.schema import METRICS
from imgsearch.errors import CollectionNotFound, StoreLocked
from imgsearch.settings import Settings

__all__ = [
    "METRICS",
    "FieldNames",
    "Metric",
    "canonical",
    "connected",
    "require",
    "snapshot",
    "when_unlocked",
]

_PAUSE: Final = 0.2  # seconds between two attempts to open a locked store
_ATTEMPTS: Final = 5  # to copy a store whose files another process replaces meanwhile
T = TypeVar("T")


def require(url: str) -> None:
    """Check that an embedded store exists, because opening a missing one would create it.

    Raises:
        CollectionNotFound: the store does not exist.
        ConfigError: the URL is invalid.
    """
    if not backends.is_there(url):
        raise CollectionNotFound(f"no library at {url}; add some images first")


@contextmanager
def connected(*urls: str, settings: Settings) -> Iterator[tuple[VectorBackend, ...]]:
    """Open the stores at `urls`, with the settings' tokens and timeout, for a `with` block.

    Pipelines that run in the block and use the same URLs share these connections.

    Raises: as for `backends.connect`.
    """
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(
                backends.connect(url, token=settings.token(url), timeout=settings.timeout)
            )
            for url in urls
        )


def when_unlocked(attempt: Callable[[], T], *, seconds: float, on_wait: Callable[[], None]) -> T:
    """Return what `attempt` returns; repeat it while another process has the store open.

    `on_wait` is called before the first wait.

    Raises:
        StoreLocked: the store is still open there after `seconds`.
    """
    started, waiting = monotonic(), False
    while True:
        try:
            return attempt()
        except StoreLocked:
            if monotonic() - started + _PAUSE > seconds:
                raise
        if not waiting:
            on_wait()
            waiting = True
        sleep(_PAUSE)


@contextmanager
def snapshot(url: str) -> Iterator[str]:
    """Yield the path of a temporary copy of an embedded store that another process has open.

    The copy has what that process has written so far. Data files are linked, and not copied.

    Raises:
        StoreLocked: the other process replaces files all the time.
    """
    path = Path(canonical(url).partition("://")[2])
    with tempfile.TemporaryDirectory(prefix="imgsearch-") as place:
        for number in range(_ATTEMPTS):
            copy = Path(place) / f"{number}.db"
            copy.mkdir()
            with suppress(OSError):  # a file was replaced meanwhile
                milvus_folder.link(path, copy, in_use=True)
                if not milvus_folder.faults(copy):
                    break
        else:
            raise StoreLocked(f"{url} is open in another process, which changes it now. Retry.")
        yield str(copy)
