"""Routes to images: adding, listing, telling, changing, deleting, showing."""

from collections.abc import Iterator
from datetime import datetime
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.datastructures import UploadFile

from imgsearch import archive
from imgsearch.archive import Entry, Incoming, Order, State
from imgsearch.library.progress import FailedFile
from imgsearch.service import conversion
from imgsearch.service.bodies import described, json_body
from imgsearch.service.problems import Problem
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here, Service
from imgsearch.service.uploads import check_pixels, fitted, shown, upload
from imgsearch.wire import requests, responses, values
from imgsearch.wire.problems import kind_named

router = APIRouter(prefix="/v1/images", tags=["images"])
_Id = Annotated[values.Id, Path()]
_FIELDS: Final[TypeAdapter[Any]] = TypeAdapter(values.Fields)
# what browsers show as pixels, and run nothing of
_PIXELS: Final = frozenset(
    f"image/{each}" for each in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "jp2", "avif")
)
_FOREVER: Final = "private, max-age=31536000, immutable"
_ASK: Final = "private, no-cache"


class Edge(IntEnum):
    """Sizes of thumbnails, in pixels: few, since each is kept."""

    TINY = 64
    SMALL = 128
    MEDIUM = 256
    LARGE = 512
    HUGE = 1024


class _AddForm(BaseModel):
    """The fields beside uploaded images."""

    model_config = ConfigDict(extra="forbid")
    collection: values.CollectionName = "images"
    label: values.Text | None = None
    fields: str = "{}"
    id: values.NewId | None = None


_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "one image or several, each a part of this name",
                        },
                        "collection": {"type": "string", "default": "images"},
                        "label": {
                            "type": "string",
                            "description": "replaces the label of known images; may be empty",
                        },
                        "fields": {"type": "string", "description": 'JSON, as {"year": 2024}'},
                        "id": {"type": "string", "description": "of a single image"},
                    },
                }
            }
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=responses.Added,
    responses={200: {"model": responses.Added, "description": "All were there already"}},
    dependencies=[allowed("write")],
    openapi_extra=_UPLOAD,
)
async def add(request: Request, here: Here) -> Response:
    """Add one image or several.

    A known image is not an error; it gets the label, if one is sent. Images that cannot be used
    are listed in `failures`. If no image can be used, the response is the problem of the first.
    """
    with here.metrics.stage("receive"):
        sending = upload(request, here.limits, files=here.limits.files)
        sent = await sending.__aenter__()
    try:
        form: _AddForm = fitted(sent.fields, _AddForm)
        fields = fitted({"fields": _json(form.fields)}, requests.Change).fields or {}
        if form.id is not None and len(sent.files) > 1:
            raise Problem(422, "invalid_request", "An id is for a single image.")
        items = [_incoming(here, file, form, fields) for file in sent.files]
        adding = partial(here.archive.add, items, collection=form.collection, found=len(items))
        with here.metrics.stage("add"):
            added = await here.workers.run(adding)
    finally:
        await sending.__aexit__(None, None, None)
    return _added(here, added)


