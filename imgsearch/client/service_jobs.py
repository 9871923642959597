"""The background jobs of a service: folders and URLs that it reads itself, and model changes."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from os import PathLike, fsdecode
from typing import Any, Final
from urllib.parse import quote

from imgsearch.client.connection import Connection
from imgsearch.client.job_handle import JobHandle
from imgsearch.errors import SyncRefused
from imgsearch.images.sampling import EVERY_SECOND, Sampling
from imgsearch.library.progress import Progress, SyncReport
from imgsearch.library.progress_bar import progress_bar
from imgsearch.types import Failure
from imgsearch.wire.requests import JobRequest, MigrationRequest, to_json
from imgsearch.wire.responses import JobList, JobState

_REFUSED: Final = (
    "{}: nothing was changed: the folder has no images, cannot be listed, or more than 10 and 20 % "
    "of its images would be deleted or replaced. Check that the right drive is mounted in the "
    "service. If the folder is right, confirm the sync (confirm=True)."
)
_NAMED: Final = 1_000  # failures in a report; all are counted


class ServiceJobs:
    """The part of a client that starts jobs."""

    _connection: Connection
    name: str

    def add_folder(
        self,
        folder: str,
        *,
        in_place: bool = False,
        path_column: str | None = None,
        label_column: str | None = None,
        sync: bool = False,
        dry_run: bool = False,
        confirm: bool = False,
        exclude: Sequence[str] = (),
        frames: str | float = 1.0,
        ocr: bool = False,
        tags: Sequence[str] | None = None,
        tag_top: int | None = None,
    ) -> JobHandle:
        """Start a job that adds the images of a server-side folder or list, and return the job.

        The folder must be inside one of the service's roots. With `in_place`, the service stores no
        copies of the files. `path_column` and `label_column` name columns of a list file. With
        `sync`, images whose files no longer exist are deleted. If that must be confirmed, the job's
        `wait` raises SyncRefused. With `dry_run` the job only counts. `exclude` and `frames` are as
        for `add`.
        With `ocr` the service reads the text in new images, and labels in `tags` that fit a new
        image are its field ``tags``, at most `tag_top`, if the service allows it.

        Raises:
            AccessDenied: the service does not allow `ocr` or `tags`.
            MissingExtra: the service's extra `ocr` is not installed.
            ConfigError: `dry_run` or `confirm` is given without `sync`.
            SourceError: the folder does not exist, or is outside the roots.
        """
        columns = {"path_column": path_column, "label_column": label_column}
        flags = {"sync": sync, "dry_run": dry_run, "confirm": confirm, "ocr": ocr}
        labels = {"tags": None if tags is None else list(tags), "tag_top": tag_top}
        return self._job(
            folder=folder,
            in_place=in_place,
            exclude=list(exclude),
            frames=_frames(frames),
            **columns,
            **flags,
            **labels,
        )

    def sync(
        self,
        *folders: str | PathLike[str],
        in_place: bool = False,
        dry_run: bool = False,
        confirm: bool = False,
        exclude: Sequence[str] = (),
        frames: str | float = 1.0,
        progress: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> SyncReport:
        """Bring the collection in step with folders of the service; wait, and return the counts.

        As `Library.sync`, but the folders are the service's, inside its roots, and each is a job of
        its own: a file that was moved from one folder to another is deleted and added. The report
        has no paths of deleted images. With `in_place`, the service stores no copies of the files.

        Raises:
            SyncRefused: `confirm` is False, and a folder has no images any more, cannot be listed,
                or too many of its images would be deleted or replaced. Folders before it are
                synced.
            SourceError: a folder does not exist, or is outside the roots.
        """
        started = time.monotonic()
        states: list[JobState] = []
        failures: list[Iterator[Failure]] = []
        with progress_bar(progress, on_progress) as update:
            for folder in map(fsdecode, folders):
                job = self.add_folder(
                    folder,
                    in_place=in_place,
                    sync=True,
                    dry_run=dry_run,
                    confirm=confirm,
                    exclude=exclude,
                    frames=frames,
                )
                before = list(states)

                def show(state: JobState, before: list[JobState] = before) -> None:
                    if update is not None:
                        update(_progress([*before, state], time.monotonic() - started))

                try:
                    states.append(job.wait(on_progress=show))
                except SyncRefused as error:
                    raise SyncRefused(_REFUSED.format(folder)) from error
                if states[-1].failed:
                    failures.append(job.failures())
        failed = tuple(islice(chain.from_iterable(failures), _NAMED))
        if on_failure is not None:
            for failure in failed:
                on_failure(failure)
        return _sync_report(states, failed, dry_run=dry_run, seconds=time.monotonic() - started)

    def add_urls(self, urls: Sequence[str]) -> JobHandle:
        """Start a job that downloads and adds images; return the job.

        Raises:
            AccessDenied: the service does not fetch images by URL.
        """
        return self._job(urls=list(urls))

    def migrate(
        self,
        model: str,
        *,
        switch: bool = False,
        skip_missing: bool = False,
        drop_former: bool = False,
        sample: int | None = None,
    ) -> JobHandle:
        """Start a job that embeds all images with another model, and return the job.

        Before a switch, `sample` images, by default 200, are searched for with both models. The
        job's state has the comparison, ``job.wait().migration.comparison``; see
        `imgsearch.compare_models`.

        Searches use the former model until all images are embedded, and with `switch` the new one
        then. Images that the service cannot read prevent this, and the job's `wait` raises
        MigrationIncomplete; with `skip_missing` they are left out. With `drop_former` the vectors
        of former models are deleted after the switch. The key needs the scope "admin".

        Raises:
            CollectionNotFound: the collection does not exist.
            ModelNotFound: the service has no such model.
        """
        flags = {"switch": switch, "skip_missing": skip_missing, "drop_former": drop_former}
        body = to_json(MigrationRequest, model=model, sample=sample, **flags)
        path = f"/v1/collections/{self.name}/migrate"
        started = self._connection.json(JobState, "POST", path, repeat=False, json=body)
        return JobHandle(self._connection, started.id)

    def jobs(self) -> Iterator[JobState]:
        """Yield the states of the service's jobs, newest first; pages are requested as needed."""
        params: dict[str, str] = {}
        while True:
            page = self._connection.json(JobList, "GET", "/v1/jobs", repeat=True, params=params)
            yield from page.jobs
            if page.next is None:
                return
            params = {"after": page.next}

    def job(self, id_: str) -> JobHandle:
        """Return the job with this id, for example one that was started earlier."""
        return JobHandle(self._connection, quote(id_, safe=""))

    def _job(self, **values: Any) -> JobHandle:
        body = to_json(JobRequest, collection=self.name, **values)
        started = self._connection.json(JobState, "POST", "/v1/jobs", repeat=False, json=body)
        return JobHandle(self._connection, started.id)


def _frames(frames: str | float) -> str | None:
    """Return the value of a request, None for the default, which older services do not know."""
    sampling = Sampling.parse(frames)
    return None if sampling == EVERY_SECOND else str(sampling)


def _progress(states: Sequence[JobState], seconds: float) -> Progress:
    names = ("found", "skipped", "failed", "updated", "decoded", "embedded", "indexed", "videos")
    counts = {name: _sum(states, name) for name in names}
    return Progress(added=_sum(states, "searchable"), seconds=seconds, **counts)


def _sync_report(
    states: Sequence[JobState], failures: tuple[Failure, ...], *, dry_run: bool, seconds: float
) -> SyncReport:
    changed, renamed = _sum(states, "changed"), _sum(states, "renamed")
    return SyncReport(
        added=_sum(states, "inserted") - changed - renamed,
        changed=changed,
        renamed=renamed,
        deleted=_sum(states, "deleted"),
        unchanged=_sum(states, "skipped"),
        failed=_sum(states, "failed"),
        updated=_sum(states, "updated"),
        seconds=seconds,
        dry_run=dry_run,
        failures=failures,
    )


def _sum(states: Sequence[JobState], count: str) -> int:
    return sum(getattr(state, count) for state in states)
