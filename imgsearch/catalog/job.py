"""Jobs and their failures, and checks of their values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, get_args

from imgsearch.catalog.entry import MAX_INTEGER, check_id, check_text, check_time, now
from imgsearch.errors import ConfigError
from imgsearch.types import Failure, check_name

JobKind: TypeAlias = Literal["folder", "urls", "upload", "retry", "migrate"]
JobStateName: TypeAlias = Literal["queued", "running", "done", "cancelled", "failed"]
JOB_STATES: Final[tuple[str, ...]] = get_args(JobStateName)
OVER: Final = ("done", "cancelled", "failed")
COUNTERS: Final = (
    "found",
    "decoded",
    "embedded",
    "inserted",
    "searchable",
    "indexed",
    "skipped",
    "failed",
    "updated",
    "changed",
    "renamed",
    "deleted",
    "videos",
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its progress, as the number of images that passed each stage.

    `request` contains the parameters as JSON-serializable values, and `result` the findings of the
    job, None without any. `error` is "" or the reason why
    the whole job failed. Of the inserted images, `changed` replaced an image of the same file, and
    `renamed` have a new place; `deleted` images were removed by a sync. Frames are images, and
    `videos` counts the videos that were read. Times are timezone-aware, in UTC, and None before the
    event.
    """

    id: str
    kind: JobKind
    collection: str
    request: Mapping[str, Any] = field(default_factory=dict)
    state: JobStateName = "queued"
    found: int = 0
    decoded: int = 0
    embedded: int = 0
    inserted: int = 0
    searchable: int = 0
    indexed: int = 0
    skipped: int = 0
    failed: int = 0
    updated: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    videos: int = 0
    result: Mapping[str, Any] | None = None
    error: str = ""
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether the job has ended: `state` is in `OVER`."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a listing. `total` counts all jobs; `next` is the cursor of the next page."""

    jobs: list[Job]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class JobFailurePage:
    """A page of failures. `total` counts all failures; `next` is the cursor of the next page."""

    failures: list[Failure]
    total: int
    next: str | None


def check_job(job: Job) -> None:
    """Check a job before it is written.

    Raises:
        ConfigError: a value is invalid; see `Job`.
    """
    check_id(job.id)
    check_name(job.collection)
    check_job_state(job.state)
    if job.kind not in get_args(JobKind):
        kinds = ", ".join(get_args(JobKind))
        raise ConfigError(f"job kind {job.kind!r} is unknown. Use one of {kinds}.")
    for name in COUNTERS:
        if not 0 <= getattr(job, name) <= MAX_INTEGER:
            raise ConfigError(f"{name} is not in 0 to 2^63 - 1: {getattr(job, name)}")
    for name in ("created", "started", "finished"):
        if (time := getattr(job, name)) is not None:
            check_time(name, time)


def check_job_state(state: str) -> None:
    """Check that a job state is known.

    Raises:
        ConfigError: the state is unknown.
    """
    if state not in JOB_STATES:
        raise ConfigError(f"job state {state!r} is unknown. Use one of {', '.join(JOB_STATES)}.")


def check_failure(failure: Failure) -> None:
    """Check a failure before it is written.

    Raises:
        ConfigError: `stage` is longer than 32 characters, or `error` is longer than 64.
    """
    check_text("stage", failure.stage, most=32)
    check_text("error", failure.error, most=64)
