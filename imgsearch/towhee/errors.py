"""Restores typed errors, because Towhee replaces an operator's exception with its text.

Towhee raises ``RuntimeError(<formatted traceback>)`` without a cause. The text includes the notes
of the exception. So `keep_error` adds a ticket as a note, and `restore_error` finds the exception
by its ticket.
"""

import copy
import itertools
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from imgsearch.errors import ImgSearchError

E = TypeVar("E", bound=BaseException)

_KEPT: Final[OrderedDict[str, Exception]] = OrderedDict()
_LIMIT: Final = 1_000  # kept errors, more than are ever raised at the same time
_NUMBERS: Final = itertools.count()
_LOCK: Final = threading.Lock()
_TICKET: Final = re.compile(r"imgsearch-ticket-\d+-")


@contextmanager
def keep_error() -> Iterator[None]:
    """Store a copy of an exception raised in the block, and add its key to the exception's notes.

    The copy has no traceback, because the frames would keep Towhee's nodes alive, and the
    finalizers of nodes take locks.
    """
    try:
        yield
    except Exception as error:
        ticket = f"imgsearch-ticket-{next(_NUMBERS)}-"
        kept = _without_frames(error)
        if kept is None:
            raise
        kept.__cause__ = None if error.__cause__ is None else _without_frames(error.__cause__)
        error.add_note(ticket)
        with _LOCK:
            _KEPT[ticket] = kept
            while len(_KEPT) > _LIMIT:
                _KEPT.popitem(last=False)
        raise


@contextmanager
def restore_error() -> Iterator[None]:
    """Raise the operator's original exception if Towhee raises its text in the block."""
    try:
        yield
    except RuntimeError as error:
        for ticket in _TICKET.findall(str(error)):
            with _LOCK:
                kept = _KEPT.pop(ticket, None)
            if isinstance(kept, ImgSearchError):
                raise kept from kept.__cause__
            if kept is not None:  # a bug, whose frames are known only as Towhee's text
                raise kept from error
        raise


def _without_frames(error: E) -> E | None:
    """Return a copy without a traceback, or None if the exception cannot be copied."""
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - a class may refuse to be copied by any exception
        return None
