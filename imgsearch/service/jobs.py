"""Background job routes: start, list, get, stream, cancel, retry and delete."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from imgsearch.archive import Job
from imgsearch.errors import JobNotFound
from imgsearch.service import conversion
from imgsearch.service.bodies import described, json_body
from imgsearch.service.problems import HttpProblem
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here, Service
from imgsearch.types import Failure
from imgsearch.wire import requests, responses

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_Id = Annotated[str, Path(pattern="^[A-Za-z0-9-]{1,64}$")]
_Limit = Annotated[int, Query(ge=1, le=1_000)]
_After = Annotated[str | None, Query(max_length=1_000, description="`next` of a page")]
_POLL: Final = 0.1  # seconds between two reads of a job's state in memory
_KEEP_ALIVE: Final = 15.0  # seconds between comment lines, so that proxies keep the stream open


@router.post(
    "",
    status_code=202,
    dependencies=[allowed("write", limited=True)],
    openapi_extra=described(requests.JobRequest),
)
def start_job(
    here: Here,
    job: Annotated[requests.JobRequest, json_body(requests.JobRequest)],
    response: Response,
) -> responses.JobState:
    """Start a job that adds a folder or list inside the service's roots, or images by URL."""
    jobs = here.jobs
    analysis = here.analysis(ocr=job.ocr, tags=job.tags or (), top=job.tag_top)
    if job.folder is not None:
        started = jobs.start_folder(
            job.folder,
            collection=job.collection,
            in_place=job.in_place,
            path_column=job.path_column,
            label_column=job.label_column,
            sync=job.sync,
            dry_run=job.dry_run,
            confirm=job.confirm,
            exclude=job.exclude,
            frames=job.frames or 1.0,
            analysis=analysis,
        )
    else:
        here.require_urls()
        started = jobs.start_urls(job.urls or [], collection=job.collection, analysis=analysis)
    response.headers["Location"] = f"/v1/jobs/{started.id}"
    return conversion.job_state(started)


@router.get("", dependencies=[allowed("read", limited=True)])
def list_jobs(here: Here, limit: _Limit = 50, after: _After = None) -> responses.JobList:
    """List jobs in pages, newest first."""
    page = here.jobs.recent(limit=limit, after=after)
    return responses.JobList(jobs=[conversion.job_state(job) for job in page.jobs], next=page.next)


@router.get("/{id}", dependencies=[allowed("read", limited=True)])
async def get_job(here: Here, id: _Id) -> responses.JobState:  # noqa: A002 - the parameter's public name
    """Get a job's state and progress."""
    return conversion.job_state(await _job(here, id))


@router.get("/{id}/failures", dependencies=[allowed("read", limited=True)])
def list_job_failures(
    here: Here,
    id: _Id,  # noqa: A002 - as above
    limit: _Limit = 100,
    after: _After = None,
) -> responses.JobFailures:
    """List a job's failed files in order, in pages."""
    job = here.jobs.get(id)
    page = here.jobs.failures(id, limit=limit, after=after)
    failures = [_failure(job, failure) for failure in page.failures]
    return responses.JobFailures(failures=failures, next=page.next)


@router.get(
    "/{id}/events",
    dependencies=[allowed("read", limited=True)],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream_job_events(here: Here, id: _Id, request: Request) -> Response:  # noqa: A002 - as above
    """Stream a job's changes: each as a `progress` event, the last one as an `end` event."""
    job = await _job(here, id)
    if here.process.streams >= here.limits.events:
        raise HttpProblem(503, "busy", "Too many streams are open. Get the job instead.", retry=5)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = _events(here, job, request)
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


@router.post("/{id}/cancel", dependencies=[allowed("write", limited=True)])
def cancel_job(here: Here, id: _Id) -> responses.JobState:  # noqa: A002 - as above
    """Cancel a job after the images in progress; added images are kept."""
    return conversion.job_state(here.jobs.cancel(id))


@router.delete("/{id}", status_code=204, dependencies=[allowed("write", limited=True)])
def delete_job(here: Here, id: _Id) -> Response:  # noqa: A002 - as above
    """Delete the record of a job that has ended; its images are kept."""
    here.jobs.forget(id)
    return Response(status_code=204)


@router.post("/{id}/retry", status_code=202, dependencies=[allowed("write", limited=True)])
def retry_job(here: Here, id: _Id, response: Response) -> responses.JobState:  # noqa: A002 - as above
    """Retry a job's failed files in a new job."""
    job = here.jobs.retry(id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return conversion.job_state(job)


async def _job(here: Service, id_: str) -> Job:
    """Return a job. If this process runs it, it is read from memory, as the catalog may be busy."""
    known = here.jobs.known(id_)
    return known if known is not None else await to_thread.run_sync(partial(here.jobs.get, id_))


async def _events(here: Service, job: Job, request: Request) -> AsyncIterator[str]:
    here.process.streams += 1
    try:
        sent, quiet = None, 0.0
        while True:
            if job != sent:
                name = "end" if job.over else "progress"
                yield f"event: {name}\ndata: {conversion.job_state(job).model_dump_json()}\n\n"
                sent, quiet = job, 0.0
            elif quiet >= _KEEP_ALIVE:
                yield ": keep-alive\n\n"
                quiet = 0.0
            if job.over or here.process.stopping or await request.is_disconnected():
                return
            await asyncio.sleep(_POLL)
            quiet += _POLL
            try:
                job = await _job(here, job.id)
            except JobNotFound:  # the job ended and was deleted since the last read
                return
    finally:
        here.process.streams -= 1


def _failure(job: Job, failure: Failure) -> responses.FailedImage:
    """Return the response body of a failure, with the path relative to the job's folder."""
    folder = str(job.request.get("folder", ""))
    name = failure.path.removeprefix(f"{folder}/") if folder else failure.path
    return responses.FailedImage.of(failure, name)
