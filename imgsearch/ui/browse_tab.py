"""The tab to browse the collection: pages of thumbnails, and each image's metadata."""

from collections.abc import Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.errors import ImgSearchError
from imgsearch.filters import to_filter
from imgsearch.text import counted
from imgsearch.ui.detail import PRIVATE, Detail
from imgsearch.ui.gallery import gallery, notice, tile_of
from imgsearch.ui.messages import describe
from imgsearch.ui.theme import script
from imgsearch.ui.visitor import Require

_ANY: Final = "any label"
_PAGE: Final = 24  # images per page; fills rows of 2, 3, 4, 6 and 8
# label in the list → (order, descending)
_ORDERS: Final = {
    "newest first": ("created", True),
    "oldest first": ("created", False),
    "by name": ("name", False),
    "by label": ("label", False),
    "largest first": ("size", True),
}


class BrowseTab:
    """The tab, created in the current Gradio layout. `collection` is the collection name field."""

    def __init__(
        self,
        collection: Any,
        require: Require,
        *,
        can_write: bool,
    ) -> None:
        self._collection, self._require = collection, require
        with gr.Row():
            self.order = gr.Dropdown(list(_ORDERS), value="newest first", label="Order")
            self.label = gr.Dropdown([_ANY], value=_ANY, label="Label")
            self.name = gr.Textbox(label="Name contains", max_lines=1, elem_id="browse-name")
            self.where = gr.Textbox(
                label="Filter",
                max_lines=1,
                placeholder="year >= 2019",
                elem_id="browse-where",
            )
        self.outcome = gr.HTML(elem_classes="outcome")
        self.detail = Detail(require)
        if can_write:
            self._build_deletion()
        self.images = gr.HTML(js_on_load=script("gallery"), elem_classes="gallery")
        with gr.Row():
            self.previous = gr.Button("Previous", interactive=False, min_width=100)
            self.next = gr.Button("Next", interactive=False, min_width=100)
        self._cursors = gr.State([None])  # of the visited pages; the last page is visible
        self._following = gr.State(None)
        self._wire()
        if can_write:
            self._wire_deletion()

    def _build_deletion(self) -> None:
        with self.detail.panel:
            self.delete = gr.Button("Delete", variant="stop", min_width=100)
            with gr.Group(visible=False) as self.confirm:
                self.question = gr.HTML(padding=True)
                with gr.Row():
                    self.yes = gr.Button("Delete it", variant="stop", min_width=100)
                    self.no = gr.Button("Keep it", min_width=100)

    def _wire(self) -> None:
        self.fields = {
            self._collection, self.order, self.label, self.name, self.where, self._cursors,
            self._following,
        }  # fmt: skip
        self.results = [
            self.outcome,
            self.images,
            self._cursors,
            self._following,
            self.previous,
            self.next,
            *self.detail.outputs,
        ]
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        self.turning: dict[str, Any] = {
            "inputs": self.fields,
            "outputs": self.results,
            **quick,
            # one at a time, so that the last click determines the visible page
            "concurrency_id": "browsing",
            "concurrency_limit": 1,
        }
        for event in (self.order.input, self.label.input, self.name.submit, self.where.submit):
            event(self.first, **self.turning)
        self.next.click(self._next, **self.turning)
        self.previous.click(self._previous, **self.turning)
        self.images.select(self._select, None, self.detail.outputs, **quick)

    def _wire_deletion(self) -> None:
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        asking = [self.question, self.confirm]
        self.delete.click(self._ask, self.detail.current, asking, **quick)
        self.no.click(lambda: ("", gr.update(visible=False)), None, asking, **quick)
        self.images.select(lambda: ("", gr.update(visible=False)), None, asking, **quick)
        self.deleted = self.yes.click(
            self._delete, {*self.fields, self.detail.current}, [*self.results, *asking], **quick
        )

    def labels(self, names: list[str]) -> Any:
        """Return a Gradio update that offers `names` in the label field."""
        return gr.update(choices=[_ANY, *names], value=_ANY)

    def first(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        """Return the first page, as values for `results`."""
        return self._page(values, [None], request)

    def _next(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        following = values[self._following]
        cursors = values[self._cursors]
        return self._page(values, [*cursors, following] if following else cursors, request)

    def _previous(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        return self._page(values, values[self._cursors][:-1] or [None], request)

    def _page(
        self, values: Mapping[Any, Any], cursors: list[str | None], request: gr.Request
    ) -> tuple[Any, ...]:
        order, descending = _ORDERS[values[self.order]]
        label, where = values[self.label], (values[self.where] or "").strip()
        try:
            archive = self._require(request, "read").archive
            page = archive.entries(
                collection=values[self._collection],
                limit=_PAGE,
                after=cursors[-1],
                order=order,
                descending=descending,
                label=None if label == _ANY else label,
                text=(values[self.name] or "").strip() or None,
                where=to_filter(where) if where else None,
            )
        except ImgSearchError as error:
            off = gr.update(interactive=False)
            outcome = notice(describe(error), kind="error")
            return outcome, "", [None], None, off, off, *Detail.nothing()
        tiles = [tile_of(entry) for entry in page.entries]
        start = (len(cursors) - 1) * _PAGE
        position = f"{start + 1} to {start + len(tiles)} of {counted(page.total, 'image')}"
        return (
            notice(position if tiles else "No images match."),
            gallery(archive, tiles, name="Images"),
            cursors,
            page.next,
            gr.update(interactive=len(cursors) > 1),
            gr.update(interactive=page.next is not None),
            *Detail.nothing(),
        )

    def _select(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        try:
            archive = self._require(request, "read").archive
        except ImgSearchError as error:
            return "", gr.update(visible=True), notice(describe(error), kind="error"), ""
        return self.detail.show(archive, str(event._data.get("id", "")))

    def _ask(self, id_: str, request: gr.Request) -> tuple[str, Any]:
        try:
            name = self._require(request, "write").archive.entry(id_).name
        except ImgSearchError as error:
            return notice(describe(error), kind="error"), gr.update(visible=True)
        return notice(f"Delete {name} permanently?"), gr.update(visible=True)

    def _delete(self, values: Mapping[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        done = "", gr.update(visible=False)
        try:
            archive = self._require(request, "write").archive
            archive.delete([values[self.detail.current]])
        except ImgSearchError as error:
            return (
                *self._page(values, values[self._cursors], request),
                notice(describe(error), kind="error"),
                gr.update(visible=True),
            )
        return *self._page(values, values[self._cursors], request), *done
