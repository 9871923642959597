"""The tab with the service's log, for visitors with an admin key."""

from collections.abc import Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.errors import ImgSearchError
from imgsearch.logs import LEVELS, recent_lines
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import notice, table
from imgsearch.ui.messages import describe
from imgsearch.ui.visitor import Require

_LINES: Final = 200
_SECONDS: Final = 5.0  # between two readings while the box is checked


class LogTab:
    """The tab, created in the current Gradio layout. `require` checks a visitor's key."""

    def __init__(self, require: Require) -> None:
        self._require = require
        with gr.Row():
            self.level = gr.Dropdown(list(LEVELS), value="info", label="Lowest level")
            self.follow = gr.Checkbox(label="Follow", elem_id="log-follow")
            self.refresh = gr.Button("Read again", min_width=100)
        self.lines = gr.HTML(elem_classes="log")
        timer = gr.Timer(_SECONDS, active=False)
        self.reading: Mapping[str, Any] = {
            "fn": self._read, "inputs": self.level, "outputs": self.lines,
            "show_progress": "hidden", **PRIVATE,
        }  # fmt: skip
        self.refresh.click(**self.reading)
        self.level.input(**self.reading)
        timer.tick(**self.reading)
        self.follow.input(lambda on: gr.Timer(_SECONDS, active=on), self.follow, timer, **PRIVATE)

    def _read(self, level: Any, request: gr.Request) -> str:
        try:
            self._require(request, "admin").require_all()
        except ImgSearchError as error:
            return notice(describe(error), kind="error")
        lines = recent_lines(_LINES, level=level if level in LEVELS else "info")
        if not lines:
            return notice("No line of this level was logged since the service started.")
        rows = (
            (line["time"], line["level"], line["message"], line.get("request_id", ""))
            for line in reversed(lines)
        )
        return table(("time", "level", "message", "request"), rows)
