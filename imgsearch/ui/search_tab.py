"""The tab to search with an image, words or both. Without a search it shows the newest images."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

import gradio as gr

from imgsearch import images
from imgsearch.archive import Archive, Fetch, Found
from imgsearch.errors import ImageError, ImgSearchError
from imgsearch.images import sources
from imgsearch.text import counted
from imgsearch.ui.address import Address
from imgsearch.ui.detail import PRIVATE, Detail
from imgsearch.ui.gallery import Region, Tile, cropper, gallery, notice, original, tile_of
from imgsearch.ui.messages import describe
from imgsearch.ui.query import SearchRequest, find, newest, text_warnings
from imgsearch.ui.rail import MOST, Rail
from imgsearch.ui.search_bar import BarContent, SearchBar, saved, value
from imgsearch.ui.theme import script
from imgsearch.ui.visitor import Require

_CUT_FROM: Final = 2048  # pixels of a JPEG's shorter edge, at least, when a part is cut from it
_MORE: Final = 24  # hits that "Show more" adds
_NOTHING: Final = "No images found."
_NARROWED: Final = "No images match. Lower the score, or remove a condition."
_EMPTY: Final = "This collection has no images yet."


class SearchTab:
    """The tab, created in the current Gradio layout. `collection` is the collection name field.

    With `can_write` an empty collection offers the tab to add images, by the button `to_add`.
    """

    def __init__(
        self,
        max_pixels: int,
        collection: Any,
        require: Require,
        *,
        can_write: bool,
        fetch: Fetch | None = None,
    ) -> None:
        self._max_pixels, self._require = max_pixels, require
        self._can_write, self._fetch = can_write, fetch
        with gr.Column(elem_classes="asking"):
            self.bar = SearchBar(by_url=fetch is not None)
            self.crop = gr.HTML(js_on_load=script("crop"), elem_classes="cropper")
        with gr.Row(equal_height=False, elem_classes="beside-rail"):
            self.rail = Rail(collection, require)
            with gr.Column(scale=1, min_width=280):
                self.outcome = gr.HTML(js_on_load=script("results"), elem_classes="outcome")
                self.to_add = gr.Button("Add images", variant="primary", visible=False)
                self.detail = Detail(require)
                self.hits = gr.HTML(js_on_load=script("gallery"), elem_classes="gallery")
                self.further = gr.Button("Show more", visible=False, elem_id="further")
        self._like_id = gr.Textbox(visible="hidden", label="Like")  # the address reads it
        rail = self.rail
        self.address = Address([collection, self.bar.query, rail.where, rail.k, self._like_id])
        self._scores = gr.State({})
        self._cut_from = gr.State("")
        self._fields = {*rail.fields, self.bar.query, self._like_id}
        self._results = [
            self.outcome, self.to_add, self.hits, self._scores, self.further, self._like_id,
            *self.detail.outputs,
        ]  # fmt: skip
        asking: dict[str, Any] = {"inputs": self._fields, "outputs": self._results, **PRIVATE}
        self._searching: dict[str, Any] = {"fn": self._search, **asking}
        self.again: dict[str, Any] = {"fn": self._again, **asking}
        """Repeats the search, or shows the newest images."""
        self.like: dict[str, Any] = {
            "fn": self._like,
            "inputs": {*self._fields, self.detail.current},
            "outputs": [self.bar.query, *self._results],
            **PRIVATE,
        }
        self._wire()
        self._wire_cutting()

    def _wire(self) -> None:
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        rail, written = self.rail, self.address.writing
        self.bar.query.submit(**self._searching).then(**written)
        latest = {**self.again, "trigger_mode": "always_last"}
        for event in (
            rail.name.submit, rail.where.submit, rail.score.submit, rail.label.input,
            rail.floor.input, rail.mode.input, rail.hide.input, rail.k.input,
        ):  # fmt: skip
            event(**latest).then(**written)
        rail.facets.chosen.then(**self.again).then(**written)
        self.further.click(lambda k: min(k + _MORE, MOST), rail.k, rail.k, **quick).then(
            **self.again
        ).then(**written)
        self.detail.more.click(**self.like).then(**written)
        self.bar.clear.click(
            lambda: (value(), "", "", "", rail.labels(None), ""),
            None,
            [self.bar.query, self._like_id, rail.where, rail.name, rail.label, self.crop],
            **quick,
        ).then(**self._searching).then(**written)
        self.hits.select(self._select, self._scores, self.detail.outputs, **quick)

    def _wire_cutting(self) -> None:
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        cutting = [self._cut_from, self.crop]
        self.bar.query.submit(lambda: ("", ""), None, cutting, **quick)
        self.bar.part.click(self._cut_picture, self.bar.query, cutting, **quick)
        self.detail.part.click(self._cut_hit, self.detail.current, cutting, **quick)
        self.crop.click(lambda: ("", ""), None, cutting, **quick)
        self.crop.select(
            self._cropped, [self._cut_from, self.bar.query], [self.bar.query, *cutting], **PRIVATE
        ).success(**self._searching).then(**self.address.writing)

    def _search(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        """Search for the content of the bar."""
        return self._answer(self.rail.request(values, values[self.bar.query], like=None), request)

    def _again(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        like = values[self._like_id] or None
        content = BarContent() if like else values[self.bar.query]
        return self._answer(self.rail.request(values, content, like=like), request)

    def _like(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        """Search with the stored image that is open, and empty the bar."""
        search = self.rail.request(values, BarContent(), like=values[self.detail.current])
        return value(), *self._answer(search, request)

    def _answer(self, search: SearchRequest, request: gr.Request) -> tuple[Any, ...]:
        """Return the values of `_results`."""
        try:
            archive = self._require(request, "read").archive
            results = (self._hits if search.asks else self._newest)(archive, search)
        except ImgSearchError as error:
            hidden = gr.update(visible=False)
            results = notice(describe(error), kind="error"), hidden, "", {}, hidden
        return *results, search.like or "", *Detail.nothing()

    def _hits(self, archive: Archive, search: SearchRequest) -> tuple[Any, ...]:
        started = monotonic()
        title = _title(archive, search)
        hits = find(archive, search, fetch=self._fetch)
        warning = notice(text_warnings(archive, search), kind="warning")
        seconds = monotonic() - started
        outcome = _NARROWED if search.narrowed else _NOTHING
        if hits:
            outcome = f"{counted(len(hits), 'image')} nearest to {title}, in {seconds:.2f} s"
        tiles = gallery(archive, [_tile(hit) for hit in hits], name="Hits")
        scores = {hit.entry.id: (hit.hit.score, _region(hit)) for hit in hits}
        further = gr.update(visible=len(hits) == search.k < MOST)
        return warning + notice(outcome), gr.update(visible=False), tiles, scores, further

    def _newest(self, archive: Archive, search: SearchRequest) -> tuple[Any, ...]:
        page = newest(archive, search)
        outcome = _NARROWED if search.narrowed else _EMPTY
        if page.entries:
            number = len(page.entries)
            outcome = f"The newest {number} of {page.total:,} images"
            if number == page.total:
                outcome = f"{counted(number, 'image')}, newest first"
        empty = not (page.entries or search.narrowed)
        tiles = gallery(archive, [tile_of(entry) for entry in page.entries], name="Newest")
        further = gr.update(visible=page.next is not None and search.k < MOST)
        to_add = gr.update(visible=empty and self._can_write)
        return notice(outcome, kind="newest"), to_add, tiles, {}, further

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

    def _cut_picture(self, content: BarContent) -> tuple[str, str]:
        if content.picture is None:
            return "", ""
        try:
            picture = sources.read(content.picture)
            return "", cropper(picture, "the image", max_pixels=self._max_pixels)
        except ImgSearchError as error:
            return "", notice(describe(error), kind="error")

    def _cut_hit(self, id_: str, request: gr.Request) -> tuple[str, str]:
        try:
            archive = self._require(request, "read").archive
            entry, data = archive.entry(id_), original(archive, id_)
            return entry.id, cropper(data, entry.name, max_pixels=self._max_pixels)
        except ImgSearchError as error:
            return "", notice(describe(error), kind="error")

    def _cropped(
        self, source: str, content: BarContent, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, str, str]:
        """Return the marked part as the image in the bar.

        Raises:
            gr.Error: the part cannot be used, so the following search is not run.
        """
        try:
            archive = self._require(request, "read").archive
            file = content.picture or ""
            data = original(archive, source) if source else sources.read(file)
            pixels = images.decode(data, max_pixels=self._max_pixels, at_least=_CUT_FROM)
            marked = part(pixels, event._data.get("edges"))
            return value(content.words, saved(marked)), "", ""
        except ImgSearchError as error:
            raise gr.Error(describe(error)) from error


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


def _title(archive: Archive, search: SearchRequest) -> str:
    if search.like is not None:
        return archive.entry(search.like).name
    picture = "the image" if search.picture else ""
    words = f"“{search.words.strip()}”" if search.words.strip() else ""
    return " and ".join(filter(None, (picture, words)))


def _tile(hit: Found) -> Tile:
    others = hit.references - 1
    note = f"and {others} equal" if others else hit.entry.label
    return Tile(hit.entry.id, hit.entry.name, note, hit.hit.score, _region(hit))


def _region(hit: Found) -> Region | None:
    if hit.box is None:
        return None
    object_ = str(hit.hit.fields.get("object", ""))
    return Region(hit.box, object_, hit.entry.width, hit.entry.height)
