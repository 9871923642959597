"""The tab to compare two images: uploads, or images of the archive."""

from typing import Any, Final

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache

from imgsearch import images
from imgsearch.errors import ImgSearchError
from imgsearch.evaluation.image_comparison import ImageComparison, compare_in_library
from imgsearch.images import sources
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import FULL, data_url, fact_list, notice, original, text
from imgsearch.ui.messages import describe
from imgsearch.ui.uploads import uploaded, uploads
from imgsearch.ui.visitor import Require

_SIDE: Final = 640  # pixels of a picture of the result
_SUFFIXES: Final = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}  # by every browser


class CompareTab:
    """The tab, created in the current Gradio layout. `collection` is the collection name field."""

    def __init__(self, collection: Any, require: Require) -> None:
        self._require = require
        with gr.Row():
            self.pictures = [_picture(label) for label in ("Image A", "Image B")]
        with gr.Row():
            self.compare = gr.Button("Compare", variant="primary")
            self.clear = gr.Button("Clear")
        self.outcome = gr.HTML(elem_classes="outcome")
        self.result = gr.HTML(elem_classes="comparison")
        results = [self.outcome, self.result]
        self.compare.click(self._compare, [collection, *self.pictures], results, **PRIVATE)
        self.clear.click(
            lambda: (None, None, "", ""),
            None,
            [*self.pictures, *results],
            show_progress="hidden",
            **PRIVATE,
        )

    def take(self, id_: str, first: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Return the values of `pictures` and `outcome` with a stored image.

        It becomes image A, or B if there is an A.
        """
        try:
            path = _saved(original(self._require(request, "read").archive, id_))
        except ImgSearchError as error:
            return gr.skip(), gr.skip(), notice(describe(error), kind="error")
        pair = (path, gr.skip()) if first is None else (gr.skip(), path)
        missing = "" if first else "Choose a second image, or open one and press Compare."
        return *pair, notice(missing)

    def _compare(
        self, collection: str, first: str | None, second: str | None, request: gr.Request
    ) -> tuple[str, str]:
        if first is None or second is None:
            return notice("Choose two images first.", kind="error"), ""
        try:
            archive = self._require(request, "read").archive
            one, other = sources.read(first), sources.read(second)
            library = archive.library(collection)
            with archive.traffic.search():
                comparison = compare_in_library(one, other, library)
        except ImgSearchError as error:
            return notice(describe(error), kind="error"), ""
        return notice(comparison.sentence), _result(comparison, library.model)


def _picture(label: str) -> gr.Image:
    picture = gr.Image(
        label=label,
        sources=["upload", "clipboard"],
        type="filepath",
        image_mode=None,
        height=240,
        buttons=[],
        elem_id=label.lower().replace(" ", "-"),
    )
    picture.preprocess = uploaded  # a subclass would need its own browser code
    return picture


def _saved(data: bytes) -> str:
    """Return the path of a new upload with an image that browsers show."""
    suffix = _SUFFIXES.get(images.sniff(data[: images.HEAD]) or "")
    if suffix is None:
        data, suffix = images.small(data, side=FULL), "jpg"
    return str(save_bytes_to_cache(data, f"image.{suffix}", str(uploads())))


def _result(comparison: ImageComparison, model: str) -> str:
    """Return the pictures and the figures of a comparison as HTML."""
    pictures = {
        "A": comparison.first,
        "B, laid over A": comparison.aligned,
        "Difference: black where they agree": comparison.difference,
    }
    if comparison.verdict == "different":  # an alignment of different pictures shows nothing
        pictures = {}
    figures = "".join(
        f'<figure><img src="{data_url(images.thumbnail(np.asarray(picture), side=_SIDE))}" '
        f'alt="{text(caption)}"><figcaption>{text(caption)}</figcaption></figure>'
        for caption, picture in pictures.items()
        if picture is not None and comparison.aligned is not None
    )
    facts = {**comparison.facts(), "model": model}
    del facts["verdict"]  # the outcome above has it
    return f'<div class="pictures">{figures}</div>{fact_list(facts)}'
