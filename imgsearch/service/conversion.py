"""Conversions from archive objects to response bodies."""

from typing import Any

from imgsearch.archive import Entry, Found, Job, Video
from imgsearch.wire import responses
from imgsearch.wire.problems import kind_named


def image(entry: Entry) -> responses.Image:
    """Return the response body of an image, without the location of its original."""
    values: dict[str, Any] = {
        name: getattr(entry, name) for name in responses.Image.model_fields if hasattr(entry, name)
    }
    values |= {"fields": dict(entry.fields), "error": _code(entry.error), "video_id": entry.video}
    return responses.Image(**values | _links(entry))


def hit(match: Found) -> responses.FoundImage:
    """Return the response body of a hit."""
    entry = match.entry
    return responses.FoundImage(
        id=entry.id,
        content=entry.content,
        score=match.hit.score,
        distance=match.hit.distance,
        name=entry.name,
        label=entry.label,
        fields=dict(entry.fields),
        references=match.references,
        box=match.box,
        object=str(match.hit.fields.get("object", "")) if match.box else "",
        video_id=entry.video,
        **_links(entry),
    )


def video(item: Video) -> responses.VideoInfo:
    """Return the response body of a video."""
    entry = item.entry
    return responses.VideoInfo(
        id=item.id,
        collection=entry.collection,
        name=str(entry.fields.get("video", entry.name)),
        frames=item.frames,
        size=entry.size,
        format=entry.format,
        label=entry.label,
        source=entry.source,
        **_links(entry),
    )


def job_state(job: Job) -> responses.JobState:
    """Return the response body of a job, without its sources."""
    names = responses.JobState.model_fields.keys() - {"error", "migration"}
    migration = None if job.result is None else responses.MigrationOutcome(**job.result)
    values = {name: getattr(job, name) for name in names}
    return responses.JobState(**values, migration=migration, error=_code(job.error))


def version_of(content: str) -> str:
    """Return a content's version for URLs: the first 12 hex digits of its sha256."""
    return content[:12]


def _links(entry: Entry) -> dict[str, str]:
    """Return the URL paths of an image's files; the version lets clients cache them forever."""
    base = f"/v1/images/{entry.id}"
    return {
        "original": f"{base}/original?v={version_of(entry.file)}",
        "thumbnail": f"{base}/thumbnail?v={version_of(entry.content)}",
    }


def _code(error: str) -> str:
    """Return the problem code of an error stored as "CLASS: message", or "" if `error` is empty."""
    name = error.partition(":")[0]
    return kind_named(name).code if name else ""
