"""The tab to search with an image, words or both."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

import gradio as gr

from imgsearch import images
from imgsearch.archive import Archive, Fetch, Found
from imgsearch.errors import ImageError, ImgSearchError
from imgsearch.images import sources
from imgsearch.query import Mode
from imgsearch.text import counted
from imgsearch.ui.detail import PRIVATE, Detail
from imgsearch.ui.facets import FacetChooser
from imgsearch.ui.gallery import Region, Tile, cropper, gallery, notice, original
from imgsearch.ui.messages import describe
from imgsearch.ui.query import SearchRequest, find, text_warnings
from imgsearch.ui.theme import script
from imgsearch.ui.visitor import Require

_CUT_FROM: Final = 2048  # pixels of a JPEG's shorter edge, at least, when a part is cut from it
_ANY: Final = "any label"
_FLOORS: Final = ("any", "as measured", "a number")
_MODES: Final[dict[str, Mode]] = {"pictures": "vector", "texts": "text", "both": "hybrid"}
_FIRST: Final = 24  # hits; fills rows of 2, 3, 4, 6 and 8
_MORE: Final = 24  # hits that "Show more" adds
_MOST: Final = 200  # hits; a page of 200 thumbnails has 3 MB
_LONGEST: Final = 1_000  # letters that the page's address may hold of a field
_NOTHING: Final = "No images found."
_NARROWED: Final = "No images match. Lower the score, or remove a condition."

# keeps the search in the page's address, for bookmarks and links
_ADDRESS: Final = """(collection, q, where, k) => {
  const values = { q, where, k: k === 24 ? "" : String(k), collection };
  const address = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  history.replaceState(null, "", q || where ? `?${address}` : location.pathname);
}"""


class SearchTab:
    """The tab, created in the current Gradio layout. `collection` is the collection name field."""

    def __init__(
        self,
        max_pixels: int,
        collection: Any,
        require: Require,
        *,
        fetch: Fetch | None = None,
    ) -> None:
        self._max_pixels, self._collection, self._require = max_pixels, collection, require
        self._fetch = fetch
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=280, elem_classes="asking"):
                self._build_query()
                self._build_options()
            with gr.Column(scale=2, min_width=280):
                self.outcome = gr.HTML(js_on_load=script("results"), elem_classes="outcome")
                self.detail = Detail(require)
                self.hits = gr.HTML(js_on_load=script("gallery"), elem_classes="gallery")
                self.further = gr.Button("Show more", visible=False, elem_id="further")
        self._scores = gr.State({})
        self._cut_from = gr.State("")
        self._wire()

    def _build_query(self) -> None:
        self.picture = gr.Image(
            label="Image",
            sources=["upload", "clipboard", "webcam"],
            type="filepath",
            image_mode=None,
            format="png",
            height=220,
            buttons=[],
            elem_id="picture",
        )
        self.picture.preprocess = _file  # a subclass would need its own browser code
        self.cut = gr.Button("Search a part of it", visible=False, size="sm")
        self.crop = gr.HTML(js_on_load=script("crop"), elem_classes="cropper")
        self.words = gr.Textbox(
            label="Words or URL of an image" if self._fetch else "Words",
            placeholder="a dog in the snow",
            max_lines=1,
            elem_id="words",
        )
        with gr.Row():
            self.search = gr.Button("Search", variant="primary", min_width=120)
            self.clear = gr.Button("Clear", min_width=80)

    def _build_options(self) -> None:
        with gr.Accordion("Image and words together", open=False):
            scale = {"minimum": -2, "maximum": 2, "value": 1, "step": 0.1, "buttons": []}
            self.picture_weight = gr.Slider(label="Weight of the image", **scale)
            self.words_weight = gr.Slider(
                label="Weight of the words", info="negative to subtract", **scale
            )
        with gr.Accordion("What to show", open=False):
            self.k = gr.Slider(
                label="How many", minimum=1, maximum=_MOST, value=_FIRST, step=1, elem_id="k"
            )
            self.floor = gr.Radio(
                _FLOORS, value="any", label="Lowest score", elem_classes="choices"
            )
            self.score = gr.Number(
                label="Score, up to 1", value=0.5, step=0.05, visible=False, elem_id="score"
            )
            self.label = gr.Dropdown([_ANY], value=_ANY, label="Label")
            self.name = gr.Textbox(label="Name contains", max_lines=1, elem_id="name")
            self.where = gr.Textbox(
                label="Filter",
                placeholder="label in (cat, dog) and path under photos",
                max_lines=1,
                elem_id="where",
            )
            FacetChooser(self._collection, self.where, self._require)
            self.mode = gr.Radio(
                list(_MODES), value="pictures", label="Compare words with", elem_classes="choices"
            )
            self.hide = gr.Checkbox(label="Hide near-duplicates")

    def _wire(self) -> None:
        fields = {
            self._collection, self.picture, self.words, self.picture_weight, self.words_weight,
            self.k, self.floor, self.score, self.label, self.name, self.where, self.hide, self.mode,
        }  # fmt: skip
        results = [self.outcome, self.hits, self._scores, self.further, *self.detail.outputs]
        address: dict[str, Any] = {
            "fn": None, "inputs": [self._collection, *self.addressed], "js": _ADDRESS, **PRIVATE
        }  # fmt: skip
        for event in (
            self.search.click, self.words.submit, self.name.submit, self.where.submit
        ):  # fmt: skip
            event(self._search, fields, results, **PRIVATE).then(**address)
        # also while the slider moves, by keys, and after "Show more"
        self.k.change(self._again, fields, results, trigger_mode="always_last", **PRIVATE).then(
            **address
        )
        self.further.click(lambda k: min(k + _MORE, _MOST), self.k, self.k, **PRIVATE)
        self.again: dict[str, Any] = {
            "fn": self._again, "inputs": fields, "outputs": results, **PRIVATE
        }  # fmt: skip
        self.like: dict[str, Any] = {
            "fn": self._like,
            "inputs": {*fields, self.detail.current},
            "outputs": results,
            **PRIVATE,
        }  # fmt: skip
        self.detail.more.click(**self.like)
        self.clear.click(
            lambda: (None, "", "", "", "", {}, gr.update(visible=False), *Detail.nothing()),
            None,
            [self.picture, self.words, self.crop, *results],
            show_progress="hidden",
            **PRIVATE,
        ).then(**address)
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        self.hits.select(self._select, self._scores, self.detail.outputs, **quick)
        self.floor.change(
            lambda floor: gr.update(visible=floor == _FLOORS[2]), self.floor, self.score, **quick
        )
        cutting = [self._cut_from, self.crop]
        self.picture.change(
            lambda file: (gr.update(visible=bool(file)), "", ""),
            self.picture,
            [self.cut, *cutting],
            **quick,
        )
        self.cut.click(self._cut_picture, self.picture, cutting, **quick)
        self.detail.part.click(self._cut_hit, self.detail.current, cutting, **quick)
        self.crop.click(lambda: ("", ""), None, cutting, **quick)
        self.crop.select(
            self._cropped, [self._cut_from, self.picture], [self.picture, *cutting], **PRIVATE
        ).success(self._search, fields, results, **PRIVATE)

    @property
    def addressed(self) -> list[Any]:
        """The fields that the page's address holds."""
        return [self.words, self.where, self.k]

    @staticmethod
    def from_address(request: gr.Request) -> list[Any]:
        """Return the values of `addressed` in the page's address."""
        given = request.query_params
        k = given.get("k", "")
        most = int(k) if k.isdecimal() and len(k) < 4 else _FIRST
        return [
            given.get("q", "")[:_LONGEST],
            given.get("where", "")[:_LONGEST],
            max(1, min(most, _MOST)),
        ]

    def labels(self, names: list[str]) -> Any:
        """Return a Gradio update that offers `names` in the label field."""
        return gr.update(choices=[_ANY, *names], value=_ANY)

    def _search(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        return self._answer(self._parse(values), request)

    def _again(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        """Search if there is a query; otherwise change nothing."""
        if not (values[self.picture] or (values[self.words] or "").strip()):
            return (gr.skip(),) * (4 + len(self.detail.outputs))
        return self._search(values, request)

    def _like(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        return self._answer(self._parse(values, like=values[self.detail.current]), request)

    def _parse(self, values: Mapping[Any, Any], *, like: str | None = None) -> SearchRequest:
        floor = values[self.floor]
        number = float(values[self.score] or 0) if floor == _FLOORS[2] else None
        label = values[self.label]
        return SearchRequest(
            collection=values[self._collection],
            picture=values[self.picture],
            words=values[self.words] or "",
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

    def _answer(self, search: SearchRequest, request: gr.Request) -> tuple[Any, ...]:
        started = monotonic()
        try:
            archive = self._require(request, "read").archive
            title = _title(archive, search)
            hits = find(archive, search, fetch=self._fetch)
            warning = notice(text_warnings(archive, search), kind="warning")
        except ImgSearchError as error:
            hidden = gr.update(visible=False)
            return notice(describe(error), kind="error"), "", {}, hidden, *Detail.nothing()
        seconds = monotonic() - started
        outcome = _NOTHING
        if hits:
            outcome = f"{counted(len(hits), 'image')} nearest to {title}, in {seconds:.2f} s"
        if not hits and search.narrowed:
            outcome = _NARROWED
        tiles = gallery(archive, [_tile(hit) for hit in hits], name="Hits")
        scores = {hit.entry.id: (hit.hit.score, _region(hit)) for hit in hits}
        more = search.like is None and len(hits) == search.k < _MOST
        further = gr.update(visible=more)
        return warning + notice(outcome), tiles, scores, further, *Detail.nothing()

    def _select(
        self,
        scores: Mapping[str, tuple[float, Region | None]],
        event: gr.EventData,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        try:
            archive = self._require(request, "read").archive
        except ImgSearchError as error:
            return "", gr.update(visible=True), notice(describe(error), kind="error"), ""
        id_ = str(event._data.get("id", ""))
        score, region = scores.get(id_, (None, None))
        return self.detail.show(archive, id_, score=score, region=region)

    def _cut_picture(self, file: str) -> tuple[str, str]:
        try:
            return "", cropper(sources.read(file), "the image", max_pixels=self._max_pixels)
        except ImgSearchError as error:
            return "", notice(describe(error), kind="error")

    def _cut_hit(self, id_: str, request: gr.Request) -> tuple[str, str]:
        try:
            archive = self._require(request, "read").archive
            entry = archive.entry(id_)
            data = original(archive, id_)
            return entry.id, cropper(data, entry.name, max_pixels=self._max_pixels)
        except ImgSearchError as error:
            return "", notice(describe(error), kind="error")

    def _cropped(
        self, source: str, file: str | None, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, str, str]:
        """Return the marked part as the query image.

        Raises:
            gr.Error: the part cannot be used, so the following search is not run.
        """
        try:
            archive = self._require(request, "read").archive
            data = original(archive, source) if source else sources.read(file or "")
            pixels = images.decode(data, max_pixels=self._max_pixels, at_least=_CUT_FROM)
            return part(pixels, event._data.get("edges")), "", ""
        except ImgSearchError as error:
            raise gr.Error(describe(error)) from error


def _title(archive: Archive, search: SearchRequest) -> str:
    if search.like is not None:
        return archive.entry(search.like).name
    picture = "the image" if search.picture else ""
    words = f"“{search.words.strip()}”" if search.words.strip() else ""
    return " and ".join(filter(None, (picture, words)))


def part(pixels: Any, edges: Any) -> Any:
    """Crop an image (h, w, 3); `edges` are left, top, right and bottom as fractions in [0, 1].

    Raises:
        ImageError: the edges are invalid, or enclose less than a pixel.
    """
    height, width = pixels.shape[:2]
    try:
        left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in edges)
    except (TypeError, ValueError) as error:
        raise ImageError("no part of an image", reason="no part of it is marked") from error
    marked = pixels[
        int(top * height) : int(bottom * height), int(left * width) : int(right * width)
    ]
    if not marked.size:
        raise ImageError("an empty part", reason="the marked part is empty")
    return marked


def _file(payload: Any) -> str | None:
    """Return the path of the uploaded file, undecoded; Gradio has checked the path."""
    return payload.path if payload is not None else None


def _tile(hit: Found) -> Tile:
    others = hit.references - 1
    note = f"and {others} equal" if others else hit.entry.label
    return Tile(hit.entry.id, hit.entry.name, note, hit.hit.score, _region(hit))


def _region(hit: Found) -> Region | None:
    if hit.box is None:
        return None
    object_ = str(hit.hit.fields.get("object", ""))
    return Region(hit.box, object_, hit.entry.width, hit.entry.height)
