"""The tasks of an import: files are sent to the store, and their tasks are followed."""

import threading
from collections.abc import Callable, Iterable
from typing import Final

from imgsearch.backends.bulk import BulkImporter, ImportTask
from imgsearch.errors import BackendError, BackendUnavailable, ImgSearchError
from imgsearch.library.import_state import ImportFile, ImportFolder, ImportState

TRIES: Final = 3  # attempts of a file whose task fails
_PAUSE: Final = 0.5  # seconds between two looks at the tasks


class LostTaskError(Exception):
    """The store does not know a task, so it is unknown whether its rows are imported."""


class ImportTasks:
    """Sends files, and follows their tasks. The state is written before and after each request."""

    def __init__(
        self,
        state: ImportState,
        importer: BulkImporter,
        folder: ImportFolder,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._state, self._importer, self._folder = state, importer, folder
        self._report = on_progress

    def recover(self) -> None:
        """Find the tasks of files that were being sent when the last run ended.

        Raises:
            LostTaskError: the store has forgotten a task that it accepted, so its list says
                nothing about others.
        """
        sending = self._in_state("sending")
        if not sending:
            return
        tasks = self._importer.tasks()
        listed = {task.id for task in tasks}
        for file in self._in_state("sent"):
            if file.task not in listed:
                raise LostTaskError(file.task)
        used = {file.task for file in self._state.files if file.task}
        by_path = {path: task.id for task in tasks if task.id not in used for path in task.files}
        for file in sending:
            file.task = by_path.get(file.path, "")
            file.state = "sent" if file.task else "waiting"
        self._folder.write(self._state)

    def run(self) -> None:
        """Import all files.

        Raises:
            LostTaskError: the store does not know a task.
            BackendError: the store failed, or a file failed three times.
        """
        pause = threading.Event()
        self._progress()
        while True:
            self._look()
            self._send()
            if not self._in_state("waiting", "sending", "sent"):
                return
            pause.wait(_PAUSE)

    def _look(self) -> None:
        """Note the tasks that have ended."""
        changed = False
        for id_ in dict.fromkeys(file.task for file in self._in_state("sent")):
            task = self._importer.task(id_)
            if task is None:
                raise LostTaskError(id_)
            if task.state == "running":
                continue
            changed = True
            self._end_all([file for file in self._state.files if file.task == id_], task)
        if changed:
            self._folder.write(self._state)
            self._progress()

    def _end_all(self, files: Iterable[ImportFile], task: ImportTask) -> None:
        """Note the end of a task for its files."""
        for file in files:
            if task.state == "done":
                file.state = "done"
            else:
                self._try_again(file, task.reason or "no reason")

    def _try_again(self, file: ImportFile, fault: str) -> None:
        """Let a file wait for another task.

        Raises:
            BackendError: it has failed three times.
        """
        file.state = "waiting"
        file.task = ""
        file.attempts += 1
        if file.attempts == TRIES:
            file.attempts = 0
            self._folder.write(self._state)
            raise BackendError(
                f"the server cannot import {file.path} (shard {file.shard}): {fault}. It must be "
                "able to read this path: see --bucket."
            )

    def _send(self) -> None:
        """Send waiting files, as many as there is room for."""
        size = self._importer.files_per_task
        running = len({file.task for file in self._in_state("sent")})
        room = (self._importer.tasks_at_once - running) * size
        waiting = self._in_state("waiting")[: max(room, 0)]
        groups = [waiting[start : start + size] for start in range(0, len(waiting), size)]
        if not groups:
            return
        for file in waiting:
            file.state = "sending"
        self._folder.write(self._state)
        try:
            for group in groups:
                self._start(group)
        finally:
            self._folder.write(self._state)

    def _start(self, group: Iterable[ImportFile]) -> None:
        """Send a task. After a clear refusal its files wait again."""
        files = list(group)
        try:
            task = self._importer.start([file.path for file in files])
        except BackendUnavailable:
            raise  # it may have been accepted: `recover` looks
        except ImgSearchError:
            for file in files:
                file.state = "waiting"
            raise
        for file in files:
            file.state, file.task = "sent", task

    def _in_state(self, *states: str) -> list[ImportFile]:
        return [file for file in self._state.files if file.state in states]

    def _progress(self) -> None:
        self._report(self._state.done, self._state.rows)
