"""What a request may cost, and the middlewares that hold it to that."""

import os
from dataclasses import dataclass, fields
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch.errors import ConfigError
from imgsearch.images import MAX_PIXELS
from imgsearch.service.problems import Problem, answer

_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one request, and on all requests together.

    Attributes:
        file_bytes: Size of one uploaded image.
        files: Images in one upload.
        body_bytes: Size of a multipart body.
        json_bytes: Size of any other body, which is held in memory.
        pixels: Decoded pixels of one image.
        embeddings: Searches that embed at once, and as many additions.
        searches: Searches underway at once; they embed in turn and share calls of the store.
        waiting: Searches, and additions, that wait for their turn; a further one gets 503.
        events: Open streams of progress.
        jobs: Jobs that wait or run.
        per_minute: Requests of one key, or of one address without keys; 0 sets no limit.
        seconds: From the start of a request to the start of its response.
        connections: Open connections; fewer if the process may not open enough files.
        head_seconds: Until a request's head is complete.
        idle_seconds: That a connection is kept alive without a request.
        stall_seconds: In which a client may read nothing of its response.
    """

    file_bytes: int = 64 * _MB
    files: int = 100
    body_bytes: int = 256 * _MB
    json_bytes: int = 16 * _MB
    pixels: int = MAX_PIXELS
    embeddings: int = max(2, os.cpu_count() or 1)
    searches: int = 8 * max(2, os.cpu_count() or 1)
    waiting: int = 128
    events: int = 64
    jobs: int = 16
    per_minute: int = 0
    seconds: float = 60.0
    connections: int = 1_000
    head_seconds: float = 10.0
    idle_seconds: float = 5.0
    stall_seconds: float = 30.0

    def __post_init__(self) -> None:
        for each in fields(self):
            least = 0 if each.name in ("per_minute", "waiting") else 1
            if not getattr(self, each.name) >= least:
                raise ConfigError(f"the limit {each.name} is at least {least}")


class BodyLimit:
    """ASGI middleware: a body is cut off where it grows too large, told its length or not."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        multipart = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        most = self._limits.body_bytes if multipart else self._limits.json_bytes
        told = headers.get(b"content-length", b"0")
        if not told.isdigit() or int(told) > most:
            raise _too_large(most)
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


class Deadline:
    """ASGI middleware: an answer begins in time, or is one that says so.

    What streams afterwards, as progress does, may take as long as it takes. Work that was handed to
    a thread goes on there, and its result is dropped.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = whole = False

        async def watched(message: Message) -> None:
            nonlocal started
            started, limit.deadline = True, float("inf")
            await send(message)

        async def noted() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        with anyio.move_on_after(self._seconds) as limit:
            await self._app(scope, noted, watched)
        if limit.cancelled_caught and not started:
            await answer(scope, _too_late(whole=whole))(scope, receive, send)


def _too_large(most: int) -> Problem:
    return Problem(413, "body_too_large", f"The body is larger than the {most:,} bytes allowed.")


def _too_late(*, whole: bool) -> Problem:
    if whole:
        return Problem(503, "deadline_exceeded", "The answer took too long.", retry=5)
    return Problem(408, "request_timeout", "The body took too long to arrive.")
