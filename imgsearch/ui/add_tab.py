"""The tab to add images: uploads, or a folder on the server inside its roots."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import gradio as gr

from imgsearch.archive import Added, Archive, Incoming, Jobs, progress_of
from imgsearch.errors import ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.library.progress import Progress
from imgsearch.types import Failure
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import notice, progress, table
from imgsearch.ui.messages import describe

_FAILURES: Final = ("Name", "Stage", "Reason")
_SHOWN: Final = 200  # failures in the table, followed by the number of the rest


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file: its path on the server, and its original name."""

    path: Path
    name: str


class AddTab:
    """The tab, created in the current Gradio layout. `into` is the collection name field."""

    def __init__(
        self, archive: Archive, jobs: Jobs | None, require: Callable[[Any, str], None]
    ) -> None:
        self._archive, self._jobs, self._require = archive, jobs, require
        self.files = gr.File(
            label="Images", file_count="multiple", type="filepath", height=180, elem_id="files"
        )
        self.files.preprocess = _uploads  # Gradio's own preprocessing drops the original names
        with gr.Row():
            self.into = gr.Textbox(
                label="Collection",
                max_lines=1,
                info="a new name creates a collection",
                elem_id="into",
            )
            self.label = gr.Textbox(
                label="Label",
                max_lines=1,
                info="of all these images; may be empty",
                elem_id="label",
            )
        self.add = gr.Button("Add", variant="primary")
        if jobs is not None and archive.roots:
            with gr.Accordion("From a folder of the server", open=False):
                self.folder = gr.Textbox(label="Folder", max_lines=1, elem_id="folder")
                self.start = gr.Button("Add this folder")
        self.outcome = gr.HTML(elem_classes="outcome")
        self.failures = gr.HTML()
        results = [self.outcome, self.failures]
        self.events = [
            self.add.click(
                self._add,
                [self.files, self.into, self.label],
                [*results, self.files],
                show_progress="hidden",
                **PRIVATE,
            )
        ]
        if jobs is not None and archive.roots:
            self.events.append(
                self.start.click(
                    self._start,
                    [self.folder, self.into],
                    results,
                    show_progress="hidden",
                    **PRIVATE,
                )
            )

    def _add(
        self, files: Sequence[Upload], into: str, label: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Add the uploaded files; yield the progress, then the result."""
        if not files:
            yield notice("Choose some images first.", kind="error"), "", gr.skip()
            return
        failed: list[Failure] = []
        try:
            self._require(request, "write")
            add = partial(
                self._archive.add,
                [_incoming(file, label or "") for file in files],
                collection=into.strip(),
                found=len(files),
                on_failure=failed.append,
            )
            for now in progress_of_add(add):
                yield _bar(now), _table(failed), gr.skip()
        except ImgSearchError as error:
            yield notice(describe(error), kind="error"), _table(failed), gr.skip()
            return
        yield _sentence(now), _table(failed), None
        for file in files:
            file.path.unlink(missing_ok=True)

    def _start(self, folder: str, into: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Start a job; yield the progress, then the result. The job continues without the page."""
        assert self._jobs is not None  # noqa: S101 - without jobs there is no button
        try:
            self._require(request, "write")
            job = self._jobs.start_folder(folder, collection=into.strip())
            for job in self._jobs.watch(job.id):  # noqa: B020 - newer states of the job
                yield _bar(progress_of(job)), ""
            page = self._jobs.failures(job.id, limit=_SHOWN)
        except SourceError as error:
            yield notice(f"{str(error).capitalize()}.", kind="error"), ""
            return
        except ImgSearchError as error:
            yield notice(describe(error), kind="error"), ""
            return
        yield _sentence(progress_of(job), state=job.state), _table(page.failures)


def progress_of_add(add: Callable[..., Added]) -> Iterator[Progress]:
    """Run `add` in a thread; yield its progress.

    Raises: the `ImgSearchError` that `add` raises.
    """
    states: queue.SimpleQueue[Progress | ImgSearchError | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            add(on_progress=states.put)
        except ImgSearchError as error:
            states.put(error)
        finally:
            states.put(None)  # runs even after an unexpected error, which ends the thread

    threading.Thread(target=run, name="imgsearch-page-adding", daemon=True).start()
    while (state := states.get()) is not None:
        if isinstance(state, ImgSearchError):
            raise state
        yield state


def _uploads(payload: Any) -> list[Upload]:
    """Return the uploaded files with their names; Gradio has checked that they are uploads."""
    files = payload.root if payload is not None else []
    return [Upload(Path(file.path), file.orig_name or Path(file.path).name) for file in files]


def _incoming(file: Upload, label: str) -> Incoming:
    name = file.name.replace("\\", "/").rpartition("/")[2]  # in a dropped folder, names are paths
    return Incoming(name, label=label.strip() or None, reader=lambda: sources.read(str(file.path)))


def _bar(now: Progress) -> str:
    counts = f"{now.done} of {now.found}: {now.decoded} decoded, {now.embedded} embedded"
    return progress(now.done, now.found, counts)


def _sentence(now: Progress, *, state: str = "done") -> str:
    parts = [f"{now.added} added"]
    parts += [f"{now.updated} updated"] * bool(now.updated)
    parts += [f"{now.skipped} known"] * bool(now.skipped)
    parts += [f"{now.failed} failed"] * bool(now.failed)
    ending = "" if state == "done" else f" The job is {state}."
    return notice(f"{', '.join(parts)}.{ending}", kind="warning" if now.failed else "note")


def _table(failed: Sequence[Failure]) -> str:
    if not failed:
        return ""
    rows = [_cells(failure) for failure in failed]
    more = len(rows) - _SHOWN
    return table(_FAILURES, rows[:_SHOWN]) + notice(f"and {more} more" if more > 0 else "")


def _cells(failure: Failure) -> tuple[str, str, str]:
    """Return a failure's table cells. The reason does not repeat name and stage."""
    reason = failure.reason.removeprefix(f"{failure.path}: ")
    reason = reason.removesuffix(f" (stage: {failure.stage})")
    return Path(failure.path).name, failure.stage, reason or failure.error
