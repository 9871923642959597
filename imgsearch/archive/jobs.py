"""Long additions in the background: their progress, what failed, cancelling, retrying."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from imgsearch import sources
from imgsearch.archive.archive import Archive
from imgsearch.archive.incoming import Incoming, inside
from imgsearch.archive.outcomes import Stages
from imgsearch.catalog import Job, JobFailure, JobFailurePage, JobKind, JobPage, JobState
from imgsearch.errors import CatalogError, ImgSearchError, LimitExceeded, SourceError
from imgsearch.loading import FailedFile

_log = logging.getLogger(__name__)
Fetch = Callable[[str], bytes]
"""What gets a URL's bytes, or raises a SourceError."""

MOST: Final = 16
"""Jobs that may wait or run at once."""

_SAVED: Final = 1.0  # seconds between two writes of a job's progress
_MAX_FAILURES: Final = 10_000  # that a job keeps; all are counted
_MAX_PAGE: Final = 1_000
_REMEMBERED: Final = 100  # jobs that are over and still told from memory
_DONE: Final = ("done", "failed", "cancelled")


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
        for state in ("running", "queued"):
            for job in archive.catalog.jobs(state=state, limit=most).jobs:
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
            SourceError: it does not.
            LimitExceeded: too many jobs wait already.
        """
        real = inside(Path(folder), self._archive.roots)
        return self._start("folder", collection, {"folder": str(real), "in_place": in_place})

    def start_urls(self, urls: Sequence[str], *, collection: str = "images") -> Job:
        """Start adding images by their URLs.

        Raises:
            SourceError: images are not fetched here.
            LimitExceeded: too many jobs wait already.
        """
        if self._fetch is None:
            raise SourceError("images by URL are not allowed here")
        return self._start("urls", collection, {"urls": list(urls)})

    def retry(self, id_: str) -> Job:
        """Start another job with what failed in one that is over.

        Raises:
            JobNotFound: there is no such job.
            LimitExceeded: too many jobs wait already.
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
            if job.state not in _DONE:
                self._cancelled.add(id_)
        return job

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
        while job.state not in _DONE and not self._closing.is_set():
            job = self._next(job, seconds)
            yield job

    def close(self, *, seconds: float = 30.0) -> None:
        """Stop after the images that are underway; jobs go on when `Jobs` is made again."""
        self._closing.set()
        for _ in self._threads:
            self._waiting.put(None)
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
        self._archive.library(collection)  # a wrong name is told now
        job = Job(
            id=token_hex(8),
            kind=kind,
            collection=collection,
            request=request,
            state="queued",
            created=datetime.now(UTC),
        )
        with self._changed:
            waiting = sum(each.state not in _DONE for each in self._running.values())
            if waiting >= self._most:
                raise LimitExceeded(f"{waiting} jobs are waiting already; at most {self._most} may")
            self._queue(job)
        return job

    def _queue(self, job: Job) -> None:
        self._archive.catalog.save_job(job)
        self._running[job.id] = job
        self._waiting.put(job.id)

    def _work(self) -> None:
        while not self._closing.is_set():
            id_ = self._waiting.get()
            if id_ is not None:
                self._run(id_)

    def _run(self, id_: str) -> None:
        job = self._set(self._running[id_], state="running", started=datetime.now(UTC))
        saved = time.monotonic()
        failed: list[JobFailure] = []

        def stopped() -> bool:
            return self._closing.is_set() or id_ in self._cancelled

        def on_stages(stages: Stages) -> None:
            nonlocal saved
            current = self._set(self._running[id_], **asdict(stages))
            if time.monotonic() - saved >= _SAVED:
                saved = time.monotonic()
                self._archive.catalog.save_job(current)
                self._keep(id_, failed)

        def on_failure(line: FailedFile) -> None:
            if self._running[id_].failed < _MAX_FAILURES:
                failed.append(JobFailure(line.path, line.stage, line.error, line.reason))

        try:
            items = self._items(job)
            in_place = bool(job.request.get("in_place"))
            self._archive.add(
                items,
                collection=job.collection,
                found=len(items),
                in_place=in_place,
                cancelled=stopped,
                on_stages=on_stages,
                on_failure=on_failure,
            )
            if self._closing.is_set():
                return  # it is still "running" in the catalogue, and goes on next time
            state: JobState = "cancelled" if id_ in self._cancelled else "done"
            error = ""
        except ImgSearchError as fault:
            state, error = "failed", f"{type(fault).__name__}: {fault}"
        except Exception:  # noqa: BLE001 - a fault of ours ends its job, not the thread
            _log.exception("job %s failed", id_)
            state, error = "failed", "an internal error; the log has it"
        self._end(id_, failed, state=state, error=error, finished=datetime.now(UTC))

    def _end(self, id_: str, failed: list[JobFailure], **changes: Any) -> None:
        """Write down how a job ended, and only then tell those who wait."""
        over = replace(self._running[id_], **changes)
        try:
            self._keep(id_, failed)
            self._archive.catalog.save_job(over)
        except CatalogError as error:
            _log.error("how job %s ended was not written down: %s", id_, error)
        self._set(over)
        with self._changed:
            self._cancelled.discard(id_)
            ended = [each.id for each in self._running.values() if each.state in _DONE]
            for old in ended[:-_REMEMBERED]:
                del self._running[old]

    def _items(self, job: Job) -> list[Incoming]:
        """Return what a job adds; of a folder all at once, so that its size is known."""
        kind = str(job.request.get("of", job.kind))
        only = job.request.get("items")
        if kind == "urls":
            urls = job.request["urls"] if only is None else only
            return [self._by_url(url) for url in urls]
        files = self._archive.folder(job.request["folder"])
        wanted = None if only is None else set(only)
        return [each for each in files if wanted is None or sources.printable(each.place) in wanted]

    def _by_url(self, url: str) -> Incoming:
        fetch = self._fetch
        if fetch is None:
            raise SourceError("images by URL are not allowed here")
        return Incoming(_last(url), source="url", place=url, reader=lambda: fetch(url))

    def _keep(self, id_: str, failed: list[JobFailure]) -> None:
        if failed:
            lines = failed[:]
            del failed[: len(lines)]
            self._archive.catalog.add_job_failures(id_, lines)

    def _set(self, job: Job, **changes: Any) -> Job:
        changed = replace(job, **changes)
        with self._changed:
            self._running[job.id] = changed
            self._changed.notify_all()
        return changed


def _last(url: str) -> str:
    return url.partition("?")[0].rstrip("/").rpartition("/")[2] or url
