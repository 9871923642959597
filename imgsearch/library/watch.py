"""Waits for changes below folders."""

import threading
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Final

from imgsearch.errors import MissingExtra, SourceError
from imgsearch.images import sources
from imgsearch.library.progress import absolute

_QUIET: Final = 500  # milliseconds without a change after which a batch ends
_LONGEST: Final = 5_000  # milliseconds after which a batch ends in any case
_TICK: Final = 1_000  # milliseconds
_CHECK: Final = 600  # ticks: network drives and unmounted ones send no events


def changes(
    folders: Sequence[str | PathLike[str]], *, stop: threading.Event | None = None
) -> Iterator[None]:
    """Yield when the folders are watched, after each batch of changes, and every ten minutes.

    Ends on Ctrl-C, and when `stop` is set.

    Raises:
        MissingExtra: watchfiles is not installed.
        SourceError: a folder does not exist.
    """
    try:
        import watchfiles
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "watching folders needs watchfiles", extra="watch", name="watchfiles"
        ) from error
    paths = [absolute(folder) for folder in folders]
    try:
        batches = watchfiles.watch(
            *paths,
            step=_QUIET,
            debounce=_LONGEST,
            rust_timeout=_TICK,
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
        )
        ticks = 0
        for batch in batches:
            if batch or not ticks % _CHECK:
                yield
            ticks += not batch
    except FileNotFoundError as error:
        names = ", ".join(map(sources.printable, paths))
        raise SourceError(f"{names}: a folder does not exist, so it is not watched") from error
