"""Logs of the service and the page: text or JSON lines, the id of each request, an access log."""

import json
import logging
import re
import secrets
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, get_args

from typing_extensions import override

Format: TypeAlias = Literal["text", "json"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
LEVELS: Final[tuple[Level, ...]] = get_args(Level)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_ACCESS: Final = "imgsearch.access"
NOTES: Final = "imgsearch.serving"
"""Logger of the messages at the start of a service; `logging_to_stderr` shows it at every level."""

_PARTS: Final = ("method", "path", "status", "ms", "bytes", "key_id")  # of an access line
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST: Final = 200  # characters of a path that belongs to no route
_KEPT: Final = 1_000  # lines that `recent_lines` returns at most
_request: ContextVar[str] = ContextVar("imgsearch_request", default="")
_access = logging.getLogger(_ACCESS)
_recent: deque[dict[str, Any]] = deque(maxlen=_KEPT)


def request_id() -> str:
    """Return the id of the request that this thread or task works for, or "" outside of one."""
    return _request.get()


class RequestLog:
    """ASGI middleware that gives each request an id, and logs it when its response has ended.

    A valid X-Request-ID of the client is kept. The id is in the response's X-Request-ID, in
    ``scope["state"]["request_id"]``, and in each log line of the request. The line of the access
    log has no query string, no header and no key. Its path is the route, e.g.
    ``/v1/images/{id}``, or the requested path if it belongs to no route. Its key id is
    ``scope["state"]["key_id"]``, which the check of the key sets.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        id_ = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = id_
        started, status, sent, logged = time.monotonic(), 500, 0, False

        def log_once() -> None:
            nonlocal logged
            if not logged and _access.isEnabledFor(logging.INFO):
                _log_access(scope, status, sent, time.monotonic() - started)
            logged = True

        async def send_counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", id_.encode())]
            sent += len(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                log_once()  # before the client has the end of the response
            await send(message)

        token = _request.set(id_)
        try:
            await self._app(scope, receive, send_counted)
        finally:
            log_once()
            _request.reset(token)


def _log_access(scope: Scope, status: int, sent: int, seconds: float) -> None:
    path = getattr(scope.get("route"), "path", "") or str(scope["path"])[:_LONGEST]
    key = scope["state"].get("key_id", "")
    values = (scope["method"], path, status, round(seconds * 1000, 1), sent, key)
    extra = {"access": dict(zip(_PARTS, values, strict=True))}
    _access.info("%s %s %d, %.1f ms, %d bytes, key %s", *values[:5], key or "-", extra=extra)


@contextmanager
def logging_to_stderr(
    form: Format = "text", level: Level = "warning", *, access: bool = False
) -> Iterator[None]:
    """Write the process's logs to standard error within the block.

    `level` is the lowest level of imgsearch's own lines; lines of other packages are at least
    warnings. With `access`, each request is a line of the level info, whatever `level` is. The
    newest lines are also kept for `recent_lines`.
    """
    handler = logging.StreamHandler(sys.stderr)
    keeper = _Keeper()
    handler.setFormatter(_Json() if form == "json" else _Text())
    lowest = getattr(logging, level.upper())
    levels = {
        "": max(lowest, logging.WARNING),
        "imgsearch": lowest,
        NOTES: logging.INFO,
        _ACCESS: logging.INFO if access else logging.CRITICAL,
    }
    before = {name: logging.getLogger(name).level for name in levels}
    root = logging.getLogger()
    root.addHandler(handler)
    root.addHandler(keeper)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        for name, value in before.items():
            logging.getLogger(name).setLevel(value)
        root.removeHandler(keeper)
        root.removeHandler(handler)
        _recent.clear()


class _Text(logging.Formatter):
    """One line for each event; the lines of a traceback follow it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    @override
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time(record)

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
        return f"{line} [request {request_id()}]" if request_id() else line


class _Json(logging.Formatter):
    """One JSON object a line."""

    def values(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the values of a line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id():
            line["request_id"] = request_id()
        line |= getattr(record, "access", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return line

    @override
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.values(record))


class _Keeper(logging.Handler):
    """Keeps the newest lines in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._json = _Json()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            _recent.append(self._json.values(record))
        except Exception:  # noqa: BLE001 - as other handlers: a log line never fails its caller
            self.handleError(record)


def recent_lines(most: int = 200, *, level: Level = "debug") -> list[dict[str, Any]]:
    """Return the newest lines of at least a level, oldest first, while a service runs.

    Each has time, level, logger and message, and what else its JSON line has. At most 1,000 lines
    are kept.
    """
    lowest = LEVELS.index(level)
    ranks = {name: rank for rank, name in enumerate(LEVELS)}
    lines = [line for line in list(_recent) if ranks.get(line["level"], len(LEVELS)) >= lowest]
    return lines[-most:] if most > 0 else []


def _time(record: logging.LogRecord) -> str:
    """Return a record's time in UTC, e.g. 2026-12-01T08:15:30.123Z."""
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03}Z"
