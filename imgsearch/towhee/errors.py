"""Errors across Towhee: left with a ticket on one side, traded back on the other.

Towhee turns an operator's exception into ``RuntimeError(<formatted traceback>)`` without a cause.
The formatted text holds an exception's notes, so a ticket in a note comes through.
"""

import copy
import itertools
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_KEPT: Final[OrderedDict[str, Exception]] = OrderedDict()
_LIMIT: Final = 1_000  # errors kept at most; more are never in flight at once
_NUMBERS: Final = itertools.count()
_LOCK: Final = threading.Lock()
_TICKET: Final = re.compile(r"imgsearch-ticket-\d+-")


@contextmanager
def ticketed() -> Iterator[None]:
    """Keep a copy of the exception that leaves the block, under a ticket in its notes.

    The copy has no traceback: frames would keep Towhee's nodes alive, whose finalizers take locks.
    """
    try:
        yield
    except Exception as error:
        ticket = f"imgsearch-ticket-{next(_NUMBERS)}-"
        kept = copy.copy(error)
        error.add_note(ticket)
        with _LOCK:
            _KEPT[ticket] = kept
            while len(_KEPT) > _LIMIT:
                _KEPT.popitem(last=False)
        raise


@contextmanager
def handed_back() -> Iterator[None]:
    """Raise the operator's own exception where Towhee raises its text."""
    try:
        yield
    except RuntimeError as flat:
        for ticket in _TICKET.findall(str(flat)):
            with _LOCK:
                kept = _KEPT.pop(ticket, None)
            if kept is not None:
                raise kept from None
        raise
