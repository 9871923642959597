"""Request limits, and the middleware that enforces them."""

import os
from dataclasses import dataclass, fields
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch.errors import ConfigError
from imgsearch.images import MAX_PIXELS
from imgsearch.service.problems import HttpProblem, answer

_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits per request, and for all requests together.

    Attributes:
        file_bytes: Size of one uploaded image.
        files: Images in one upload.
        body_bytes: Size of a multipart body.
        video_bytes: Size of an uploaded video, which is written to the disk.
        json_bytes: Size of any other body, which is held in memory.
        pixels: Decoded pixels of one image.
        embeddings: Concurrent query embeddings; also the limit for additions, and for thumbnails.
        searches: Concurrent searches; they take turns to embed, and share store calls.
        waiting: Searches that wait for a thread; also the limit for additions. Others get 503.
        events: Open progress streams.
        jobs: Waiting and running jobs.
        per_minute: Requests per key, or per address if no keys are used; 0 means unlimited.
        seconds: Time from the start of a request to the start of its response.
        video_seconds: The same for the upload of a video.
        connections: Open connections; fewer if the process may not open enough files.
        head_seconds: Time until a request's headers are complete.
        idle_seconds: Time that an idle connection is kept open.
        stall_seconds: Time that a client may pause reading its response.
    """

    file_bytes: int = 64 * _MB
    files: int = 100
    body_bytes: int = 256 * _MB
    video_bytes: int = 1024 * _MB
    json_bytes: int = 16 * _MB
    pixels: int = MAX_PIXELS
    embeddings: int = max(2, os.cpu_count() or 1)
    searches: int = 8 * max(2, os.cpu_count() or 1)
    waiting: int = 128
    events: int = 64
    jobs: int = 16
    per_minute: int = 0
    seconds: float = 60.0
    video_seconds: float = 900.0
    connections: int = 1_000
    head_seconds: float = 10.0
    idle_seconds: float = 5.0
    stall_seconds: float = 30.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            least, value = (
                int(limit.name not in ("per_minute", "waiting")),
                getattr(self, limit.name),
            )
            if not value >= least:
                raise ConfigError(f"the limit {limit.name} is at least {least}, not {value}")


def is_video_upload(scope: Scope) -> bool:
    """Return whether a request uploads a video."""
    return bool(scope["method"] == "POST" and scope["path"] == "/v1/videos")


class BodyLimit:
    """ASGI middleware that rejects too large bodies, with or without a Content-Length."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        multipart = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        most = self._limits.body_bytes if multipart else self._limits.json_bytes
        if multipart and is_video_upload(scope):
            most = self._limits.video_bytes + _MB  # with the fields
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            raise _too_large(most)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _too_large(most)
            return message

        await self._app(scope, receive_counted, send)


class Deadline:
    """ASGI middleware that sends an error if a response does not start in time.

    A response that has started may stream without a limit. Work already running in a thread
    continues, and its result is discarded.
    """

    def __init__(self, app: ASGIApp, *, seconds: float, video_seconds: float) -> None:
        self._app, self._seconds, self._video_seconds = app, seconds, video_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = complete = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started, limit.deadline = True, float("inf")
            await send(message)

        async def receive_noted() -> Message:
            nonlocal complete
            message = await receive()
            complete = complete or not message.get("more_body", False)
            return message

        seconds = self._video_seconds if is_video_upload(scope) else self._seconds
        with anyio.move_on_after(seconds) as limit:
            await self._app(scope, receive_noted, send_noted)
        if limit.cancelled_caught and not started:
            await answer(scope, _too_late(complete=complete))(scope, receive, send)


def _too_large(most: int) -> HttpProblem:
    return HttpProblem(
        413, "body_too_large", f"The body is larger than the {most:,} bytes allowed."
    )


def _too_late(*, complete: bool) -> HttpProblem:
    if complete:
        return HttpProblem(503, "deadline_exceeded", "The response took too long.", retry=5)
    return HttpProblem(408, "request_timeout", "The body took too long to arrive.")
