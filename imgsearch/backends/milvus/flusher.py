"""Decides when a collection is flushed after inserts, because Milvus counts only flushed rows."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from imgsearch.errors import BackendError

_IDLE: Final = 10.0  # seconds; Milvus 2.4 allows a collection one flush in 10 s
_LOG: Final = logging.getLogger(__name__)


class Flusher:
    """Calls `flush` after runs that inserted rows. Thread-safe.

    The first run and runs of several rows end with a flush. Later runs of one row are flushed
    together in a thread, when nothing was inserted for 10 s or when the program ends, because a
    flush takes about 3 s (Milvus 2.3.5).
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._do_flush = flush
        self._flushing = threading.Lock()
        self._lock = threading.Lock()  # of the values below
        self._run = 0  # rows inserted in this run
        self._unflushed = False
        self._first = True
        self._last = 0.0  # time of the last insert
        self._thread: threading.Thread | None = None

    def add(self, rows: int) -> None:
        """Note that rows were inserted."""
        with self._lock:
            self._run += rows
            self._unflushed = True
            self._last = time.monotonic()

    def end_run(self) -> None:
        """Flush the rows of the run now or later. A failed flush is logged: the rows are stored."""
        with self._lock:
            rows, self._run = self._run, 0
            at_once = rows > 1 or (rows == 1 and self._first)
            self._first = self._first and not rows
            if rows and not at_once and self._thread is None:
                # not a daemon, because the program's end waits for it
                self._thread = threading.Thread(target=self._flush_later, name="imgsearch-flush")
                self._thread.start()
        if at_once:
            self._try_flush()

    def flush(self) -> None:
        """Flush now, unless all rows are flushed.

        Raises:
            BackendError: the flush failed.
        """
        with self._flushing:
            with self._lock:
                unflushed, self._unflushed = self._unflushed, False
            if not unflushed:
                return
            try:
                self._do_flush()
            except BackendError:
                with self._lock:
                    self._unflushed = True
                raise

    def _flush_later(self) -> None:
        main = threading.main_thread()
        while main.is_alive() and (rest := self._last + _IDLE - time.monotonic()) > 0:
            main.join(rest)
        with self._lock:
            self._thread = None
        self._try_flush()

    def _try_flush(self) -> None:
        try:
            self.flush()
        except BackendError as error:
            _LOG.warning("inserted rows are stored, but not counted yet: %s", error)
