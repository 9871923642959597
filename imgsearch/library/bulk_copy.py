"""Copies a job into a new collection of a store that imports files.

The state of the import is in the job's folder, so a copy that is killed goes on when it is run
again. An import appends, so no file is sent whose task may exist: it is looked up among the store's
tasks first. If a task is lost, the collection is dropped and filled again.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np

from imgsearch.backends import Collection, Schema, VectorBackend, versions
from imgsearch.backends.bulk import BulkImporter
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.folder import JobFolder
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    SchemaMismatch,
)
from imgsearch.library.copy_check import (
    IdSample,
    ann_recall_of_copy,
    check_count,
    check_sample,
)
from imgsearch.library.import_files import ImportFiles
from imgsearch.library.import_state import ImportFile, ImportFolder, ImportState
from imgsearch.library.import_tasks import ImportTasks, LostTaskError
from imgsearch.library.repeated_ids import repeated_rows

SAMPLED: Final = 1_000  # records compared at the end
QUERIES: Final = 200  # searches compared with exact ones at the end
_SAMPLED_SHARDS: Final = 64  # shards from which these records are drawn
_PAUSE: Final = 0.5  # seconds between two counts of the rows
_STALLED: Final = 600.0  # seconds without another row after which a count is given up


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """The options of an import.

    `bucket` is the folder or bucket from which the server reads; without it, the server reads the
    job's own folder. `min_recall` is the least ANN recall of the copy.
    """

    bucket: JobFiles | None = None
    min_recall: float = 0.9


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """The outcome: rows imported by this run and before, rows left out, and the checks."""

    collection: Collection
    imported: int
    known: int
    doubled: int
    compared: int
    recall: float


class BulkCopy:
    """An import of a job into a new collection called `name`.

    With `versioned` the collection is a version of the name, and readers change over at the end.
    """

    def __init__(
        self,
        source: Collection,
        job: JobFolder,
        target: VectorBackend,
        name: str,
        schema: Schema,
        *,
        versioned: bool,
        options: BulkOptions,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._source, self._job, self._target, self._name = source, job, target, name
        self._schema, self._versioned, self._options = schema, versioned, options
        self._on_progress = on_progress
        self._folder = ImportFolder(job.files, target.url, name)

    def run(self) -> BulkOutcome:
        """Import the files that are missing, and verify the copy. Readers do not change over yet.

        Raises:
            ConfigError: the job is not complete, the collection exists, or another copy or a
                migration of the name is unfinished.
            DimensionMismatch, VectorInvalid, SchemaMismatch: a file is invalid.
            BackendError: the store failed, or the copy differs from the job.
        """
        self._require_complete()
        shards = self._job.shards()
        files = [ImportFile(shard, self._job.outcome(shard).sha256) for shard in shards]
        state = self._folder.read()
        if state.complete and state.of_job(files) and (into := self._filled(state)) is not None:
            return BulkOutcome(into, 0, state.rows, state.doubled, 0, 1.0)
        if state.collection and (state.complete or not state.of_job(files)):
            state = self._begin_again(state)
        if not state.files:
            state.files = files
        try:
            return self._imported(state)
        except LostTaskError:
            state = self._begin_again(state)
            state.files = files
            try:
                return self._imported(state)
            except LostTaskError as error:
                raise BackendError(
                    f"{self._target.url} does not know its own import tasks: {error}. Copy without "
                    "a bulk import."
                ) from error

    def finish(self) -> None:
        """Let readers change over, and record that the copy is complete."""
        state = self._folder.read()
        if self._versioned and versions.read(self._target, self._name).shadow == state.collection:
            versions.switch(self._target, self._name, settled=True)
        state.complete = True
        self._folder.write(state)

    def _imported(self, state: ImportState) -> BulkOutcome:
        into = self._destination(state)
        importer = self._target.importer(into)
        if importer is None:
            raise ConfigError(f"{self._target.url} imports no files. Copy without a bulk import.")
        if not state.collection:
            if into.count() or importer.tasks():
                raise self._exists_error()
            state.collection = into.name
            self._folder.write(state)
        if not state.checked:
            self._prepare(state, importer)
        before = state.done
        tasks = ImportTasks(state, importer, self._folder, self._on_progress)
        tasks.recover()
        tasks.run()
        self._await_rows(into, state.rows)
        self._await_index(into)
        try:
            check_count(into, state.rows, exact=True)
        except BackendError:
            self._begin_again(state)  # rows are doubled
            raise
        compared, recall = self._verify(into)
        return BulkOutcome(into, state.done - before, before, state.doubled, compared, recall)

    def _require_complete(self) -> None:
        progress = self._job.progress()
        if not progress.planned or progress.done + len(progress.abandoned) < progress.shards:
            raise ConfigError(
                f"{self._job.files.title} is not complete: {progress.done} of {progress.shards} "
                f"shards are done. Go on with it: imgsearch embed --to {self._job.files.title}"
            )

    def _filled(self, state: ImportState) -> Collection | None:
        """Return the collection of a finished import, if readers still use it."""
        try:
            into = versions.open_named(self._target, self._name)
        except CollectionNotFound:
            return None
        return into if into.name == state.collection and into.count() == state.rows else None

    def _begin_again(self, state: ImportState) -> ImportState:
        """Drop the collection of an unfinished import, and return a new state."""
        if state.collection and not state.complete:
            if not self._versioned:
                with suppress(CollectionNotFound):
                    self._target.drop(state.collection)
            elif versions.read(self._target, self._name).shadow == state.collection:
                versions.discard(self._target, self._name)
        return self._folder.reset()

    def _destination(self, state: ImportState) -> Collection:
        """Return the collection to be filled: a new one, or the one of an interrupted import.

        Raises:
            ConfigError: the collection exists, or another copy or a migration is unfinished.
        """
        if not self._versioned:
            if not state.collection and self._has_collection():
                raise self._exists_error()
            return self._target.create(self._name, self._schema)
        known = versions.read(self._target, self._name)
        if state.collection and state.collection == known.current:  # killed after the switch
            return self._target.open(known.current)
        if known.shadow and state.collection and known.shadow != state.collection:
            raise self._exists_error()
        try:
            return versions.begin(self._target, self._name, self._schema, fresh=True)
        except SchemaMismatch as error:
            raise self._exists_error() from error

    def _has_collection(self) -> bool:
        try:
            return self._target.open(self._name).count() > 0
        except CollectionNotFound:
            return False

    def _exists_error(self) -> ConfigError:
        if self._versioned:
            return ConfigError(
                f"another copy or a migration of {self._name!r} is unfinished. Finish it, or "
                "discard it with `imgsearch migrate --discard`."
            )
        return ConfigError(
            f"collection {self._name!r} of {self._target.url} exists, and a bulk import needs a "
            f"new one. Choose another name, or change its readers over: alias={self._name!r}, "
            f"--alias {self._name}."
        )

    def _prepare(self, state: ImportState, importer: BulkImporter) -> None:
        """Check all files before the first one is sent, and put them where the server reads."""
        columns = (
            (batch.column("id") for batch in self._job.vectors(["id"], shards=[file.shard]))
            for file in state.files
        )
        repeated = repeated_rows(columns)
        files = ImportFiles(self._job, self._folder, self._schema, importer, self._options.bucket)
        for number, file in enumerate(state.files):
            files.prepare(file, repeated.get(number))
        state.doubled = sum(map(len, repeated.values()))
        state.checked = True
        self._folder.write(state)

    def _await_rows(self, into: Collection, rows: int) -> None:
        """Wait until the store counts all rows, which takes some seconds after the last task.

        A number that does not change for ten minutes is left to `check_count`.
        """
        pause, counted, changed = threading.Event(), -1, time.monotonic()
        while (now := into.count()) != rows and time.monotonic() - changed < _STALLED:
            if now != counted:
                counted, changed = now, time.monotonic()
            if now > rows:
                return
            pause.wait(_PAUSE)

    def _await_index(self, into: Collection) -> None:
        """Wait until all rows are indexed, however long, while the number of such rows grows."""
        indexed = -1
        while True:
            try:
                into.flush()
            except BackendUnavailable:
                if (now := into.indexed()) == indexed:
                    raise
                indexed = now
            else:
                return

    def _verify(self, into: Collection) -> tuple[int, float]:
        """Compare sampled records and searches with the job; return their number and the recall.

        Raises:
            BackendError: a record differs, or the recall is too low.
        """
        shards = self._job.shards()
        if len(shards) > _SAMPLED_SHARDS:
            places = np.linspace(0, len(shards) - 1, _SAMPLED_SHARDS).astype(int)
            shards = [shards[place] for place in places]
        sample = IdSample(SAMPLED)
        for batch in self._job.vectors(["id"], shards=shards):
            sample.offer(batch.column("id").to_pylist())
        ids = list(dict.fromkeys(sample.ids))
        check_sample(self._source, into, ids)
        records = self._source.get(ids[:QUERIES], vectors=True).values()
        vectors = [record.vector for record in records if record.vector is not None]
        if not vectors:
            return 0, 1.0
        recall = ann_recall_of_copy(self._source, into, np.stack(vectors))
        if recall < self._options.min_recall:
            raise BackendError(
                f"searches of {into.name!r} find {recall:.3f} of the exact neighbors, below "
                f"{self._options.min_recall:g}, so readers do not change over. Choose another "
                "index with `imgsearch tune`, or a lower --min-recall."
            )
        return len(ids), recall
