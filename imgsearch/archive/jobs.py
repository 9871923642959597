"""Long additions in the background: their progress, what failed, cancelling, retrying."""

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from imgsearch.archive.archive import Archive
from imgsearch.archive.priority import behind
from imgsearch.archive.upload import inside
from imgsearch.archive.work import Fetch, Work
from imgsearch.arguments import check_name
from imgsearch.catalog import Job, JobFailure, JobFailurePage, JobKind, JobPage, JobState
from imgsearch.errors import CatalogError, JobBusy, LimitExceeded, SourceError
from imgsearch.wording import counted

_log = logging.getLogger(__name__)

MOST: Final = 16
"""Jobs that may wait or run at once."""

KEPT: Final = 1_000
"""Jobs that are over and still told of; older ones are deleted."""

_MAX_PAGE: Final = 1_000
_REMEMBERED: Final = 100  # jobs that are over and still told from memory


class Jobs:
    """Runs additions one after another in a thread. Thread-safe.

    Progress is told from memory, so that asking is never behind a database or the cores' work; the
    catalogue gets it once a second, and at the end. A job that a crash interrupted goes on when
    `Jobs` is made again: what is there is skipped. `fetch` is for jobs over URLs.
    """

    def __init__(
        self, archive: Archive, *, fetch: Fetch | None = None, workers: int = 1, most: int = MOST
    ) -> None:
        self._archive, self._fetch, self._most = archive, fetch, most
        self._running: dict[str, Job] = {}
        self._cancelled: set[str] = set()
        self._changed = threading.Condition()
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        # all are asked for first: what is queued here would be found again
        states: tuple[JobState, ...] = ("running", "queued")
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
        self, folder: str, *, collection: str = "images", in_place: bool = False
    ) -> Job:
        """Start adding a folder that lies inside the archive's roots.

        Raises:
            SourceError: the folder is outside of them.
            LimitExceeded: too many jobs are waiting, or the collection is new and the archive has
                as many as it may.
        """
        real = inside(Path(folder), self._archive.roots)
        return self._start("folder", collection, {"folder": str(real), "in_place": in_place})

    def start_urls(self, urls: Sequence[str], *, collection: str = "images") -> Job:
        """Start adding images by their URLs.

        Raises:
            SourceError: this archive fetches no images.
            LimitExceeded: as for `start_folder`.
        """
        if self._fetch is None:
            raise SourceError("images by URL are not allowed here")
        return self._start("urls", collection, {"urls": list(urls)})

    def retry(self, id_: str) -> Job:
        """Start another job with what failed in one that is over.

        Raises:
            JobNotFound: there is no such job.
            LimitExceeded: as for `start_folder`.
        """
        job = self.get(id_)
        items = [line.item for line in self._every_failure(id_)]
        kind = str(job.request.get("of", job.kind))
        request = {**job.request, "of": kind, "items": items, "job": id_}
        return self._start("retry", job.collection, request)

    def cancel(self, id_: str) -> Job:
        """Have a job stop after the images that are underway; what is in stays in.

        Raises:
            JobNotFound: there is no such job.
        """
        job = self.get(id_)
        with self._changed:
            if not job.over:
                self._cancelled.add(id_)
        return job

    def forget(self, id_: str) -> None:
        """Delete the account of a job that is over; its images stay.

        Raises:
            JobNotFound: there is no such job.
            JobBusy: it waits or runs.
        """
        with self._changed:
            if not self.get(id_).over:
                raise JobBusy(f"job {id_!r} is not over: cancel it first")
            self._running.pop(id_, None)
        self._archive.catalog.delete_job(id_)

    def get(self, id_: str) -> Job:
        """Return a job as it stands.

        Raises:
            JobNotFound: there is no such job.
        """
        known = self._running.get(id_)
        return known if known is not None else self._archive.catalog.job(id_)

    def known(self, id_: str) -> Job | None:
        """Return a job that waits, runs, or has run since this was made; from memory alone."""
        return self._running.get(id_)

    def recent(self, *, limit: int = 50, after: str | None = None) -> JobPage:
        """Return a page of jobs, newest first, as they stand."""
        page = self._archive.catalog.jobs(limit=limit, after=after)
        return replace(page, jobs=[self._running.get(job.id, job) for job in page.jobs])

    def failures(self, id_: str, *, limit: int = 100, after: str | None = None) -> JobFailurePage:
        """Return a page of what failed in a job, in order.

        Raises:
            JobNotFound: there is no such job.
        """
        self.get(id_)
        return self._archive.catalog.job_failures(id_, limit=limit, after=after)

    def watch(self, id_: str, *, seconds: float = 15.0) -> Iterator[Job]:
        """Yield a job each time it changes, and at least each `seconds`, until it is over.

        Raises:
            JobNotFound: there is no such job.
        """
        job = self.get(id_)
        yield job
        while not job.over and not self._closing.is_set():
            job = self._next(job, seconds)
            yield job

    def stop(self) -> None:
        """Stop jobs after their current images; does not wait, so signal handlers can call it."""
        self._closing.set()
        for _ in self._threads:
            self._waiting.put(None)

    def close(self, *, seconds: float = 30.0) -> None:
        """Stop after the current images; the next `Jobs` of this archive continues the jobs."""
        self.stop()
        for thread in self._threads:
            thread.join(seconds)
        with self._changed:
            self._changed.notify_all()

    def _every_failure(self, id_: str) -> Iterator[JobFailure]:
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
            waiting = sum(not each.over for each in self._running.values())
            if waiting >= self._most:
                raise LimitExceeded(
                    f"the job cannot be queued: {counted(waiting, 'job is', 'jobs are')} waiting, "
                    "the limit. Start it again later."
                )
            self._queue(job)
        return job

    def _queue(self, job: Job) -> None:
        self._archive.catalog.save_job(job)
        self._running[job.id] = job
        self._waiting.put(job.id)

    def _work(self) -> None:
        behind()
        while not self._closing.is_set():
            id_ = self._waiting.get()
            if id_ is not None:
                self._run(id_)

    def _run(self, id_: str) -> None:
        def stopped() -> str:
            return "closing" if self._closing.is_set() else "cancelled" * (id_ in self._cancelled)

        Work(self._archive, self._running[id_], fetch=self._fetch, tell=self._set).run(stopped)
        with self._changed:
            self._cancelled.discard(id_)
            ended = [each.id for each in self._running.values() if each.over]
            for old in ended[:-_REMEMBERED]:
                del self._running[old]
        try:
            self._archive.catalog.trim_jobs(KEPT)
        except CatalogError:
            _log.exception("old jobs were not deleted")

    def _set(self, job: Job) -> None:
        with self._changed:
            self._running[job.id] = job
            self._changed.notify_all()
