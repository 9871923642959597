"""Errors as answers: one table from class to status and code, and problem+json (RFC 9457).

A client is told what it did wrong, in words that hold no path, URL or exception of ours; what went
wrong on this side is logged under an id that the client is told.
"""

import errno
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch import errors

MEDIA_TYPE: Final = "application/problem+json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a class of errors is answered.

    `told`: the error's own message is about what the client sent, and goes out where nothing in it
    looks like a place. `retry`: after how many seconds it may go better, 0 for never.
    """

    status: int
    code: str
    text: str
    told: bool = False
    retry: int = 0


_STORE: Final = "The vector store failed; the log of the service has more."
KINDS: Final[Mapping[type[errors.ImgSearchError], Kind]] = {
    errors.ImgSearchError: Kind(500, "internal", "The service failed; its log has more."),
    errors.ConfigError: Kind(422, "invalid_request", "A value is out of its range.", told=True),
    errors.MissingExtra: Kind(501, "not_installed", "A part that this needs is not installed."),
    errors.SourceError: Kind(422, "source_unreadable", "What was named cannot be read."),
    errors.UrlRefused: Kind(422, "url_refused", "This URL must not be fetched."),
    errors.UrlFailed: Kind(422, "url_failed", "This URL could not be fetched."),
    errors.ImageError: Kind(422, "image_unusable", "The image cannot be used."),
    errors.FormatRefused: Kind(
        415,
        "format_refused",
        "The bytes are no image in a format that is read: JPEG, PNG, WebP, GIF, BMP, TIFF, "
        "JPEG 2000, PPM or AVIF. HEIC needs the server's extra heic; a camera's raw file, a large "
        "preview.",
    ),
    errors.ImageTooLarge: Kind(413, "image_too_large", "The image has more pixels than allowed."),
    errors.ImageCorrupt: Kind(422, "image_corrupt", "The image is damaged: it does not decode."),
    errors.EncoderError: Kind(500, "encoder_failed", "The encoder failed."),
    errors.ModelNotFound: Kind(422, "model_unknown", "There is no model of that name."),
    errors.EncoderRemoved: Kind(
        409, "encoder_removed", "The collection's encoder was removed.", told=True
    ),
    errors.TextUnsupported: Kind(422, "text_unsupported", "The encoder takes images only."),
    errors.TextUnknown: Kind(422, "text_unknown", "The encoder knows no word of it.", told=True),
    errors.WeightsNotFound: Kind(503, "weights_missing", "The encoder's weights are not there."),
    errors.WeightsInvalid: Kind(503, "weights_invalid", "The encoder's weights are not right."),
    errors.EncoderMismatch: Kind(
        409, "encoder_mismatch", "The collection holds vectors of another encoder."
    ),
    errors.BackendError: Kind(503, "store_failed", _STORE, retry=5),
    errors.CollectionNotFound: Kind(
        404, "collection_not_found", "There is no such collection; adding an image makes it."
    ),
    errors.SchemaMismatch: Kind(
        409, "schema_mismatch", "The collection has another schema, or another program created it."
    ),
    errors.DimensionMismatch: Kind(409, "dimension_mismatch", "Vectors are of other lengths."),
    errors.VectorInvalid: Kind(422, "vector_invalid", "The vector has no direction."),
    errors.FieldInvalid: Kind(
        422, "field_invalid", "A field, an id or the filter does not fit.", told=True
    ),
    errors.IndexRefused: Kind(503, "store_failed", _STORE),
    errors.StoreLocked: Kind(503, "store_locked", "Another process has the store.", retry=5),
    errors.BackendUnavailable: Kind(503, "store_unavailable", _STORE, retry=5),
    errors.OperatorNotFound: Kind(500, "internal", "The service failed; its log has more."),
    errors.DatasetError: Kind(422, "source_unreadable", "What was named cannot be read."),
    errors.DownloadError: Kind(503, "download_failed", "What this needs could not be fetched."),
    errors.PrecisionUnreached: Kind(409, "precision_unreached", "No score is as precise."),
    errors.CatalogError: Kind(503, "catalog_failed", "The catalogue failed.", retry=5),
    errors.CatalogOutdated: Kind(503, "catalog_outdated", "The catalogue is of a newer version."),
    errors.ImageNotFound: Kind(404, "image_not_found", "There is no image of that id."),
    errors.ImageExists: Kind(409, "image_exists", "The id is another image's."),
    errors.ImageBusy: Kind(409, "image_busy", "The image is being deleted.", retry=1),
    errors.ObjectStoreError: Kind(
        503, "originals_failed", "The store of originals failed.", retry=5
    ),
    errors.ObjectNotFound: Kind(404, "original_not_found", "The original is not there any more."),
    errors.JobBusy: Kind(409, "job_busy", "The job is not over: cancel it first.", retry=1),
    errors.JobNotFound: Kind(404, "job_not_found", "There is no job of that id."),
    errors.LimitExceeded: Kind(413, "limit_exceeded", "More than is allowed.", told=True),
    errors.AccessDenied: Kind(
        401, "access_denied", "A valid API key is needed: Authorization: Bearer KEY, or X-API-Key."
    ),
    errors.ScopeMissing: Kind(403, "scope_missing", "The API key does not allow this."),
}
"""Every error of ours, as it is answered; a test holds it to errors.py."""

_CODES: Final[Mapping[int, str]] = {
    400: "malformed",
    404: "route_not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "limit_exceeded",
    415: "media_type_unsupported",
    421: "host_refused",
    422: "invalid_request",
    429: "rate_exceeded",
    503: "busy",
}
# a URL, a path of at least two parts or from a home, or a Windows drive
_PLACE: Final = re.compile(r"[a-z][a-z0-9+.-]*://|(?<![\w.])~?/\w|\b[A-Z]:\\", re.IGNORECASE)


class Problem(HTTPException):
    """An answer that is no error of ours, as HTTP itself has them: a status with a stable code."""

    def __init__(self, status: int, code: str, detail: str, *, retry: int = 0) -> None:
        headers = {"Retry-After": str(retry)} if retry else None
        super().__init__(status, detail, headers)
        self.code = code


def kind_of(error: errors.ImgSearchError | type[errors.ImgSearchError]) -> Kind:
    """Return how an error, or a class of them, is answered: as its nearest class in `KINDS`."""
    family = error if isinstance(error, type) else type(error)
    return next(KINDS[each] for each in family.__mro__ if each in KINDS)


def told(error: errors.ImgSearchError) -> str:
    """Return what a client may read of an error."""
    kind = kind_of(error)
    message = str(error)
    if kind.told and message and not _PLACE.search(message):
        return message[:500]
    return kind.text


def kind_named(name: str) -> Kind:
    """Return how the error whose class has this name is answered."""
    family = getattr(errors, name, errors.ImgSearchError)
    return kind_of(family if isinstance(family, type) else errors.ImgSearchError)


def body(
    status: int, code: str, detail: str, *, instance: str = "", **extra: Any
) -> dict[str, Any]:
    """Return a problem as JSON values; `instance` is the request's or the incident's id."""
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
    """Return the response to a request that ended in `error`, and log errors of the service."""
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


def _problem(error: Exception) -> Problem:
    """Return the problem that answers an error."""
    match error:
        case errors.ImgSearchError():
            kind = kind_of(error)
            return Problem(kind.status, kind.code, told(error), retry=kind.retry)
        case RequestValidationError():
            return Problem(422, "invalid_request", "The request does not fit its schema.")
        case Problem():
            return error
        case HTTPException():
            code = _CODES.get(error.status_code, "refused")
            problem = Problem(error.status_code, code, str(error.detail))
            problem.headers = error.headers
            return problem
        case ClientDisconnect():
            return Problem(400, "disconnected", "The client went away.")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return Problem(503, "busy", "Too many files are open.", retry=5)
    return Problem(500, "internal", KINDS[errors.ImgSearchError].text)


class Incidents:
    """ASGI middleware: whatever a request ends in becomes a problem, and never a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # the edge: nothing behind it would answer
            if started:  # the answer breaks off, which tells the client; the log has the reason
                _log.error("an answer broke off", exc_info=error)
                raise
            await answer(scope, error)(scope, receive, send)


def install(app: FastAPI) -> None:
    """Have `app` answer every error with a problem."""

    async def handler(request: Request, error: Exception) -> JSONResponse:
        return answer(request.scope, error)

    for family in (errors.ImgSearchError, HTTPException, RequestValidationError):
        app.add_exception_handler(family, handler)


def _fault(fault: Mapping[str, Any]) -> dict[str, Any]:
    """Return one fault of a request's values: where and why, without the value itself."""
    return {
        "where": [str(part) for part in fault.get("loc", ())],
        "why": str(fault.get("msg", "")),
    }
