"""The tab that adds: files by upload, or a folder of the server's inside its roots."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import gradio as gr

from imgsearch.archive import Added, Archive, Incoming, Job, Jobs, Stages
from imgsearch.errors import ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.library.progress import FailedFile
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import progress, says, table
from imgsearch.ui.messages import words

_FAILURES: Final = ("Name", "Stage", "Reason")
_SHOWN: Final = 200  # failures in the table; the number of all is told


@dataclass(frozen=True, slots=True)
class Sent:
    """An uploaded file: where it lies, and what its owner calls it."""

    path: Path
    name: str


class Adding:
    """The tab; made inside a layout. `into` is the name of the collection that it adds to."""

    def __init__(
        self, archive: Archive, jobs: Jobs | None, require: Callable[[Any, str], None]
    ) -> None:
        self._archive, self._jobs, self._require = archive, jobs, require
        self.files = gr.File(
            label="Images", file_count="multiple", type="filepath", height=180, elem_id="files"
        )
        self.files.preprocess = _sent  # Gradio's own drops the names that the files had
        with gr.Row():
            self.into = gr.Textbox(
                label="Collection", max_lines=1, info="a new name makes a new one", elem_id="into"
            )
            self.label = gr.Textbox(
                label="Label",
                max_lines=1,
                info="the same for all of them; may be empty",
                elem_id="label",
            )
        self.add = gr.Button("Add", variant="primary")
        if jobs is not None and archive.roots:
            with gr.Accordion("From a folder of the server", open=False):
                self.folder = gr.Textbox(label="Folder", max_lines=1, elem_id="folder")
                self.start = gr.Button("Add this folder")
        self.told = gr.HTML(elem_classes="told")
        self.failures = gr.HTML()
        results = [self.told, self.failures]
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
        self, files: Sequence[Sent], into: str, label: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Add the uploaded files; yield how far it is, then how it ended."""
        if not files:
            yield says("Choose some images first.", kind="error"), "", gr.skip()
            return
        failed: list[FailedFile] = []
        try:
            self._require(request, "write")
            adding = partial(
                self._archive.add,
                [_incoming(file, label or "") for file in files],
                collection=into.strip(),
                found=len(files),
                on_failure=failed.append,
            )
            for stages in watched(adding):
                yield _bar(stages), _table(failed), gr.skip()
        except ImgSearchError as error:
            yield says(words(error), kind="error"), _table(failed), gr.skip()
            return
        yield _sentence(stages), _table(failed), None
        for file in files:
            file.path.unlink(missing_ok=True)

    def _start(self, folder: str, into: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Start a job; yield how far it is, then how it ended. It goes on without the page."""
        assert self._jobs is not None  # noqa: S101 - the button is there only with jobs
        try:
            self._require(request, "write")
            job = self._jobs.start_folder(folder, collection=into.strip())
            for job in self._jobs.watch(job.id):  # noqa: B020 - the same job, as it goes on
                yield _bar(_stages(job)), ""
            lines = self._jobs.failures(job.id, limit=_SHOWN).failures
        except SourceError as error:
            yield says(f"{str(error).capitalize()}.", kind="error"), ""
            return
        except ImgSearchError as error:
            yield says(words(error), kind="error"), ""
            return
        failed = [FailedFile(line.item, line.stage, line.error, line.reason) for line in lines]
        yield _sentence(_stages(job), state=job.state), _table(failed)


def watched(adding: Callable[..., Added]) -> Iterator[Stages]:
    """Run an addition in a thread; yield its stages as they go on, and those it ended with.

    Raises: as the addition does.
    """
    told: queue.SimpleQueue[Stages | Added | ImgSearchError | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            told.put(adding(on_stages=told.put))
        except ImgSearchError as error:
            told.put(error)
        finally:
            told.put(None)  # also where something unforeseen ends the thread

    threading.Thread(target=run, name="imgsearch-page-adding", daemon=True).start()
    while (each := told.get()) is not None:
        if isinstance(each, ImgSearchError):
            raise each
        yield each.stages if isinstance(each, Added) else each


def _sent(payload: Any) -> list[Sent]:
    """Return the uploaded files; Gradio has checked that they are uploads."""
    sent = payload.root if payload is not None else []
    return [Sent(Path(each.path), each.orig_name or Path(each.path).name) for each in sent]


def _incoming(file: Sent, label: str) -> Incoming:
    name = file.name.replace("\\", "/").rpartition("/")[2]  # of a folder that was dropped
    return Incoming(name, label=label.strip() or None, reader=lambda: sources.read(str(file.path)))


def _stages(job: Job) -> Stages:
    return Stages(**{name: getattr(job, name) for name in asdict(Stages())})


def _bar(stages: Stages) -> str:
    told = f"{stages.done} of {stages.found}: {stages.decoded} decoded, {stages.embedded} embedded"
    return progress(stages.done, stages.found, told)


def _sentence(stages: Stages, *, state: str = "done") -> str:
    parts = [f"{stages.inserted} added"]
    parts += [f"{stages.updated} updated"] * bool(stages.updated)
    parts += [f"{stages.skipped} there already"] * bool(stages.skipped)
    parts += [f"{stages.failed} failed"] * bool(stages.failed)
    over = "" if state == "done" else f" The job is {state}."
    return says(f"{', '.join(parts)}.{over}", kind="warning" if stages.failed else "note")


def _table(failed: Sequence[FailedFile]) -> str:
    if not failed:
        return ""
    rows = [_row(line) for line in failed]
    more = len(rows) - _SHOWN
    return table(_FAILURES, rows[:_SHOWN]) + says(f"and {more} more" if more > 0 else "")


def _row(line: FailedFile) -> tuple[str, str, str]:
    """Return a failure's cells, without saying its name and stage twice."""
    name = Path(line.path).name
    reason = line.reason.removeprefix(f"{line.path}: ").removesuffix(f" (stage: {line.stage})")
    return name, line.stage, reason or line.error
