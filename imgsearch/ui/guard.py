"""An ASGI filter that forwards only the requests that the page needs to Gradio.

Gradio 6 would also fetch URLs from a request (``/file=https://…``, or in place of an uploaded
file), run any handler by name, and edit its own source in "vibe" mode. So only listed paths are
allowed, and files in calls must be uploads.
"""

import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NoReturn, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from imgsearch.archive import Archive
from imgsearch.errors import AccessDenied, CatalogError
from imgsearch.ui import originals
from imgsearch.ui.sign_in import UNCHECKED, key_of, sign_in, to_form
from imgsearch.ui.visitor import Check, Visitor

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Gradio runs component code with `new Function`, and sets styles on elements
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; frame-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send forms with Origin: null
}
_ASSETS: Final = re.compile(
    r"/(?:assets|static|svelte)/.+|/(?:gradio_api/)?theme\.css|/manifest\.json|/favicon\.ico"
    r"|/robots\.txt|/pwa_icon(?:/\d+)?"
)
_READ: Final = re.compile(
    rf"/|/config/?|{originals.PATH.pattern}|/gradio_api/(?:startup-events|heartbeat/\w+|queue/data|upload_progress"
    r"|file=(?!\w+:/).+)"
)
_WRITTEN: Final = re.compile(r"/gradio_api/(?:queue/join|upload|cancel|reset)/?")
_UPLOAD: Final = re.compile(r"/gradio_api/upload/?")
_LONGEST_NAME: Final = 255  # bytes of a file name, the limit of common file systems
_CHARSET: Final = re.compile(r";\s*charset\s*=", re.IGNORECASE)
_CALL_BYTES: Final = 4 * 2**20  # of a call's JSON; files are sent to /upload
_EXACT: Final = 2**53  # the largest integer that JavaScript represents exactly
_log = logging.getLogger(__name__)


class Guard:
    """An ASGI application that forwards to `app` the requests that the page needs.

    See `imgsearch.ui.mount` for `check`. The originals of `archive` are sent at ``/original/ID``.
    `hosts` are the accepted host names, empty for any. They
    protect against other names that resolve to this machine (DNS rebinding).
    """

    def __init__(
        self,
        app: App,
        *,
        check: Check | None = None,
        hosts: tuple[str, ...] = (),
        archive: Archive | None = None,
    ) -> None:
        self._app, self._check, self._hosts = app, check, hosts
        self._archive = archive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward or reject one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = await self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
        elif self._archive is not None and (match := originals.PATH.fullmatch(_path(scope))):
            key = None if self._check is None else request.state.key
            archive = Visitor.of(key, self._archive).archive
            response = await originals.send_original(archive, request, match[1])
            await response(scope, receive, send)  # with its own policy
        elif request.method != "POST":
            await self._app(scope, receive, send_with_headers)
        elif _UPLOAD.fullmatch(_path(scope)):
            await _call_gradio(self._app, scope, receive, send_with_headers)
        else:
            await self._call(request, send_with_headers)

    async def _refusal(self, request: Request) -> Response | None:
        """Return the response for a request that is not forwarded, or None to forward it."""
        if refusal := self._foreign(request):
            return refusal
        path = _path(request.scope)
        if not _names_file(path):
            return PlainTextResponse("not found", 404)
        if self._check is not None and path in ("/sign-in", "/sign-out"):
            return await sign_in(request, self._check)
        reading = request.method in ("GET", "HEAD")
        if reading and _ASSETS.fullmatch(path):
            return None
        known = _READ if reading else _WRITTEN
        if not known.fullmatch(path) or request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("not found", 404)
        if _CHARSET.search(request.headers.get("content-type", "")):
            # Browsers send no charset. Gradio would use any of Python's codecs, and fail with some.
            return PlainTextResponse("the charset is always UTF-8", 415)
        return await self._unsigned(request, path)

    def _foreign(self, request: Request) -> Response | None:
        if self._hosts and (request.url.hostname or "") not in self._hosts:
            return PlainTextResponse("this host name is not accepted", 421)
        if not _same_origin(request):
            return PlainTextResponse("pages of other origins may not call this page", 403)
        return None

    async def _unsigned(self, request: Request, path: str) -> Response | None:
        if self._check is None:
            return None
        key = key_of(request)
        try:
            request.state.key = await run_in_threadpool(self._check, key, "read")
        except AccessDenied:
            if path == "/":
                return to_form(request)
            return PlainTextResponse("sign in first", 401)
        except CatalogError:
            return PlainTextResponse(UNCHECKED, 503)
        return None

    async def _call(self, request: Request, send: Send) -> None:
        """Forward a call that is plain JSON and whose files are uploads, not URLs."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _CALL_BYTES:
                await PlainTextResponse("too large", 413)(request.scope, request.receive, send)
                return
        if not is_call(body):
            await _not_a_call(request.scope, request.receive, send)
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else await request.receive()

        await _call_gradio(self._app, request.scope, receive, send)


_not_a_call: Final = PlainTextResponse("not a call of the page", 422)


async def _call_gradio(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Call Gradio; respond with 422 if it cannot parse the request.

    Gradio only parses and queues within the request and runs the call later, so these exceptions
    mean that the request is malformed.
    """
    started = False

    async def send_noted(message: Message) -> None:
        nonlocal started
        started = True
        await send(message)

    try:
        await app(scope, receive, send_noted)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        if started:
            raise
        _log.info("Gradio could not parse a request", exc_info=error)
        await _not_a_call(scope, receive, send)


def is_call(body: bytes) -> bool:
    """Return whether a body is JSON as browsers send it, without file URLs.

    NaN, infinity, lone surrogates and integers beyond 2**53 are rejected, because Gradio cannot
    return them.
    """
    try:
        call = json.loads(body, parse_constant=_refused, parse_float=_finite, parse_int=_exact)
        json.dumps(call, ensure_ascii=False).encode()  # no lone surrogates
        return not names_url(call)
    except (ValueError, RecursionError):
        return False


def _refused(text: str) -> NoReturn:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text)


def _exact(text: str) -> int:
    number = int(text)
    return number if abs(number) <= _EXACT else _refused(text)


def names_url(value: Any) -> bool:
    """Return whether a call contains a file path that is a URL, which Gradio would fetch."""
    if isinstance(value, list):
        return any(map(names_url, value))
    if not isinstance(value, dict):
        return False
    place = value.get("path")
    if isinstance(place, str) and "://" in place:
        return True
    return any(map(names_url, value.values()))


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin is None or request.method in ("GET", "HEAD"):
        return True
    return origin.partition("://")[2] == request.headers.get("host")


def _names_file(path: str) -> bool:
    """Return whether a path is valid: without NUL, and without a component over 255 bytes."""
    return "\0" not in path and all(
        len(part.encode(errors="surrogatepass")) <= _LONGEST_NAME for part in path.split("/")
    )


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
