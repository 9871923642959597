"""One job at work: what it adds, and what is written down of how it goes."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final

from imgsearch.archive.archive import Archive
from imgsearch.archive.outcomes import Stages
from imgsearch.archive.upload import Incoming
from imgsearch.catalog import Job, JobFailure
from imgsearch.errors import CatalogError, ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.library.progress import FailedFile

_log = logging.getLogger(__name__)
Fetch = Callable[[str], bytes]
"""What gets a URL's bytes, or raises a SourceError."""

_SAVED: Final = 1.0  # seconds between two writes of a job's progress
_MAX_FAILURES: Final = 10_000  # that a job keeps; all are counted


class Work:
    """Adds what one job is about. `tell` gets the job each time that it has changed."""

    def __init__(
        self, archive: Archive, job: Job, *, fetch: Fetch | None, tell: Callable[[Job], None]
    ) -> None:
        self._archive, self._fetch, self._tell = archive, fetch, tell
        self._job = job
        self._failures: list[JobFailure] = []
        self._saved = time.monotonic()

    def run(self, stopped: Callable[[], str]) -> None:
        """Add all; `stopped` says "" for as long as it may go on, then why not.

        A job that is "closing" stays "running" in the catalogue, so that it goes on next time.
        """
        counts = asdict(Stages())  # those of a run that was cut off are counted again
        self._set(state="running", started=datetime.now(UTC), error="", **counts)
        try:
            self._archive.catalog.clear_job_failures(self._job.id)  # of a run that was cut off
            self._add(lambda: bool(stopped()))
        except ImgSearchError as error:
            self._end("failed", f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 - a fault of ours ends its job, not the thread
            _log.exception("job %s failed", self._job.id)
            self._end("failed", "an internal error; the log has it")
        else:
            if stopped() != "closing":
                self._end("cancelled" if stopped() else "done")

    def _add(self, stopped: Callable[[], bool]) -> None:
        items = self._items()
        self._archive.add(
            items,
            collection=self._job.collection,
            found=len(items),
            in_place=bool(self._job.request.get("in_place")),
            background=True,
            cancelled=stopped,
            on_stages=self._on_stages,
            on_failure=self._on_failure,
        )

    def _items(self) -> list[Incoming]:
        """Return what is to be added; of a folder all at once, so that its size is known."""
        request = self._job.request
        only = request.get("items")
        if str(request.get("of", self._job.kind)) == "urls":
            return [self._by_url(url) for url in (request["urls"] if only is None else only)]
        files = self._archive.folder(request["folder"])
        wanted = None if only is None else set(only)
        return [each for each in files if wanted is None or sources.printable(each.place) in wanted]

    def _by_url(self, url: str) -> Incoming:
        fetch = self._fetch
        if fetch is None:
            raise SourceError("images by URL are not allowed here")
        name = url.partition("?")[0].rstrip("/").rpartition("/")[2] or url
        return Incoming(name, source="url", place=url, reader=lambda: fetch(url))

    def _on_stages(self, stages: Stages) -> None:
        self._set(**asdict(stages))
        if time.monotonic() - self._saved >= _SAVED:
            self._saved = time.monotonic()
            self._save(self._job)

    def _on_failure(self, line: FailedFile) -> None:
        if self._job.failed < _MAX_FAILURES:
            self._failures.append(JobFailure(line.path, line.stage, line.error, line.reason))

    def _end(self, state: str, error: str = "") -> None:
        """Write down how the job ended, and only then tell those who wait."""
        over: dict[str, Any] = {"state": state, "error": error, "finished": datetime.now(UTC)}
        try:
            self._save(replace(self._job, **over))
        except CatalogError:
            _log.exception("how job %s ended was not written down", self._job.id)
        self._set(**over)

    def _save(self, job: Job) -> None:
        lines, self._failures = self._failures, []
        if lines:
            self._archive.catalog.add_job_failures(job.id, lines)
        self._archive.catalog.save_job(job)

    def _set(self, **changes: Any) -> None:
        self._job = replace(self._job, **changes)
        self._tell(self._job)
