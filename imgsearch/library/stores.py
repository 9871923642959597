"""Checks that a store exists, and opens stores with the token and timeout from the settings."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from imgsearch import backends
from imgsearch.backends import FieldNames, Metric, VectorBackend, canonical
from imgsearch.backends.schema import METRICS
from imgsearch.errors import CollectionNotFound
from imgsearch.settings import Settings

__all__ = ["METRICS", "FieldNames", "Metric", "canonical", "connected", "require"]


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
