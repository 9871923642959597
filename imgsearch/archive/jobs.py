"""Jobs: additions in the background, with progress, failure list, cancellation and retry."""

import logging
import queue
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from imgsearch.archive.analysis import Analysis
from imgsearch.archive.archive import Archive
from imgsearch.archive.job_run import NO_FETCH, Fetch, JobRun
from imgsearch.archive.migration import MigrationRequest
from imgsearch.archive.priority import lower_priority
from imgsearch.archive.sync import ArchiveSync, SyncOptions
from imgsearch.archive.upload import checked_fields, inside
from imgsearch.archive.uploaded_videos import store_video
from imgsearch.catalog import Job, JobFailurePage, JobKind, JobPage, JobStateName
from imgsearch.errors import CatalogError, ConfigError, JobBusy, LimitExceeded, SourceError
from imgsearch.images.sampling import EVERY_SECOND, Sampling
from imgsearch.images.videos import Opener
from imgsearch.library.migration import recipe_of
from imgsearch.library.progress import SyncReport
from imgsearch.text import counted
from imgsearch.types import Failure, Value, check_name

_log = logging.getLogger(__name__)

MOST: Final = 16
"""The most jobs that can wait or run at the same time."""

KEPT: Final = 1_000
"""The number of finished jobs in the catalog. Older jobs are deleted."""

_MAX_PAGE: Final = 1_000
_IN_MEMORY: Final = 100  # finished jobs that are kept in memory


