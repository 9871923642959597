"""The search bar: words and an image in one field, and buttons below it."""

from typing import Any, Final, NamedTuple

import gradio as gr
from gradio.processing_utils import save_img_array_to_cache

from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.theme import script
from imgsearch.ui.uploads import uploaded, uploads

_LONGEST: Final = 100_000  # letters of a pasted text; Gradio would attach a longer one as a file


class BarContent(NamedTuple):
    """The words in the bar, and the path of the uploaded image, if there is one."""

    words: str = ""
    picture: str | None = None


class SearchBar:
    """The bar, created in the current Gradio layout. The values of `query` are `BarContent`."""

    def __init__(self, *, by_url: bool) -> None:
        self.query = gr.MultimodalTextbox(
            label="Search",
            show_label=False,
            container=False,
            placeholder=f"Search by words{', by the URL of an image,' * by_url} or drop an image",
            file_types=["image"],
            sources=["upload"],
            max_lines=4,
            submit_btn="Search",
            max_plain_text_length=_LONGEST,
            elem_id="words",
        )
        # Gradio's own would refuse an image by its suffix, without a message of ours
        self.query.preprocess = _asked
        with gr.Row(elem_classes="below-bar"):
            self.part = gr.Button("Search a part of it", size="sm", elem_classes="needs-image")
            self.use_camera = gr.Button("Camera", size="sm")
            self.clear = gr.Button("Clear", size="sm")
        self.camera = gr.Image(
            label="Camera",
            sources=["webcam"],
            type="filepath",
            image_mode=None,
            format="png",
            height=320,
            buttons=[],
            visible=False,
            elem_id="camera",
        )
        self.camera.preprocess = uploaded  # a subclass would need its own browser code
        gr.HTML(js_on_load=script("search_bar"), elem_classes="unseen")
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        self.use_camera.click(
            lambda: gr.update(visible=True, value=None), None, self.camera, **quick
        )
        self.camera.input(
            lambda file, content: (value(content.words, file), gr.update(visible=False)),
            [self.camera, self.query],
            [self.query, self.camera],
            **quick,
        )


def value(words: str = "", picture: str | None = None) -> dict[str, Any]:
    """Return a value of the bar, with the path of an uploaded image."""
    return {"text": words, "files": [picture] if picture else []}


def saved(pixels: Any) -> str:
    """Return the path of a new upload, a PNG file of pixels (h, w, 3), uint8."""
    return str(save_img_array_to_cache(pixels, str(uploads()), format="png"))


def _asked(payload: Any) -> BarContent:
    """Return the words and the last file, undecoded; Gradio has checked the path."""
    if payload is None:
        return BarContent()
    return BarContent(payload.text, payload.files[-1].path if payload.files else None)
