"""Image routes: add, list, get, update and delete; originals and thumbnails."""

from collections.abc import Iterator
from datetime import datetime
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.datastructures import UploadFile

from imgsearch import archive
from imgsearch.archive import Incoming, Order, State
from imgsearch.filters.text import LONGEST
from imgsearch.service import conversion
from imgsearch.service.bodies import BINARY, described, described_form, json_body
from imgsearch.service.parameters import MAX_CURSOR, filter_of
from imgsearch.service.problems import HttpProblem, answer
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here, Service
from imgsearch.service.uploads import (
    check_pixels,
    display_name,
    json_field,
    tags_of,
    upload,
    validated,
)
from imgsearch.wire import requests, responses, values
from imgsearch.wire.problems import kind_named
from imgsearch.wire.ranges import RangeUnsatisfiable, byte_range

router = APIRouter(prefix="/v1/images", tags=["images"])
_Id = Annotated[values.Id, Path()]
_FIELDS: Final[TypeAdapter[Any]] = TypeAdapter(values.Fields)
_ORIGINALS: Final = ("image/*", "video/*", "application/octet-stream")
_OUTSIDE: Final = HttpProblem(416, "range_unsatisfiable", "The range is outside of the file.")
_FOREVER: Final = "private, max-age=31536000, immutable"
_REVALIDATE: Final = "private, no-cache"


class Edge(IntEnum):
    """Thumbnail sizes in pixels. There are few, because every thumbnail is stored."""

    TINY = 64
    SMALL = 128
    MEDIUM = 256
    LARGE = 512
    HUGE = 1024


class _AddForm(BaseModel):
    """The form fields of an upload."""

    model_config = ConfigDict(extra="forbid")
    collection: values.CollectionName = "images"
    label: values.Text | None = None
    fields: str = "{}"
    id: values.NewId | None = None
    ocr: bool = False
    tags: str | None = None
    tag_top: int | None = Field(None, ge=1, le=values.MAX_TAGS)


_UPLOAD: Final = described_form(
    {
        "file": {
            "type": "array",
            "items": BINARY,
            "description": "an image; repeat the part for several",
        },
        "collection": {"type": "string", "default": "images"},
        "label": {
            "type": "string",
            "description": "replaces the label of known images; may be empty",
        },
        "fields": {
            "type": "string",
            "description": 'a JSON object, e.g. {"year": 2024}, or a list of '
            "the objects of each file",
        },
        "id": {
            "type": "string",
            "description": "id of the image, if it is the only one",
        },
        "ocr": {"type": "boolean", "description": requests.OCR},
        "tags": {
            "type": "string",
            "description": f"a JSON list of {requests.TAGS}",
        },
        "tag_top": {"type": "integer", "description": requests.TAG_TOP},
    }
)


@router.post(
    "",
    status_code=201,
    response_model=responses.UploadResult,
    responses={200: {"model": responses.UploadResult, "description": "No image was new"}},
    dependencies=[allowed("write", limited=True)],
    openapi_extra=_UPLOAD,
)
async def add_images(request: Request, here: Here) -> Response:
    """Add one or more images.

    Known images are not errors; if a label is sent, it replaces theirs. Unusable images are listed
    in `failures`. If no image is usable, the response is the first image's problem.
    """
    with here.metrics.stage("receive"):
        uploading = upload(request, here.limits, files=here.limits.files)
        received = await uploading.__aenter__()
    try:
        form: _AddForm = validated(received.fields, _AddForm)
        stated = validated({"fields": json_field(form.fields)}, requests.UploadedFields)
        fields = stated.of_each(len(received.files))
        if form.id is not None and len(received.files) > 1:
            raise HttpProblem(422, "invalid_request", "An id can be given for a single image only.")
        items = [
            _incoming(here, file, form, own)
            for file, own in zip(received.files, fields, strict=True)
        ]
        tags = [] if form.tags is None else tags_of(form.tags)
        analysis = here.analysis(ocr=form.ocr, tags=tags, top=form.tag_top)
        add = partial(
            here.archive.add,
            items,
            collection=form.collection,
            found=len(items),
            analysis=analysis,
        )
        with here.metrics.stage("add"):
            added = await here.workers.run(add)
    finally:
        await uploading.__aexit__(None, None, None)
    return _response(here, added)