class Jobs:
    """Runs jobs from a queue in `workers` threads. Thread-safe.

    Progress is read from memory, so a slow database does not delay it. It is saved to the catalog
    once a second and at the end. A new `Jobs` for the same archive resumes interrupted jobs, which
    skip images that are already in the archive. `fetch` downloads the images of URL jobs. `most` is
    the limit of waiting and running jobs.
    """

    def __init__(
        self, archive: Archive, *, fetch: Fetch | None = None, workers: int = 1, most: int = MOST
    ) -> None:
        self._archive, self._fetch, self._most = archive, fetch, most
        self._running: dict[str, Job] = {}
        self._canceled: set[str] = set()
        self._changed = threading.Condition()
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        # all pages are read first, because jobs queued below would be listed again
        states: tuple[JobStateName, ...] = ("running", "queued")
        pages = [archive.catalog.jobs(state=state, limit=most) for state in states]
        for job in chain.from_iterable(page.jobs for page in pages):
            self._queue(replace(job, state="queued"))
        self._threads = [
            threading.Thread(target=self._work, name=f"imgsearch-jobs-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def start_folder(
        self,
        folder: str,
        *,
        collection: str = "images",
        in_place: bool = False,
        path_column: str | None = None,
        label_column: str | None = None,
        sync: bool = False,
        dry_run: bool = False,
        confirm: bool = False,
        exclude: Sequence[str] = (),
        frames: str | float = 1.0,
        analysis: Analysis = Analysis(),  # noqa: B008 - frozen
    ) -> Job:
        """Start a job that adds a folder, or the images of a list file, inside the archive's roots.

        Files with other bytes replace their images. With `sync`, images are also deleted if their
        files no longer exist; a job that must be confirmed fails with SyncRefused. A job with
        `dry_run` counts, and changes nothing. `exclude` is as for `Library.add`. `path_column` and
        `label_column` name columns of a list; see `ListColumns`. `analysis` fills fields of new
        images. `frames` of videos are added, as for `Library.add`.

        Raises:
            ConfigError: `frames` is invalid; or `sync` is given for a list, or `dry_run` or
                `confirm` without `sync`.
            SourceError: the folder is outside the roots, or does not exist.
            LimitExceeded: too many jobs are waiting or running, or the collection is new and the
                archive has reached its limit of collections.
        """
        real = inside(Path(folder), self._archive.roots)
        if (dry_run or confirm) and not sync:
            raise ConfigError("dry_run and confirm need sync")
        if sync and not real.is_dir():
            raise ConfigError(f"{real.name} is a list, which cannot be synced. Sync folders.")
        request = {"folder": str(real), "in_place": in_place}
        flags = {"sync": sync, "dry_run": dry_run, "confirm": confirm}
        request |= {name: flag for name, flag in flags.items() if flag}
        request |= {"exclude": list(exclude)} if exclude else {}
        request |= _frames(frames)
        analysis.check()
        request |= analysis.request()
        named = {"path_column": path_column, "label_column": label_column}
        request |= {name: value for name, value in named.items() if value is not None}
        return self._start("folder", collection, request)

    def start_urls(
        self,
        urls: Sequence[str],
        *,
        collection: str = "images",
        analysis: Analysis = Analysis(),  # noqa: B008 - frozen
    ) -> Job:
        """Start a job that adds images by URL.

        Raises:
            SourceError: this archive does not fetch images.
            LimitExceeded: as for `start_folder`.
        """
        if self._fetch is None:
            raise SourceError(NO_FETCH)
        analysis.check()
        return self._start("urls", collection, {"urls": list(urls), **analysis.request()})

    def start_video(
        self,
        opener: Opener,
        name: str,
        *,
        collection: str = "images",
        label: str | None = None,
        fields: Mapping[str, Value] | None = None,
        frames: str | float = 1.0,
        analysis: Analysis = Analysis(),  # noqa: B008 - frozen
    ) -> Job:
        """Store a video, which `opener` opens, and start a job that adds its frames.

        `name` is its file's name. `label`, `fields` and `analysis` are of all frames, and `frames`
        is as for `Library.add`.

        Raises:
            ConfigError: `frames` is invalid or "none", or the archive stores no originals.
            FormatRefused, ImageTooLarge: the file is not a video, or too large.
            MissingExtra: videos need the extra ``video``.
            FieldInvalid: a declared field has another type.
            LimitExceeded: as for `start_folder`.
        """
        analysis.check()
        request: dict[str, Any] = {**_frames(frames), **analysis.request()}
        if not Sampling.parse(frames):
            raise ConfigError('frames="none" adds no frame of a video')
        request |= {} if label is None else {"label": label}
        types = self._archive.field_types(collection)
        request |= {"fields": checked_fields(fields, types)} if fields else {}
        self._check_room()
        content = store_video(self._archive, opener)
        request |= {"video": content, "name": name}
        return self._start("upload", collection, request)

    def start_migration(self, collection: str, request: MigrationRequest) -> Job:
        """Start a job that embeds a collection's images with another model; see `migrate`.

        Raises:
            CollectionNotFound: the collection does not exist.
            ModelNotFound: no model has this name.
            LimitExceeded: too many jobs are waiting or running.
        """
        self._archive.existing(collection)
        recipe_of(request.model)
        return self._start("migrate", collection, asdict(request))

    def plan_sync(
        self, folder: str, *, collection: str = "images", exclude: Sequence[str] = ()
    ) -> SyncReport:
        """Return what `start_folder` with `sync` would change; nothing is changed.

        Raises:
            SourceError, ConfigError, BackendError, CatalogError: as for `ArchiveSync.run`.
        """
        options = SyncOptions(collection, dry_run=True, exclude=tuple(exclude))
        return ArchiveSync(self._archive, options).run(folder)

    def retry(self, id_: str) -> Job:
        """Start a new job with the failed images of a job.

        Raises:
            JobNotFound: no job has this id.
            LimitExceeded: as for `start_folder`.
        """
        job = self.get(id_)
        items = [failure.path for failure in self._all_failures(id_)]
        kind = str(job.request.get("of", job.kind))
        request = {**job.request, "of": kind, "items": items, "job": id_}
        return self._start("retry", job.collection, request)

    def cancel(self, id_: str) -> Job:
        """Stop a job after its current images. Added images are kept.

        Raises:
            JobNotFound: no job has this id.
        """
        job = self.get(id_)
        with self._changed:
            if not job.over:
                self._canceled.add(id_)
        return job

    def forget(self, id_: str) -> None:
        """Delete a finished job and its failures. Its images are kept.

        Raises:
            JobNotFound: no job has this id.
            JobBusy: the job is waiting or running.
        """
        with self._changed:
            job = self.get(id_)
            if not job.over:
                raise JobBusy(f"job {id_!r} cannot be deleted: it is {job.state}. Cancel it first.")
            self._running.pop(id_, None)
        self._archive.catalog.delete_job(id_)

    def get(self, id_: str) -> Job:
        """Return a job with its current progress.

        Raises:
            JobNotFound: no job has this id.
        """
        known = self._running.get(id_)
        return known if known is not None else self._archive.catalog.job(id_)

    def known(self, id_: str) -> Job | None:
        """Return a waiting, running or recently finished job, without a catalog query.

        Returns None for other jobs.
        """
        return self._running.get(id_)

    def recent(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        collections: Collection[str] | None = None,
    ) -> JobPage:
        """Return a page of jobs with their current progress, newest first.

        `collections` limits it to the jobs of these collections.
        """
        page = self._archive.catalog.jobs(limit=limit, after=after, collections=collections)
        return replace(page, jobs=[self._running.get(job.id, job) for job in page.jobs])

    def failures(self, id_: str, *, limit: int = 100, after: str | None = None) -> JobFailurePage:
        """Return a page of a job's failures, in order.

        Raises:
            JobNotFound: no job has this id.
        """
        self.get(id_)
        return self._archive.catalog.job_failures(id_, limit=limit, after=after)

    def watch(self, id_: str, *, seconds: float = 15.0) -> Iterator[Job]:
        """Yield a job after each change, and at least every `seconds`.

        Ends when the job is finished, or when this object stops.

        Raises:
            JobNotFound: no job has this id.
        """
        job = self.get(id_)
        yield job
        while not job.over and not self._closing.is_set():
            job = self._next(job, seconds)
            yield job

    def stop(self) -> None:
        """Stop jobs after their current images. Does not wait, so signal handlers can call it."""
        self._closing.set()
        for _ in self._threads:
            self._waiting.put(None)

    def close(self, *, seconds: float = 30.0) -> None:
        """Stop jobs after their current images, and wait up to `seconds` for each thread.

        The next `Jobs` for this archive resumes the jobs.
        """
        self.stop()
        for thread in self._threads:
            thread.join(seconds)
        with self._changed:
            self._changed.notify_all()

    def _all_failures(self, id_: str) -> Iterator[Failure]:
        after = None
        while True:
            page = self._archive.catalog.job_failures(id_, limit=_MAX_PAGE, after=after)
            yield from page.failures
            after = page.next
            if after is None:
                return

    def _next(self, job: Job, seconds: float) -> Job:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing.is_set() or self.get(job.id) != job, timeout=seconds
            )
        return self.get(job.id)

    def _start(self, kind: JobKind, collection: str, request: dict[str, Any]) -> Job:
        check_name(collection)
        self._archive.check_room(collection)
        job = Job(
            id=token_hex(8),
            kind=kind,
            collection=collection,
            request=request,
            state="queued",
            created=datetime.now(UTC),
        )
        with self._changed:
            self._check_room()
            self._queue(job)
        return job

    def _check_room(self) -> None:
        waiting = sum(not job.over for job in list(self._running.values()))
        if waiting >= self._most:
            raise LimitExceeded(
                f"the job cannot be queued: {counted(waiting, 'job is', 'jobs are')} waiting, "
                "the limit. Start it again later."
            )

    def _queue(self, job: Job) -> None:
        self._archive.catalog.save_job(job)
        self._running[job.id] = job
        self._waiting.put(job.id)

    def _work(self) -> None:
        lower_priority()
        while not self._closing.is_set():
            id_ = self._waiting.get()
            if id_ is not None:
                self._run(id_)

    def _run(self, id_: str) -> None:
        def stopped() -> str:
            return "closing" if self._closing.is_set() else "cancelled" * (id_ in self._canceled)

        job = self._running[id_]
        JobRun(self._archive, job, fetch=self._fetch, on_change=self._set).run(stopped)
        with self._changed:
            self._canceled.discard(id_)
            finished = [job.id for job in self._running.values() if job.over]
            for old in finished[:-_IN_MEMORY]:
                del self._running[old]
        try:
            self._archive.catalog.trim_jobs(KEPT)
        except CatalogError:
            _log.exception("old jobs were not deleted")

    def _set(self, job: Job) -> None:
        with self._changed:
            self._running[job.id] = job
            self._changed.notify_all()


def _frames(frames: str | float) -> dict[str, Any]:
    """Return the request's value for a sampling of videos, none for the default.

    Raises:
        ConfigError: it is invalid.
    """
    sampling = Sampling.parse(frames)
    return {} if sampling == EVERY_SECOND else {"frames": str(sampling)}
