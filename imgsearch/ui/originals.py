"""Sends the originals of images to the visitors of the page."""

import re
from itertools import chain
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from imgsearch.archive import Archive
from imgsearch.errors import (
    AccessDenied,
    ImageNotFound,
    ImgSearchError,
    ObjectNotFound,
    SourceError,
)
from imgsearch.ui.messages import describe
from imgsearch.wire.ranges import RangeUnsatisfiable, byte_range

PATH: Final = re.compile(r"/original/([A-Za-z0-9._-]{1,64})")
"""The path of an original, by the image's id; with ``?download`` the file is not shown."""

_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}
_MISSING: Final = (ImageNotFound, ObjectNotFound, SourceError)


async def send_original(archive: Archive, request: Request, id_: str) -> Response:
    """Return the response with an image's file as it was added, under its own name."""
    return await run_in_threadpool(
        _response,
        archive,
        id_,
        header=request.headers.get("range", ""),
        download="download" in request.url.query,
    )


def _response(archive: Archive, id_: str, *, header: str, download: bool) -> Response:
    try:
        original = archive.original(id_)
        part = byte_range(header, original.size) if original.opener and original.size else None
        whole = original.parts or ()
        parts = iter(whole if part is None else original.part(part.start, part.stop))
        start = next(parts, b"")  # so that a failure becomes a response
    except RangeUnsatisfiable:
        return Response(status_code=416, headers=_HEADERS)
    except ImgSearchError as error:
        status = 404 if isinstance(error, _MISSING) else 503
        if isinstance(error, AccessDenied):
            status = 403
        return PlainTextResponse(describe(error), status, _HEADERS)
    headers = {**_HEADERS, **original.headers(download=download)}
    if original.opener is not None:
        headers["Accept-Ranges"] = "bytes"
    status = 200 if part is None else 206
    headers |= {} if part is None else part.headers
    body = chain([start], parts)
    return StreamingResponse(body, status, headers, media_type=original.content_type)


def link(id_: str, *, download: bool = False) -> str:
    """Return the page's link to an original.

    >>> link("00ff", download=True)
    'original/00ff?download'
    """
    return f"original/{id_}{'?download' if download else ''}"
