"""A line about a change of the collection's model that is running, or was not finished."""

from imgsearch.archive import Archive, Job, Jobs
from imgsearch.errors import ImgSearchError
from imgsearch.text import counted


def migration_line(archive: Archive, jobs: Jobs | None, collection: str) -> tuple[str, bool]:
    """Return a sentence, "" if the model is not being changed, and whether a job changes it now."""
    if (job := _running(jobs, collection)) is not None:
        done = job.inserted + job.skipped + job.failed
        model = job.request.get("model", "")
        return f"The model is being changed to {model}: {done:,} of {job.found:,} images.", True
    try:
        shadow = archive.existing(collection).shadow
        if shadow is None or shadow.schema.encoder is None:
            return "", False
        model, number = shadow.schema.encoder.model, shadow.count()
    except ImgSearchError:  # no collection, or the store does not answer
        return "", False
    return (
        f"A change of the model to {model} has not been finished: {counted(number, 'image')} "
        "embedded, and searches use the former model.",
        False,
    )


def _running(jobs: Jobs | None, collection: str) -> Job | None:
    for job in jobs.recent().jobs if jobs is not None else ():
        kind = job.request.get("of", job.kind)
        if kind == "migrate" and job.collection == collection and not job.over:
            return job
    return None
