"""The form that adds a folder of the server, or keeps a collection in step with it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from imgsearch.archive import Analysis, Jobs, progress_of
from imgsearch.errors import ConfigError, ImgSearchError, SourceError
from imgsearch.library.progress import SyncReport
from imgsearch.text import counted
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import notice, table
from imgsearch.ui.messages import describe
from imgsearch.ui.outcomes import SHOWN, bar, failure_table, sentence
from imgsearch.ui.values_form import ValuesForm
from imgsearch.ui.visitor import Require


class _Planned(NamedTuple):
    """A sync whose plan was shown. `confirm`: the plan named reasons to confirm it."""

    folder: str
    collection: str
    confirm: bool
    exclude: tuple[str, ...]
    analysis: Analysis


class FolderForm:
    """The form, created in the current Gradio layout. `values` has more options of an addition.

    A sync is carried out after its plan was shown. It is confirmed only if the plan said why it
    must be: otherwise a drive that was unmounted meanwhile would empty the collection.
    """

    def __init__(self, require: Require, values: ValuesForm) -> None:
        self._require, self._values = require, values
        with gr.Accordion("From a folder of the server", open=False):
            self.folder = gr.Textbox(label="Folder", max_lines=1, elem_id="folder")
            self.exclude = gr.Textbox(
                label="Pass over",
                info="patterns as in .gitignore, one a line",
                placeholder="raw/",
                lines=1,
                max_lines=5,
                elem_id="exclude",
            )
            self.in_step = gr.Checkbox(
                label="Keep in step: also delete images whose files no longer exist",
                elem_id="in-step",
            )
            self.start = gr.Button("Add this folder")
            self.carry_out = gr.Button("Carry out this sync", variant="stop", visible=False)
        self.planned = gr.State(None)

    def connect(self, into: gr.Textbox, results: list[Any]) -> list[Any]:
        """Connect the buttons with the collection's name and the results; return the events."""
        outputs = [*results, self.carry_out, self.planned]
        start = self.start.click(
            self._start,
            [self.folder, into, self.exclude, self.in_step, *self._values.inputs],
            outputs,
            show_progress="hidden",
            **PRIVATE,
        )
        carry_out = self.carry_out.click(
            self._carry_out, [self.planned], outputs, show_progress="hidden", **PRIVATE
        )
        return [start, carry_out]

    def _start(
        self,
        folder: str,
        into: str,
        exclude: str,
        in_step: bool,  # noqa: FBT001 - Gradio passes the values of a form by position
        ocr: bool,  # noqa: FBT001 - as above
        tags: str,
        top: float | None,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Start a job, or show the plan of a sync."""
        patterns = tuple(filter(None, map(str.strip, (exclude or "").splitlines())))

        def states() -> Iterator[tuple[Any, ...]]:
            analysis = self._values.analysis(ocr=ocr, tags=tags, top=top)
            planned = _Planned(folder, into.strip(), False, patterns, analysis)  # noqa: FBT003
            yield from (self._plan if in_step else self._run)(planned, request)

        yield from self._guarded(states())

    def _carry_out(
        self, planned: _Planned | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Carry out the sync whose plan was shown."""
        if planned is not None:
            yield from self._guarded(self._run(planned, request, sync=True))

    def _guarded(self, states: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield the states, and an error as a notice."""
        try:
            yield from states
        except SourceError as error:
            text = str(error)
            yield notice(f"{text[:1].upper()}{text[1:]}.", kind="error"), "", *_NOTHING_PLANNED
        except ImgSearchError as error:
            yield notice(describe(error), kind="error"), "", *_NOTHING_PLANNED

    def _jobs(self, request: gr.Request) -> Jobs:
        """Return the jobs of a visitor who may add images.

        Raises:
            AccessDenied: the visitor's key does not allow it.
        """
        jobs = self._require(request, "write").jobs
        if jobs is None:
            raise ConfigError("folders cannot be added here")
        return jobs

    def _plan(self, planned: _Planned, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        report = self._jobs(request).plan_sync(
            planned.folder, collection=planned.collection, exclude=planned.exclude
        )
        planned = planned._replace(confirm=bool(report.reasons))
        yield _summary(report), _deleted(report), gr.update(visible=True), planned

    def _run(
        self, planned: _Planned, request: gr.Request, *, sync: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Run a job; yield the progress, then the result. The job continues without the page."""
        jobs = self._jobs(request)
        job = jobs.start_folder(
            planned.folder,
            collection=planned.collection,
            sync=sync,
            confirm=planned.confirm,
            exclude=planned.exclude,
            analysis=planned.analysis,
        )
        for job in jobs.watch(job.id):  # noqa: B020 - newer states of the job
            yield bar(progress_of(job)), "", *_NOTHING_PLANNED
        page = jobs.failures(job.id, limit=SHOWN)
        removed = f"{counted(job.deleted, 'image')} deleted" * bool(job.deleted)
        text = sentence(progress_of(job), state=job.state, more=removed)
        yield text, failure_table(page.failures), *_NOTHING_PLANNED


_NOTHING_PLANNED = (gr.update(visible=False), None)


def _summary(plan: SyncReport) -> str:
    names = ("added", "changed", "renamed", "deleted", "unchanged")
    counts = ", ".join(f"{getattr(plan, name)} {name}" for name in names)
    words = [f"Nothing was changed yet. Files of this sync: {counts}."]
    words += [f"Check that the drive is mounted: {reason}." for reason in plan.reasons]
    return notice(" ".join(words), kind="warning" if plan.reasons else "note")


def _deleted(plan: SyncReport) -> str:
    paths = plan.deleted_paths[:SHOWN]
    more = plan.deleted - len(paths)
    rows = table(("To delete",), [(path,) for path in paths]) if paths else ""
    return rows + notice(f"and {more} more" if more > 0 else "")
