"""Video routes: upload, list and delete."""

import os
from functools import partial
from typing import Annotated, BinaryIO, Final, cast

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile

from imgsearch.errors import MissingExtra
from imgsearch.service import conversion
from imgsearch.service.bodies import BINARY, described_form
from imgsearch.service.problems import HttpProblem
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.service.uploads import display_name, json_field, tags_of, upload, validated
from imgsearch.wire import requests, responses, values

router = APIRouter(prefix="/v1/videos", tags=["videos"])
_NO_EXTRA: Final = "The service's extra 'video' is not installed."


class _VideoForm(BaseModel):
    """The form fields of an uploaded video."""

    model_config = ConfigDict(extra="forbid")
    collection: values.CollectionName = "images"
    label: values.Text | None = None
    fields: str = "{}"
    frames: str = Field("1", min_length=1, max_length=50)
    ocr: bool = False
    tags: str | None = None
    tag_top: int | None = Field(None, ge=1, le=values.MAX_TAGS)


_UPLOAD: Final = described_form(
    {
        "file": {**BINARY, "description": "a video"},
        "collection": {"type": "string", "default": "images"},
        "label": {"type": "string", "description": "the label of all frames"},
        "fields": {"type": "string", "description": "a JSON object"},
        "frames": {
            "type": "string",
            "default": "1",
            "description": requests.FRAMES,
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
    status_code=202,
    dependencies=[allowed("write", limited=True)],
    openapi_extra=_UPLOAD,
)
async def add_video(request: Request, here: Here, response: Response) -> responses.JobState:
    """Add a video: the job in the response adds its frames as images.

    The video is stored once, as the original of its frames.
    """
    async with upload(request, here.limits, files=1, file_bytes=here.limits.video_bytes) as body:
        form: _VideoForm = validated(body.fields, _VideoForm)
        tags = [] if form.tags is None else tags_of(form.tags)
        stated = validated({"fields": json_field(form.fields)}, requests.UploadedFields)
        (fields,) = stated.of_each(1)
        analysis = here.analysis(ocr=form.ocr, tags=tags, top=form.tag_top)
        (file,) = body.files
        start = partial(
            here.jobs.start_video,
            partial(_reopened, file),
            display_name(file.filename),
            collection=form.collection,
            label=form.label,
            fields=fields,
            frames=form.frames,
            analysis=analysis,
        )
        try:
            job = await here.workers.run(start)
        except MissingExtra as error:
            raise HttpProblem(501, "not_installed", _NO_EXTRA) from error
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return conversion.job_state(job)


@router.get("", dependencies=[allowed("read", limited=True)])
def list_videos(
    here: Here,
    collection: values.CollectionName = "images",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    after: Annotated[values.Id | None, Query(description="`next` of a page")] = None,
) -> responses.Videos:
    """List the videos of a collection in pages, with the number of their frames."""
    videos = here.archive.videos(collection, limit=limit, after=after or "")
    last = videos[-1].id if len(videos) == limit else None
    return responses.Videos(videos=[conversion.video(video) for video in videos], next=last)


@router.delete("/{id}", dependencies=[allowed("write", limited=True)])
def delete_video(here: Here, id: Annotated[values.Id, Path()]) -> responses.Deleted:  # noqa: A002 - the parameter's public name
    """Delete a video with all its frames; an unknown id deletes nothing."""
    deleted = here.archive.delete_video(id)
    here.metrics.images.labels("deleted").inc(deleted)
    return responses.Deleted(deleted=deleted)


def _reopened(file: UploadFile) -> BinaryIO:
    """Return the uploaded file at its start, to be closed by itself."""
    copy = os.fdopen(os.dup(file.file.fileno()), "rb")
    copy.seek(0)
    return cast("BinaryIO", copy)