@router.get("", dependencies=[allowed("read", limited=True)])
def list_images(
    here: Here,
    collection: values.CollectionName | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    after: Annotated[
        str | None, Query(max_length=MAX_CURSOR, description="`next` of a page")
    ] = None,
    page: Annotated[
        int, Query(ge=1, le=100_000, description="number of a page; `after` is faster")
    ] = 1,
    order: Order = "created",
    descending: bool = False,  # noqa: FBT001, FBT002 - query parameters come by name
    state: State | None = None,
    label: Annotated[str | None, Query(max_length=512)] = None,
    text: Annotated[str | None, Query(max_length=512, description="part of the name")] = None,
    content: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
    source: Annotated[str | None, Query(max_length=16)] = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    where: Annotated[
        str | None, Query(max_length=LONGEST, description="a filter as a text or as JSON")
    ] = None,
    order_by: Annotated[
        str | None,
        Query(
            pattern=requests.ORDER,
            description="a field, or - and a field; replaces order and descending",
            examples=["-year"],
        ),
    ] = None,
) -> responses.Images:
    """List images in pages. Cursors stay valid while images are added or deleted.

    `page` counts from 1, in pages of `limit` images, up to image 100,000; it excludes `after`.
    A filter by `where` reads all images that the other parameters select, as does an order by a
    field. Images without the field are last.
    """
    by = archive.SortOrder(order, descending)
    if order_by is not None:
        by = archive.SortOrder.parse(order_by)
    listed = here.archive.entries(
        collection,
        limit=limit,
        after=after,
        skip=(page - 1) * limit,
        order="name" if by.field == "path" else by.field,  # the place is not shown
        descending=by.descending,
        state=state,
        label=label,
        text=text,
        content=content,
        source=source,
        created_after=created_after,
        created_before=created_before,
        where=filter_of(where),
    )
    images = [conversion.image(entry) for entry in listed.entries]
    return responses.Images(images=images, total=listed.total, next=listed.next)


@router.post(
    "/delete", dependencies=[allowed("write", limited=True)], openapi_extra=described(requests.Ids)
)
def delete_images(
    here: Here, ids: Annotated[requests.Ids, json_body(requests.Ids)]
) -> responses.Deleted:
    """Delete images; unknown ids are ignored."""
    deleted = here.archive.delete(ids.ids)
    here.metrics.images.labels("deleted").inc(deleted)
    return responses.Deleted(deleted=deleted)


@router.get("/{id}", dependencies=[allowed("read", limited=True)])
def get_image(here: Here, id: _Id) -> responses.Image:  # noqa: A002 - the parameter's public name
    """Get an image's metadata."""
    return conversion.image(here.archive.entry(id))


@router.patch(
    "/{id}", dependencies=[allowed("write", limited=True)], openapi_extra=described(requests.Change)
)
def update_image(
    here: Here,
    id: _Id,  # noqa: A002 - as above
    values: Annotated[requests.Change, json_body(requests.Change)],
) -> responses.Image:
    """Update an image's label, name or fields; omitted values are kept."""
    return conversion.image(here.archive.update(id, **values.model_dump(exclude_none=True)))


@router.delete("/{id}", status_code=204, dependencies=[allowed("write", limited=True)])
def delete_image(here: Here, id: _Id) -> Response:  # noqa: A002 - as above
    """Delete an image.

    Its vector and original are deleted if no other image has the same content.
    """
    here.archive.entry(id)
    here.metrics.images.labels("deleted").inc(here.archive.delete([id]))
    return Response(status_code=204)


