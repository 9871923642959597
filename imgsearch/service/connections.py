"""Limits on HTTP connections: their number, and the time to send a request or read a response.

uvicorn 0.54 has no deadline for request headers, and its `limit_concurrency` counts requests only
after they have arrived. Clients that send nothing could therefore use up all file descriptors.
"""

import asyncio
import errno
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any, Final

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from imgsearch.service.limits import Limits
from imgsearch.service.problems import MEDIA_TYPE, body

DESCRIPTORS: Final = 16_384  # enough for 1,000 connections and 128 uploads of 100 files
# streams of an open page, closed on shutdown: otherwise it would wait for every browser
_ENDLESS: Final = ("/gradio_api/heartbeat/", "/gradio_api/queue/data")
_LEAST: Final = 16  # connections that are allowed even if few descriptors are free
_UNKNOWN: Final = 128  # descriptors assumed to be in use if the system does not list them
_PATIENCE: Final = 1.0  # seconds that a refused connection has to send its request
_RETRY: Final = 5  # seconds in Retry-After: idle connections are closed by then
_SLOWEST: Final = 1_000  # bytes per second that a client has to read; a dial-up line has 5,000
_QUIET: Final = 60.0  # seconds between two log lines of the same kind
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = logging.getLogger(__name__)


class Notice:
    """Logs a warning at most once a minute, because an attacker could cause thousands."""

    def __init__(self) -> None:
        self._next = float("-inf")

    def __call__(self, message: str, *values: object) -> None:
        """Log the warning unless it was logged within the last minute."""
        now = monotonic()
        if now >= self._next:
            self._next = now + _QUIET
            _log.warning(message, *values)


@dataclass(slots=True)
class Connections:
    """The connections of one server, with their limits.

    `waiting` contains the connections that wait for a request, longest-waiting first.
    """

    most: int
    limits: Limits
    waiting: "dict[Connection, None]" = field(default_factory=dict)
    full: Notice = field(default_factory=Notice)

    def longest_waiting(self, newcomer: "Connection") -> "Connection | None":
        """Return the longest-waiting connection except `newcomer`, None if no other waits."""
        return next((other for other in self.waiting if other is not newcomer), None)

    def protocol(self, **options: Any) -> "Connection":
        """Return the protocol for a new connection; `options` are uvicorn's."""
        return Connection(others=self, **options)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 connection with deadlines, and with a limit on open connections.

    The headers of the first request must arrive within `head_seconds` of connecting. Headers of
    later requests must arrive within `head_seconds` of their first byte. Clients that read almost
    nothing of a response for `stall_seconds` are disconnected. At the limit, a new connection
    replaces the connection that has been idle longest. If none is idle, the new connection gets a
    503 response. `Deadline` limits the time until the response starts.
    """

    def __init__(self, *, others: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._others = others
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._refused = self._heard = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        others = self._others
        others.waiting[self] = None
        if len(self.connections) > others.most:
            others.full("the limit of %s connections is reached: idle ones are closed", others.most)
            if longest := others.longest_waiting(self):
                longest.give_way()
        self._refused = len(self.connections) > others.most
        seconds = _PATIENCE if self._refused else others.limits.head_seconds
        self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._others.waiting.pop(self, None)
        self._stop_head_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._refused:
            self._end_with(503)
            return
        if self._head_timer is None and self._waits():
            late = self._others.limits.head_seconds
            self._head_timer = self.loop.call_later(late, self._head_is_late)
        super().data_received(data)
        self._note_waiting()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_waiting()
        if self.transport.is_closing():
            self._expect_reading()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall_timer()
        if self.transport.is_closing():
            self._expect_reading()

    @override
    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_reading()

    @override
    def shutdown(self) -> None:
        super().shutdown()
        if not self._waits() and self.scope["path"].startswith(_ENDLESS):
            self.cycle.disconnected = True  # as if the browser had disconnected
            self.cycle.message_event.set()
            self.transport.close()

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """Ignore upgrade requests without logging them, as HTTP allows."""

    def give_way(self) -> None:
        """Close this waiting connection to make room for a new one."""
        self.connections.discard(self)
        self._end_with(503)

    def _waits(self) -> bool:
        """Return whether the connection waits for a new request."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's annotation omits None
        return cycle is None or cycle.response_complete

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _note_waiting(self) -> None:
        if not self._waits():
            self._others.waiting.pop(self, None)
            self._stop_head_timer()
        elif not self.transport.is_closing():
            self._others.waiting.setdefault(self)

    def _head_is_late(self) -> None:
        self._end_with(503 if self._refused else 408)

    def _end_with(self, status: int) -> None:
        """Close the connection; respond with `status` first if it has had no response.

        A connection that sent nothing gets no 408, because browsers open some in advance.
        """
        self._others.waiting.pop(self, None)
        if self.transport.is_closing():
            return
        unanswered = self.cycle is None and self.conn.our_state is h11.IDLE
        if unanswered and (self._heard or status != HTTPStatus.REQUEST_TIMEOUT):
            self.transport.write(_ANSWERS[status])
        self.transport.close()
        self._expect_reading()

    def _expect_reading(self) -> None:
        """Abort the connection unless the client reads its response."""
        if self._stall_timer is None:
            late, unsent = self._others.limits.stall_seconds, self.transport.get_write_buffer_size()
            self._stall_timer = self.loop.call_later(late, self._abort_stalled, unsent)

    def _abort_stalled(self, before: int) -> None:
        self._stall_timer = None
        read = before - self.transport.get_write_buffer_size()
        if read < self._others.limits.stall_seconds * _SLOWEST:
            self.transport.abort()
        else:
            self._expect_reading()


def connections_for(limits: Limits) -> Connections:
    """Return an empty `Connections` for a new server.

    Its limit is at most three quarters of the free file descriptors, but at least 16. The rest is
    reserved for stores, uploads and image files.
    """
    most = limits.connections
    allowed = _soft_limit()
    if allowed is not None:
        fitting = max(_LEAST, (allowed - _in_use()) * 3 // 4)
        if fitting < most:
            _log.warning(
                "connections are limited to %d instead of %d: the process may open %d files. "
                "Raise `ulimit -n`.", fitting, most, allowed,
            )  # fmt: skip
        most = min(most, fitting)
    return Connections(most, limits)


def raise_descriptors() -> None:
    """Raise the soft limit on open files towards the hard limit, if the system has such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a sandbox may forbid it; the soft limit is kept
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def accept_failures(exhausted: Notice) -> Callable[[asyncio.AbstractEventLoop, Any], None]:
    """Return an event-loop exception handler that logs failed accepts at most once a minute.

    If no file descriptor is free, asyncio retries the accept. Python 3.11 logs a traceback for each
    of `backlog` attempts.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: Any) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED and "socket" in context:
            exhausted(
                "no connection can be accepted: %s. Raise `ulimit -n`.", os.strerror(error.errno)
            )
        else:
            loop.default_exception_handler(context)

    return handle


def _soft_limit() -> int | None:
    """Return the soft limit on open files, or None if it is unlimited or unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _in_use() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return _UNKNOWN


def _answer(status: int, code: str, detail: str, *headers: str) -> bytes:
    """Return the bytes of an HTTP response that closes the connection."""
    content = json.dumps(body(status, code, detail)).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + content


_ANSWERS: Final = {
    408: _answer(408, "request_timeout", "The request's head took too long to arrive."),
    503: _answer(503, "busy", "Too many connections are open.", f"Retry-After: {_RETRY}"),
}
