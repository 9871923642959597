"""Runs one job: adds its images, and saves its progress and failures in the catalog."""

import logging
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from imgsearch.archive.analysis import Analysis
from imgsearch.archive.archive import Archive
from imgsearch.archive.migration import MigrationRequest, migrate
from imgsearch.archive.sync import ArchiveSync, SyncOptions
from imgsearch.archive.upload import Incoming
from imgsearch.archive.uploaded_videos import delete_unused, stored_video
from imgsearch.catalog import Job
from imgsearch.errors import CatalogError, CollectionSwitched, ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.sampling import Sampling
from imgsearch.images.urls import file_name
from imgsearch.images.videos import reads_folders
from imgsearch.library.progress import Progress
from imgsearch.types import Failure

_log = logging.getLogger(__name__)
Fetch = Callable[[str], bytes]
"""A function that returns the bytes at a URL, or raises `SourceError`."""

NO_FETCH: Final = "images cannot be added by URL: this archive does not fetch them. Upload files."

_SAVE_INTERVAL: Final = 1.0  # seconds between two writes of a job's progress to the catalog
_COUNTERS: Final = (
    "found",
    "decoded",
    "embedded",
    "indexed",
    "skipped",
    "failed",
    "updated",
    "videos",
)
_SYNCED: Final = ("changed", "renamed", "deleted")
_MAX_FAILURES: Final = 10_000  # failures saved with a job; all are counted