@router.get(
    "/{id}/original",
    dependencies=[allowed("read", limited=True)],
    response_class=StreamingResponse,
    responses={
        200: {"content": {kind: {} for kind in _ORIGINALS}},
        206: {"content": {kind: {} for kind in _ORIGINALS}, "description": "The part in Range"},
        304: {},
    },
)
def get_original(
    request: Request,
    here: Here,
    id: _Id,  # noqa: A002 - as above
    v: Annotated[
        str, Query(max_length=64, description="the content's version, from the image's links")
    ] = "",
    download: bool = False,  # noqa: FBT001, FBT002 - as above
    if_none_match: Annotated[str, Header(max_length=1_000)] = "",
    range: Annotated[str, Header(max_length=100, examples=["bytes=0-1023"])] = "",  # noqa: A002 - the header's name
    if_range: Annotated[str, Header(max_length=1_000)] = "",
) -> Response:
    """Get an image's file as it was added; of a frame, the file of its video.

    The header `Range` asks for a part of the file, so that players can seek.
    """
    entry = here.archive.entry(id)
    headers = _cached(entry.file, f'"{entry.file}"', v)
    if headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    stored = here.archive.original(id)
    if stored.parts is None:
        return RedirectResponse(stored.link or "", 307, headers={"Cache-Control": "no-store"})
    headers |= stored.headers(download=download)
    kind = stored.content_type
    if stored.opener is None or not stored.size:
        return StreamingResponse(_started(stored.parts), 200, headers, media_type=kind)
    headers["Accept-Ranges"] = "bytes"
    try:
        part = byte_range(range, stored.size) if if_range in ("", headers["ETag"]) else None
    except RangeUnsatisfiable:
        refusal = answer(request.scope, _OUTSIDE)
        refusal.headers["Content-Range"] = f"bytes */{stored.size}"
        return refusal
    if part is None:
        return StreamingResponse(_started(stored.parts), 200, headers, media_type=kind)
    parts = _started(stored.part(part.start, part.stop))
    return StreamingResponse(parts, 206, headers | part.headers, media_type=kind)


@router.get(
    "/{id}/thumbnail",
    dependencies=[allowed("read", limited=True)],
    response_class=Response,
    responses={200: {"content": {"image/webp": {}, "image/jpeg": {}}}, 304: {}},
)
async def get_thumbnail(
    here: Here,
    id: _Id,  # noqa: A002 - as above
    edge: Edge = Edge.MEDIUM,
    v: Annotated[
        str, Query(max_length=64, description="the content's version, from the image's links")
    ] = "",
    if_none_match: Annotated[str, Header(max_length=1_000)] = "",
) -> Response:
    """Get a thumbnail, with EXIF orientation applied and metadata stripped."""

    def respond() -> Response:
        entry = here.archive.entry(id)
        headers = _cached(entry.content, f'"{entry.content}-{edge:d}"', v)
        if headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        with here.metrics.stage("thumbnail"):
            data = here.archive.thumbnail(id, int(edge))
        kind = "image/webp" if data[8:12] == b"WEBP" else "image/jpeg"
        return Response(data, 200, headers, kind)

    return await here.thumbnails.run(respond)


def _incoming(here: Service, file: UploadFile, form: _AddForm, fields: dict[str, Any]) -> Incoming:
    def read() -> bytes:
        data = file.file.read()
        check_pixels(data, here.limits)
        return data

    name = display_name(file.filename)
    return Incoming(name, label=form.label, fields=fields, id=form.id, reader=read)


def _response(here: Service, added: archive.Added) -> Response:
    report = added.report
    failures = [
        responses.FailedImage.of(failure, display_name(failure.path)) for failure in report.failures
    ]
    new = report.added
    for outcome, number in {
        "new": new,
        "updated": report.updated,
        "known": report.skipped,
        "failed": len(failures),
    }.items():
        here.metrics.images.labels(outcome).inc(number)
    if failures and not added.entries:
        kind = kind_named(report.failures[0].error)
        raise HttpProblem(kind.status, kind.code, kind.text, retry=kind.retry)
    content = responses.UploadResult(
        images=[conversion.image(entry) for entry in added.entries],
        new=new,
        updated=report.updated,
        failures=failures,
    )
    return JSONResponse(content.model_dump(mode="json"), 201 if new else 200)


def _cached(content: str, etag: str, version: str) -> dict[str, str]:
    """Return caching headers: cached forever if `version` is the content's, else revalidated."""
    named = version == conversion.version_of(content)
    return {"ETag": etag, "Cache-Control": _FOREVER if named else _REVALIDATE}


def _started(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return `parts` after reading the first one, so that a read error can become a response."""
    first = next(parts, b"")
    return chain([first], parts)
