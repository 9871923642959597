"""Runs a shard: the same load as `Library.add`, into memory, and then into a file."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from imgsearch.backends.memory import Backend as MemoryBackend
from imgsearch.backends.vectors.folder import JobFolder, ShardOutcome
from imgsearch.backends.vectors.writer import FailedSource, JobWriter
from imgsearch.errors import ImgSearchError
from imgsearch.images import sources, web_images
from imgsearch.images.references import Reference
from imgsearch.images.sampling import Sampling
from imgsearch.jobs.description import recipe_of, require_encoder
from imgsearch.jobs.plan import references
from imgsearch.library.library import Library
from imgsearch.library.open import open as open_library
from imgsearch.library.progress import Progress, Tally, stored_path
from imgsearch.threads import limited_cores
from imgsearch.types import Failure

CHUNK: Final = 256
"""Images that are embedded at once. It is fixed, so that a shard always gives the same bits."""


@dataclass(frozen=True)
class ShardWork:
    """Runs shards of a job by number. Engines send it to their workers, because it is picklable."""

    url: str
    token: str | None = field(default=None, repr=False)
    threads: int | None = None

    def __call__(
        self, shard: int, on_progress: Callable[[Progress], None] | None = None
    ) -> ShardOutcome | None:
        """Run a shard, unless it is done; return its outcome, None if it was given up.

        Raises:
            EncoderError: the encoder cannot be built, or is not the job's.
            BackendError: the job's folder cannot be read or written.
        """
        job = JobWriter.open(self.url, token=self.token)
        if job.is_done(shard):
            return job.outcome(shard)
        if job.is_given_up(shard):
            return None
        attempt = job.begin(shard)
        try:
            with limited_cores(self.threads):
                return _run(job, shard, attempt, on_progress)
        except BaseException:  # also a user's interrupt: only a process that dies leaves the mark
            job.forget(shard, attempt)
            raise


def _run(
    job: JobWriter, shard: int, attempt: int, on_progress: Callable[[Progress], None] | None
) -> ShardOutcome:
    started, clock = time.time(), time.monotonic()
    images, failures = references(job, shard), list[Failure]()
    reading = job.description.reading
    reached = _Reached(job, shard, attempt, on_progress)
    tally = Tally(len(images), reached, failures.append)
    with opened(job) as library:
        report = library.add_references(
            images,
            tally,
            fetch=web_images.fetcher(reading.get("url_hosts", ())),
            sampling=Sampling.parse(reading.get("frames", 1.0)),
            chunk=CHUNK,
            careful=attempt > 1,
        )
        outcome = ShardOutcome(
            rows=0,
            failed=0,
            sha256="",
            seconds=0.0,
            attempts=attempt,
            started=started,
            sources=len(images),
            skipped=report.skipped + report.updated,
        )
        rows = library.collection.iterate() if report.added else iter(())
        failed = _failed_sources(failures, images)
        outcome = replace(outcome, seconds=time.monotonic() - clock)
        return job.write(shard, rows, failed, outcome)


class _Reached:
    """Records how far an attempt has come, once for each `CHUNK` of images."""

    def __init__(
        self,
        job: JobWriter,
        shard: int,
        attempt: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._job, self._shard, self._attempt = job, shard, attempt
        self._on_progress, self._chunks = on_progress, 0

    def __call__(self, now: Progress) -> None:
        if now.done // CHUNK > self._chunks:
            self._chunks = now.done // CHUNK
            self._job.reach(self._shard, self._attempt, self._chunks * CHUNK)
        if self._on_progress is not None:
            self._on_progress(now)


@contextmanager
def opened(job: JobFolder) -> Iterator[Library]:
    """Open an empty library in memory with the schema and the encoder of a job.

    Raises:
        EncoderError: the encoder cannot be built, or is not the job's.
    """
    recipe = recipe_of(job)
    require_encoder(job, recipe)
    name = f"job-{secrets.token_hex(8)}"
    reading, schema = job.description.reading, job.schema
    own = {name: kind for name, kind in schema.fields.items() if name not in ("path", "label")}
    try:
        with open_library(
            f"memory://{name}",
            model=recipe.model,
            weights=recipe.weights,
            options=recipe.options,
            metric=schema.metric,
            fields=own,
            exif=reading["exif"] or False,
            max_pixels=reading["max_pixels"],
        ) as library:
            yield library
    finally:
        MemoryBackend.stores.pop(name, None)


def _failed_sources(failures: Sequence[Failure], images: Sequence[Reference]) -> list[FailedSource]:
    """Return the failures with the sha256 of each file that can be read."""
    if not failures:
        return []
    by_path: dict[str, Reference] = {}
    for image in images:
        for name in (image.title, stored_path(image)):
            by_path.setdefault(sources.printable(name), image)
    rows = []
    for failure in failures:
        known = by_path.get(sources.printable(failure.path))
        digest = None if known is None else _digest(known)
        error = f"{failure.error}: {failure.reason}"
        rows.append(FailedSource(failure.path, digest, failure.stage, error))
    return rows


def _digest(image: Reference) -> str | None:
    try:
        return sources.content_id(sources.read(image))
    except ImgSearchError:
        return None
