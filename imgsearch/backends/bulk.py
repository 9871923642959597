"""Imports of whole files, by stores that read files themselves."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ImportTask:
    """A task of a store: it imports `files`. `reason` says why a task failed."""

    id: str
    state: Literal["running", "done", "failed"]
    files: tuple[str, ...]
    reason: str = ""


class BulkImporter(ABC):
    """Imports parquet files into one collection. An import appends: a file is sent once.

    `files_per_task` is the most files of a task, and `tasks_at_once` the most unfinished tasks.
    """

    files_per_task: int = 1
    tasks_at_once: int = 32

    @abstractmethod
    def start(self, files: Sequence[str]) -> str:
        """Ask the store to import files, by the paths that it reads; return the task's id.

        The request is never repeated, because a repeated one would import the files twice.

        Raises:
            BackendUnavailable: the store did not respond. It may have accepted the task; see
                `tasks`.
            BackendError: the store refuses the task.
        """

    @abstractmethod
    def task(self, id_: str) -> ImportTask | None:
        """Return a task, or None if the store does not know it."""

    @abstractmethod
    def tasks(self) -> list[ImportTask]:
        """Return all tasks of the collection that the store knows."""

    def columns(self, batch: pa.RecordBatch) -> dict[str, list[str]]:  # noqa: ARG002 - most need none
        """Return a batch's columns that the collection has in addition to the schema's."""
        return {}