@router.get("", dependencies=[allowed("read")])
def page(
    here: Here,
    collection: values.CollectionName | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    after: Annotated[str | None, Query(max_length=1_000, description="`next` of a page")] = None,
    order: Order = "created",
    descending: bool = False,  # noqa: FBT001, FBT002 - query parameters come by name
    state: State | None = None,
    label: Annotated[str | None, Query(max_length=512)] = None,
    text: Annotated[str | None, Query(max_length=512, description="part of the name")] = None,
    content: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
    source: Annotated[str | None, Query(max_length=16)] = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> responses.Images:
    """List images, a page at a time; the cursor holds while images come and go."""
    found = here.archive.entries(
        collection,
        limit=limit,
        after=after,
        order=order,
        descending=descending,
        state=state,
        label=label,
        text=text,
        content=content,
        source=source,
        created_after=created_after,
        created_before=created_before,
    )
    told = [conversion.image(entry) for entry in found.entries]
    return responses.Images(images=told, total=found.total, next=found.next)


@router.post("/delete", dependencies=[allowed("write")], openapi_extra=described(requests.Ids))
def delete_many(
    here: Here, ids: Annotated[requests.Ids, json_body(requests.Ids)]
) -> responses.Deleted:
    """Delete images; unknown ids are ignored."""
    deleted = here.archive.delete(ids.ids)
    here.metrics.images.labels("deleted").inc(deleted)
    return responses.Deleted(deleted=deleted)


@router.get("/{id}", dependencies=[allowed("read")])
def tell(here: Here, id: _Id) -> responses.Image:  # noqa: A002 - the parameter's public name
    """Tell what is known of an image."""
    return conversion.image(here.archive.entry(id))


@router.patch("/{id}", dependencies=[allowed("write")], openapi_extra=described(requests.Change))
def change(
    here: Here,
    id: _Id,  # noqa: A002 - as above
    values: Annotated[requests.Change, json_body(requests.Change)],
) -> responses.Image:
    """Change an image's label, name or fields; values that are left out stay."""
    return conversion.image(here.archive.update(id, **values.model_dump(exclude_none=True)))


@router.delete("/{id}", status_code=204, dependencies=[allowed("write")])
def delete(here: Here, id: _Id) -> Response:  # noqa: A002 - as above
    """Delete an image; its vector and its original go with the last image of its content."""
    here.archive.entry(id)
    here.metrics.images.labels("deleted").inc(here.archive.delete([id]))
    return Response(status_code=204)


@router.get(
    "/{id}/original",
    dependencies=[allowed("read")],
    response_class=StreamingResponse,
    responses={200: {"content": {"image/*": {}, "application/octet-stream": {}}}, 304: {}},
)
def original(
    here: Here,
    id: _Id,  # noqa: A002 - as above
    v: Annotated[str, Query(max_length=64, description="the content that is meant")] = "",
    download: bool = False,  # noqa: FBT001, FBT002 - as above
    if_none_match: Annotated[str, Header(max_length=1_000)] = "",
) -> Response:
    """Show an image as it was added."""
    entry = here.archive.entry(id)
    headers = _cached(entry, f'"{entry.content}"', v)
    if headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    found = here.archive.original(id)
    if found.parts is None:
        return RedirectResponse(found.link or "", 307, headers={"Cache-Control": "no-store"})
    safe = found.media_type in _PIXELS
    headers |= {
        "Content-Disposition": _disposition(found.name, inline=safe and not download),
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    kind = found.media_type if safe else "application/octet-stream"
    return StreamingResponse(_begun(found.parts), 200, headers, media_type=kind)


@router.get(
    "/{id}/thumbnail",
    dependencies=[allowed("read")],
    response_class=Response,
    responses={200: {"content": {"image/webp": {}, "image/jpeg": {}}}, 304: {}},
)
async def thumbnail(
    here: Here,
    id: _Id,  # noqa: A002 - as above
    edge: Edge = Edge.MEDIUM,
    v: Annotated[str, Query(max_length=64, description="the content that is meant")] = "",
    if_none_match: Annotated[str, Header(max_length=1_000)] = "",
) -> Response:
    """Show an image in small, upright, without what its file tells beside the pixels."""

    def made() -> Response:
        entry = here.archive.entry(id)
        headers = _cached(entry, f'"{entry.content}-{edge:d}"', v)
        if headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        with here.metrics.stage("thumbnail"):
            data = here.archive.thumbnail(id, int(edge))
        kind = "image/webp" if data[8:12] == b"WEBP" else "image/jpeg"
        return Response(data, 200, headers, kind)

    return await here.thumbnails.run(made)


def _incoming(here: Service, file: UploadFile, form: _AddForm, fields: dict[str, Any]) -> Incoming:
    def read() -> bytes:
        data = file.file.read()
        check_pixels(data, here.limits)
        return data

    return Incoming(shown(file.filename), label=form.label, fields=fields, id=form.id, reader=read)


def _added(here: Service, added: archive.Added) -> Response:
    stages, failures = added.stages, [_failure(line) for line in added.failures]
    new = stages.inserted
    for outcome, number in {
        "new": new,
        "updated": stages.updated,
        "known": stages.skipped,
        "failed": len(failures),
    }.items():
        here.metrics.images.labels(outcome).inc(number)
    if failures and not added.entries:
        kind = kind_named(added.failures[0].error)
        raise Problem(kind.status, kind.code, kind.text, retry=kind.retry)
    told = responses.Added(
        images=[conversion.image(entry) for entry in added.entries],
        new=new,
        updated=stages.updated,
        failures=failures,
    )
    return JSONResponse(told.model_dump(mode="json"), 201 if new else 200)


def _failure(line: FailedFile) -> responses.Failure:
    kind = kind_named(line.error)
    return responses.Failure(
        name=shown(line.path), stage=line.stage, code=kind.code, detail=kind.text
    )


def _json(text: str) -> Any:
    """Return what a form field tells as JSON.

    Raises:
        Problem: it is none.
    """
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem(422, "invalid_request", "The field is no JSON.") from error


def _cached(entry: Entry, etag: str, version: str) -> dict[str, str]:
    """Return headers to keep an answer by: for good where the address names the content."""
    named = version == conversion.version_of(entry.content)
    return {"ETag": etag, "Cache-Control": _FOREVER if named else _ASK}


def _begun(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return `parts`, of which the first was had: an error comes while it can be answered."""
    first = next(parts, b"")
    return chain([first], parts)


def _disposition(name: str, *, inline: bool) -> str:
    """Return a Content-Disposition (RFC 6266) that no name breaks out of."""
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._- ") else "_"
        for letter in name
    ).strip()
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain or 'image'}\"; filename*=UTF-8''{quote(name, safe='')}"
