"""A job: work that goes on after its request was answered, and what failed in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, get_args

from imgsearch.arguments import check_name
from imgsearch.catalog.entry import MAX_INTEGER, check_text, check_time, now, possible_id
from imgsearch.errors import ConfigError

JobKind: TypeAlias = Literal["folder", "urls", "upload", "retry"]
JobState: TypeAlias = Literal["queued", "running", "done", "cancelled", "failed"]
JOB_STATES: Final[tuple[str, ...]] = get_args(JobState)
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
)


@dataclass(frozen=True, slots=True)
class Job:
    """One job and how far it is: how many images have come through each stage.

    `request` is what was asked for, as plain values. `error` is "" or why the job as a whole
    failed. Times are aware, UTC; None for what has not happened yet.
    """

    id: str
    kind: JobKind
    collection: str
    request: Mapping[str, Any] = field(default_factory=dict)
    state: JobState = "queued"
    found: int = 0
    decoded: int = 0
    embedded: int = 0
    inserted: int = 0
    searchable: int = 0
    indexed: int = 0
    skipped: int = 0
    failed: int = 0
    updated: int = 0
    error: str = ""
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class JobFailure:
    """One image that a job could not take: which, at what stage, the error's name, the reason."""

    item: str
    stage: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs of a listing; `total` counts the whole, `next` asks for the page after it."""

    jobs: list[Job]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class JobFailurePage:
    """Some failures of a job; `total` counts them all, `next` asks for the page after it."""

    failures: list[JobFailure]
    total: int
    next: str | None


def check_job(job: Job) -> None:
    """Check what is to be written.

    Raises:
        ConfigError: a part of it is not what `Job` says.
    """
    if not possible_id(job.id):
        raise ConfigError(f"id {job.id!r} is not 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'")
    check_name(job.collection)
    check_job_state(job.state)
    if job.kind not in get_args(JobKind):
        raise ConfigError(f"kind is one of {', '.join(get_args(JobKind))}, not {job.kind!r}")
    for name in COUNTERS:
        if not 0 <= getattr(job, name) <= MAX_INTEGER:
            raise ConfigError(f"{name} is not in 0 to 2^63 - 1: {getattr(job, name)}")
    for name in ("created", "started", "finished"):
        if (time := getattr(job, name)) is not None:
            check_time(name, time)


def check_job_state(state: str) -> None:
    """Check the name of a state.

    Raises:
        ConfigError: there is no such state.
    """
    if state not in JOB_STATES:
        raise ConfigError(f"state is one of {', '.join(JOB_STATES)}, not {state!r}")


def check_failure(failure: JobFailure) -> None:
    """Check what is to be written.

    Raises:
        ConfigError: `stage` is longer than 32 characters, or `error` than 64.
    """
    check_text("stage", failure.stage, most=32)
    check_text("error", failure.error, most=64)
