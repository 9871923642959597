"""The rail beside the hits: collections, fields, filters and options of a search."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.query import Mode
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.facets import FacetList
from imgsearch.ui.gallery import text
from imgsearch.ui.query import SearchRequest
from imgsearch.ui.search_bar import BarContent
from imgsearch.ui.theme import script
from imgsearch.ui.visitor import Require

FIRST: Final = 24  # images; fills rows of 2, 3, 4, 6 and 8
MOST: Final = 200  # images; a page of 200 thumbnails has 3 MB
_ANY: Final = "any label"
_FLOORS: Final = ("any", "as measured", "a number")
_MODES: Final[dict[str, Mode]] = {"pictures": "vector", "texts": "text", "both": "hybrid"}


class Rail:
    """The rail, created in the current Gradio layout. A narrow screen shows it on request.

    `collection` is the field of the collection's name.
    """

    def __init__(self, collection: Any, require: Require) -> None:
        self.collection = collection
        gr.HTML(
            '<button type="button" aria-expanded="false">Filters and options</button>',
            js_on_load=script("rail"),
            elem_classes="rail-button",
        )
        with gr.Column(scale=0, min_width=250, elem_classes="rail"):
            self.collections = gr.HTML(js_on_load=script("collections"), elem_classes="collections")
            self.where = gr.Textbox(
                label="Filter",
                placeholder="label in (cat, dog) and year > 2019",
                max_lines=1,
                elem_id="where",
            )
            self.facets = FacetList(collection, self.where, require)
            with gr.Accordion("What to show", open=False):
                self._build_options()
            with gr.Accordion("Image and words together", open=False):
                scale = {"minimum": -2, "maximum": 2, "value": 1, "step": 0.1, "buttons": []}
                self.picture_weight = gr.Slider(label="Weight of the image", **scale)
                self.words_weight = gr.Slider(
                    label="Weight of the words", info="negative to subtract", **scale
                )

    def _build_options(self) -> None:
        self.label = gr.Dropdown([_ANY], value=_ANY, label="Label")
        self.name = gr.Textbox(label="Name contains", max_lines=1, elem_id="name")
        self.k = gr.Slider(
            label="How many", minimum=1, maximum=MOST, value=FIRST, step=1, elem_id="k"
        )
        self.floor = gr.Radio(_FLOORS, value="any", label="Lowest score", elem_classes="choices")
        self.score = gr.Number(
            label="Score, up to 1", value=0.5, step=0.05, visible=False, elem_id="score"
        )
        self.floor.change(
            lambda floor: gr.update(visible=floor == _FLOORS[2]),
            self.floor,
            self.score,
            show_progress="hidden",
            **PRIVATE,
        )
        self.mode = gr.Radio(
            list(_MODES), value="pictures", label="Compare words with", elem_classes="choices"
        )
        self.hide = gr.Checkbox(label="Hide near-duplicates")

    @property
    def fields(self) -> set[Any]:
        """The components that `request` reads."""
        return {
            self.collection, self.picture_weight, self.words_weight, self.k, self.floor,
            self.score, self.label, self.name, self.where, self.hide, self.mode,
        }  # fmt: skip

    def request(
        self, values: Mapping[Any, Any], content: BarContent, *, like: str | None
    ) -> SearchRequest:
        """Return the search for the content of the bar, or for images like a stored one."""
        floor = values[self.floor]
        number = float(values[self.score] or 0) if floor == _FLOORS[2] else None
        label = values[self.label]
        return SearchRequest(
            collection=values[self.collection],
            picture=content.picture,
            words=content.words or "",
            picture_weight=float(values[self.picture_weight]),
            words_weight=float(values[self.words_weight]),
            like=like,
            k=int(values[self.k]),
            min_score="auto" if floor == _FLOORS[1] else number,
            label=None if label == _ANY else label,
            name=(values[self.name] or "").strip(),
            where=(values[self.where] or "").strip(),
            mode=_MODES[values[self.mode]],
            hide_duplicates=bool(values[self.hide]),
        )

    @staticmethod
    def labels(names: list[str] | None) -> Any:
        """Return a Gradio update that offers `names` in the label field, and chooses none."""
        choices = {} if names is None else {"choices": [_ANY, *names]}
        return gr.update(value=_ANY, **choices)


def collection_list(states: Iterable[Any], chosen: str) -> str:
    """Return the collections with their numbers of images as HTML, "" if there is only one."""
    items = [
        f'<li><button type="button" data-name="{text(state.name)}" '
        f'aria-pressed="{str(state.name == chosen).lower()}"><span>{text(state.name)}</span> '
        f"<small>{state.images:,}</small></button></li>"
        for state in states
    ]
    return f"<h2>Collections</h2><ul>{''.join(items)}</ul>" if len(items) > 1 else ""
