"""The panel with one image: its picture, its facts, its full size, and where to go from it."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from imgsearch.archive import Archive
from imgsearch.errors import ImgSearchError
from imgsearch.ui.gallery import details, full_size, says
from imgsearch.ui.messages import words
from imgsearch.ui.theme import script


class Detail:
    """The panel; made inside a layout. `current` holds the image's id, "" where none is shown."""

    def __init__(self, archive: Archive, require: Callable[[Any, str], None]) -> None:
        self._archive, self._require = archive, require
        self.current = gr.State("")
        with gr.Column(visible=False, elem_classes="detail-panel") as self.panel:
            self.facts = gr.HTML(js_on_load=script("detail"), elem_classes="facts")
            with gr.Row():
                self.more = gr.Button("More like this", variant="primary", min_width=130)
                self.part = gr.Button("Search a part of it", min_width=130)
        self.full = gr.HTML(js_on_load=script("full"), elem_classes="full")
        self.facts.click(
            self._full_size, self.current, self.full, show_progress="hidden", **PRIVATE
        )

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` and `nothing` return values for."""
        return [self.current, self.panel, self.facts, self.full]

    def show(self, id_: str, *, score: float | None = None) -> tuple[Any, ...]:
        """Return what the panel becomes for an image."""
        try:
            entry = self._archive.entry(id_)
            return entry.id, gr.update(visible=True), details(self._archive, entry, score=score), ""
        except ImgSearchError as error:
            return "", gr.update(visible=True), says(words(error), kind="error"), ""

    @staticmethod
    def nothing() -> tuple[Any, ...]:
        """Return what the panel becomes for none."""
        return "", gr.update(visible=False), "", ""

    def _full_size(self, id_: str, request: gr.Request) -> str:
        try:
            self._require(request, "read")
            return full_size(self._archive, self._archive.entry(id_))
        except ImgSearchError as error:
            return says(words(error), kind="error")


PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""What every event is told: no programming interface is offered for it."""