class JobRun:
    """Adds the images of one job. `on_change` is called with the job after each change."""

    def __init__(
        self, archive: Archive, job: Job, *, fetch: Fetch | None, on_change: Callable[[Job], None]
    ) -> None:
        self._archive, self._fetch, self._on_change = archive, fetch, on_change
        self._job = job
        self._failures: list[Failure] = []
        self._saved = time.monotonic()

    def run(self, stopped: Callable[[], str]) -> None:
        """Add all images, or stop when `stopped` returns `"closing"` or `"cancelled"`.

        `stopped` returns "" to continue. After "closing" the job stays "running" in the catalog, so
        that it is resumed at the next start.
        """
        counts = _counts(Progress())  # a resumed job is counted from the start, including failures
        counts |= dict.fromkeys(_SYNCED, 0)
        self._set(state="running", started=datetime.now(UTC), error="", **counts)
        try:
            self._archive.catalog.clear_job_failures(self._job.id)
            try:
                self._add(lambda: bool(stopped()))
            except CollectionSwitched:  # the model was changed; added images are skipped now
                self._add(lambda: bool(stopped()))
        except ImgSearchError as error:
            self._end("failed", f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 - a bug ends the job, not the thread
            _log.exception("job %s failed", self._job.id)
            self._end("failed", "an internal error. See the log.")
        else:
            if stopped() != "closing":
                self._end("cancelled" if stopped() else "done")

    def _add(self, stopped: Callable[[], bool]) -> None:
        request = self._job.request
        if request.get("of", self._job.kind) == "migrate":
            self._migrate(stopped)
            return
        folder = str(request.get("folder", ""))
        if folder and (request.get("sync") or Path(folder).is_dir()):
            self._sync(folder, stopped)
            return
        items = self._items()
        self._archive.add(
            items,
            collection=self._job.collection,
            found=len(items),
            in_place=bool(self._job.request.get("in_place")),
            background=True,
            analysis=Analysis.of_request(request),
            frames=request.get("frames", 1.0),
            cancelled=stopped,
            on_progress=self._on_progress,
            on_failure=self._on_failure,
        )
        if "video" in request and not stopped():
            delete_unused(self._archive, request)

    def _migrate(self, stopped: Callable[[], bool]) -> None:
        """Change the model of the job's collection."""
        names = [field.name for field in fields(MigrationRequest)]
        request = {name: self._job.request[name] for name in names if name in self._job.request}
        migrate(
            self._archive,
            self._job.collection,
            MigrationRequest(**request),
            canceled=stopped,
            on_progress=self._on_progress,
            on_failure=self._on_failure,
            on_result=lambda result: self._set(result=result),
        )

    def _sync(self, folder: str, stopped: Callable[[], bool]) -> None:
        """Add a folder; a job with "sync" also deletes images whose files no longer exist."""
        request, only = self._job.request, self._job.request.get("items")
        options = SyncOptions(
            self._job.collection,
            remove=bool(request.get("sync")) and only is None,
            dry_run=bool(request.get("dry_run")),
            confirm=bool(request.get("confirm")),
            in_place=bool(request.get("in_place")),
            only=None if only is None else frozenset(only),
            exclude=tuple(request.get("exclude", ())),
            analysis=Analysis.of_request(request),
            frames=request.get("frames", 1.0),
        )
        sync = ArchiveSync(self._archive, options, stopped, self._on_progress, self._on_failure)
        report = sync.run(folder)
        counts = {name: getattr(report, name) for name in _SYNCED}
        if options.dry_run:
            outcomes = (report.added, report.changed, report.renamed, report.unchanged)
            counts |= {"found": sum(outcomes), "inserted": sum(outcomes[:3])}
            counts["skipped"] = report.unchanged
        self._set(**counts)

    def _items(self) -> list[Incoming]:
        """Return the job's images as a list, so that their number is known."""
        request = self._job.request
        only = request.get("items")
        kind = str(request.get("of", self._job.kind))
        if kind == "upload":
            return [stored_video(self._archive, request)]
        if kind == "urls":
            if self._fetch is None:
                raise SourceError(NO_FETCH)
            return [self._by_url(url) for url in (request["urls"] if only is None else only)]
        columns = ListColumns(
            request.get("path_column"),
            request.get("label_column"),
            self._archive.field_types(self._job.collection),
        )
        wanted = None if only is None else set(only)
        return [
            replace(self._by_url(file.place), label=file.label, fields=file.fields)
            if file.source == "url"
            else file
            for file in self._archive.folder(
                request["folder"], columns=columns, with_videos=self._takes_frames
            )
            if wanted is None or sources.printable(file.place) in wanted
        ]

    @property
    def _takes_frames(self) -> bool:
        return reads_folders(Sampling.parse(self._job.request.get("frames", 1.0)))

    def _by_url(self, url: str) -> Incoming:
        def read() -> bytes:
            if self._fetch is None:
                raise SourceError(NO_FETCH)
            return self._fetch(url)

        return Incoming(file_name(url), source="url", place=url, reader=read)

    def _on_progress(self, progress: Progress) -> None:
        self._set(**_counts(progress))
        if time.monotonic() - self._saved >= _SAVE_INTERVAL:
            self._saved = time.monotonic()
            self._save(self._job)

    def _on_failure(self, failure: Failure) -> None:
        if self._job.failed < _MAX_FAILURES:
            self._failures.append(failure)

    def _end(self, state: str, error: str = "") -> None:
        """Save the job's final state, and then show it to waiting callers."""
        final: dict[str, Any] = {"state": state, "error": error, "finished": datetime.now(UTC)}
        try:
            self._save(replace(self._job, **final))
        except CatalogError:
            _log.exception("the final state of job %s was not saved", self._job.id)
        self._set(**final)

    def _save(self, job: Job) -> None:
        failures, self._failures = self._failures, []
        if failures:
            self._archive.catalog.add_job_failures(job.id, failures)
        self._archive.catalog.save_job(job)

    def _set(self, **changes: Any) -> None:
        self._job = replace(self._job, **changes)
        self._on_change(self._job)


def progress_of(job: Job) -> Progress:
    """Return a job's counts as the progress of its load."""
    return Progress(added=job.inserted, **{name: getattr(job, name) for name in _COUNTERS})


def _counts(progress: Progress) -> dict[str, int]:
    """Return the counters of a job. Added images are searchable at once."""
    counts: dict[str, int] = {name: getattr(progress, name) for name in _COUNTERS}
    counts["skipped"] += progress.ignored  # images that a user's steps left out
    return {**counts, "inserted": progress.added, "searchable": progress.added}
