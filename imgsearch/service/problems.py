"""Error responses as problem+json (RFC 9457), from the table in `wire.problems`.

Responses to client errors contain no paths, URLs or exceptions of the service. A server error is
logged with an id, and the response contains that id.
"""

import errno
import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch import errors
from imgsearch.wire.problems import CODES, KINDS, kind_of, message

MEDIA_TYPE: Final = "application/problem+json"
_log = logging.getLogger(__name__)


class HttpProblem(HTTPException):
    """An HTTP error that has no library error class: a status with a stable code."""

    def __init__(self, status: int, code: str, detail: str, *, retry: int = 0) -> None:
        headers = {"Retry-After": str(retry)} if retry else None
        super().__init__(status, detail, headers)
        self.code = code


def body(
    status: int, code: str, detail: str, *, instance: str = "", **extra: Any
) -> dict[str, Any]:
    """Return a problem as JSON values; `instance` is the id of the request or incident."""
    return {
        "type": f"urn:imgsearch:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": f"urn:imgsearch:request:{instance}" if instance else "",
        "code": code,
        **extra,
    }


def answer(scope: Scope, error: Exception) -> JSONResponse:
    """Return the response for `error`, and log it if it is a server error."""
    instance = str(scope.get("state", {}).get("request_id", "")) or secrets.token_hex(8)
    problem = _problem(error)
    headers = dict(problem.headers or {})
    if problem.status_code == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(
        error, HTTPException
    ):
        method = scope.get("method", "")
        _log.error("request %s: %s %s", instance, method, problem.code, exc_info=error)
    extra: dict[str, Any] = {}
    if isinstance(error, RequestValidationError):
        extra["errors"] = [_fault(fault) for fault in error.errors()]
    content = body(problem.status_code, problem.code, problem.detail, instance=instance, **extra)
    return JSONResponse(content, problem.status_code, headers, media_type=MEDIA_TYPE)


def _problem(error: Exception) -> HttpProblem:
    """Return the problem for an error."""
    match error:
        case errors.ImgSearchError():
            kind = kind_of(error)
            return HttpProblem(kind.status, kind.code, message(error), retry=kind.retry)
        case RequestValidationError():
            return HttpProblem(422, "invalid_request", "The request does not match its schema.")
        case HttpProblem():
            return error
        case HTTPException():
            code = CODES.get(error.status_code, "refused")
            problem = HttpProblem(error.status_code, code, str(error.detail))
            problem.headers = error.headers
            return problem
        case ClientDisconnect():
            return HttpProblem(400, "disconnected", "The client disconnected.")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return HttpProblem(503, "busy", "Too many files are open.", retry=5)
    return HttpProblem(500, "internal", KINDS[errors.ImgSearchError].text)


class Incidents:
    """ASGI middleware that turns every exception into a problem response without a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:  # the outermost handler: nothing else would respond
            if started:  # the client gets an incomplete response; the reason is logged
                _log.error("a response was interrupted", exc_info=error)
                raise
            await answer(scope, error)(scope, receive, send)


def install(app: FastAPI) -> None:
    """Install the handlers that make `app` respond to every error with a problem."""

    async def handler(request: Request, error: Exception) -> JSONResponse:
        return answer(request.scope, error)

    for family in (errors.ImgSearchError, HTTPException, RequestValidationError):
        app.add_exception_handler(family, handler)


def _fault(fault: Mapping[str, Any]) -> dict[str, Any]:
    """Return the location of an invalid value and the reason, without the value itself."""
    return {
        "where": [str(part) for part in fault.get("loc", ())],
        "why": str(fault.get("msg", "")),
    }
