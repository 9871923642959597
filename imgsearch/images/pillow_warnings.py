"""Suppression of Pillow's warnings and log records while an image is decoded."""

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Final


class _Here(threading.local):
    decoding = False


_here = _Here()


class _DecodingThread:
    """Replaces the message pattern of a warnings filter: matches if this thread is decoding."""

    def match(self, _text: str) -> bool:
        return _here.decoding


# warnings.catch_warnings swaps the filters of the whole process and is unsafe among threads before
# Python 3.14; an ordinary filter would silence Pillow for the rest of the program, too.
_FILTER: Final = ("ignore", _DecodingThread(), Warning, re.compile(r"PIL\b"), 0)
_FILTER_LOCK: Final = threading.Lock()
# the only module of Pillow 12.3 that logs errors; without a handler Python prints them
_LOGGER: Final = "PIL.TiffImagePlugin"


def _is_shown(_record: logging.LogRecord) -> bool:
    return not _here.decoding


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    """Suppress the warnings and log records that Pillow emits in this thread during the block."""
    logging.getLogger(_LOGGER).addFilter(_is_shown)  # repeated calls have no effect
    with _FILTER_LOCK:
        filters: list[object] = warnings.filters  # type: ignore[assignment]  # a list; typeshed: Sequence
        if not filters or filters[0] is not _FILTER:  # a catch_warnings removed it
            filters.insert(0, _FILTER)
            if _FILTER in filters[1:]:
                del filters[filters.index(_FILTER, 1)]
    _here.decoding = True
    try:
        yield
    finally:
        _here.decoding = False
