"""The tab to add images: uploads, or a folder on the server inside its roots."""

import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from imgsearch.archive import Added, Archive, Incoming, Jobs
from imgsearch.errors import ImgSearchError
from imgsearch.images import sources
from imgsearch.images.videos import is_video, open_file
from imgsearch.library.progress import Progress
from imgsearch.types import Failure, Value
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.folder_form import FolderForm
from imgsearch.ui.gallery import notice
from imgsearch.ui.messages import describe
from imgsearch.ui.outcomes import bar, failure_table, sentence
from imgsearch.ui.values_form import READ, ValuesForm
from imgsearch.ui.visitor import Require


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file: its path on the server, and its original name."""

    path: Path
    name: str


class AddTab:
    """The tab, created in the current Gradio layout. `into` is the collection name field."""

    def __init__(
        self,
        archive: Archive,
        jobs: Jobs | None,
        require: Require,
        *,
        allowed: Collection[str] = (),
    ) -> None:
        self._require = require
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
        self.form = ValuesForm(require, allowed=allowed)
        self.add = gr.Button("Add", variant="primary")
        form = None
        if jobs is not None and archive.roots:
            form = FolderForm(require, self.form)
        self.outcome = gr.HTML(elem_classes="outcome")
        self.failures = gr.HTML()
        results = [self.outcome, self.failures]
        self.events = [
            self.add.click(
                self._add,
                [self.files, self.into, self.label, self.form.entered, *self.form.inputs],
                [*results, self.files],
                js=READ,
                show_progress="hidden",
                **PRIVATE,
            )
        ]
        if form is not None:
            self.events += form.connect(self.into, results)
        self.into.blur(self.form.of, self.into, self.form.fields, show_progress="hidden", **PRIVATE)

    def _add(
        self,
        files: Sequence[Upload],
        into: str,
        label: str,
        entered: str,
        ocr: bool,  # noqa: FBT001 - Gradio passes the values of a form by position
        tags: str,
        top: float | None,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Add the uploaded files; yield the progress, then the result."""
        if not files:
            yield notice("Choose some images first.", kind="error"), "", gr.skip()
            return
        failed: list[Failure] = []
        try:
            archive = self._require(request, "write").archive
            fields = self.form.values(entered, into.strip(), archive)
            add = partial(
                archive.add,
                [_incoming(file, label or "", fields) for file in files],
                collection=into.strip(),
                found=len(files),
                analysis=self.form.analysis(ocr=ocr, tags=tags, top=top),
                on_failure=failed.append,
            )
            for now in progress_of_add(add):
                yield bar(now), failure_table(failed), gr.skip()
        except ImgSearchError as error:
            yield notice(describe(error), kind="error"), failure_table(failed), gr.skip()
            return
        yield sentence(now), failure_table(failed), None
        for file in files:
            file.path.unlink(missing_ok=True)


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


def _incoming(file: Upload, label: str, fields: Mapping[str, Value]) -> Incoming:
    name = file.name.replace("\\", "/").rpartition("/")[2]  # in a dropped folder, names are paths
    path, stated = str(file.path), label.strip() or None
    if is_video(name):
        return Incoming(name, label=stated, fields=fields, opener=partial(open_file, path))
    return Incoming(name, label=stated, fields=fields, reader=lambda: sources.read(path))
