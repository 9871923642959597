"""The panel for one image: picture, metadata, full-size view, and searches from the image."""

from typing import Any

import gradio as gr

from imgsearch.archive import Archive
from imgsearch.errors import ImgSearchError
from imgsearch.ui.gallery import Region, details, full_size, notice
from imgsearch.ui.messages import describe
from imgsearch.ui.player import player
from imgsearch.ui.theme import script
from imgsearch.ui.visitor import Require


class Detail:
    """The panel, created in the current Gradio layout. `current` is the image id, or ""."""

    def __init__(self, require: Require) -> None:
        self._require = require
        self.current = gr.State("")
        with gr.Column(visible=False, elem_classes="detail-panel") as self.panel:
            self.facts = gr.HTML(js_on_load=script("detail"), elem_classes="facts")
            with gr.Row():
                self.more = gr.Button("More like this", variant="primary", min_width=130)
                self.part = gr.Button("Search a part of it", min_width=130)
                self.compare = gr.Button("Compare", min_width=100)
        self.full = gr.HTML(js_on_load=script("full"), elem_classes="full")
        self.facts.click(
            self._full_size, self.current, self.full, show_progress="hidden", **PRIVATE
        )

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` and `nothing` update."""
        return [self.current, self.panel, self.facts, self.full]

    def show(
        self,
        archive: Archive,
        id_: str,
        *,
        score: float | None = None,
        region: Region | None = None,
    ) -> tuple[Any, ...]:
        """Return the values of `outputs` that show an image."""
        try:
            entry = archive.entry(id_)
            film = player(archive, entry)
            content = details(archive, entry, score=score, region=region, player=film)
            return entry.id, gr.update(visible=True), content, ""
        except ImgSearchError as error:
            return "", gr.update(visible=True), notice(describe(error), kind="error"), ""

    @staticmethod
    def nothing() -> tuple[Any, ...]:
        """Return the values of `outputs` that hide the panel."""
        return "", gr.update(visible=False), "", ""

    def _full_size(self, id_: str, request: gr.Request) -> str:
        try:
            archive = self._require(request, "read").archive
            return full_size(archive, archive.entry(id_))
        except ImgSearchError as error:
            return notice(describe(error), kind="error")


PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""Options for every event, to keep it out of Gradio's API."""
