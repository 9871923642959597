"""The page: a header with the collection, and a tab each for searching, adding and browsing."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.archive import Archive, Jobs
from imgsearch.errors import ImgSearchError
from imgsearch.ui.add_tab import Adding
from imgsearch.ui.browse_tab import Browsing
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import says, text
from imgsearch.ui.messages import words
from imgsearch.ui.search_tab import Searching
from imgsearch.ui.sign_in import key_of

_SWEEP, _AGE = 600, 3600  # seconds between two looks for uploads to delete, and how old those are
_AT_ONCE: Final = 4  # calls of one kind; the model takes all cores for each


class Page:
    """The page; `blocks` is what Gradio serves. See `imgsearch.ui.build`."""

    def __init__(
        self,
        archive: Archive,
        jobs: Jobs | None,
        *,
        collection: str,
        can_write: bool,
        check: Callable[[str, str], object] | None,
    ) -> None:
        self._archive, self._first, self._check = archive, collection, check
        with gr.Blocks(
            title="imgsearch", analytics_enabled=False, delete_cache=(_SWEEP, _AGE)
        ) as self.blocks:
            with gr.Row(elem_classes="top"):
                gr.HTML("<h1>imgsearch</h1>", elem_classes="name")
                self.collection = gr.Dropdown(
                    [collection], value=collection, label="Collection", min_width=140, scale=0
                )
                self.facts = gr.HTML(elem_classes="facts-line")
                if check is not None:
                    gr.HTML('<a href="sign-out">Sign out</a>', elem_classes="sign-out")
            with gr.Tabs(selected="search") as self.tabs:
                with gr.Tab("Search", id="search"):
                    self.searching = Searching(archive, self.collection, self._require)
                self.adding: Adding | None = None
                if can_write:
                    with gr.Tab("Add images", id="add"):
                        self.adding = Adding(archive, jobs, self._require)
                with gr.Tab("Browse", id="browse") as browse:
                    self.browsing = Browsing(
                        archive, self.collection, self._require, can_write=can_write
                    )
            self._wire(browse)
        self.blocks.queue(default_concurrency_limit=_AT_ONCE, api_open=False)

    def _wire(self, browse: Any) -> None:
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        header = [self.collection, self.facts, self.searching.label, self.browsing.label]
        if self.adding is not None:
            header.append(self.adding.into)
        told: dict[str, Any] = {"inputs": self.collection, "outputs": header, **quick}
        browsed: dict[str, Any] = {"fn": self.browsing.first, **self.browsing.turning}
        self.blocks.load(self._header, **told)
        self.collection.input(self._header, **told).then(**browsed)
        browse.select(**browsed)
        for event in self.adding.events if self.adding is not None else ():
            event.then(self._header, **told)
        if self.adding is not None:
            self.browsing.deleted.then(self._header, **told)
        self.browsing.detail.more.click(
            lambda id_: (id_, gr.update(selected="search")),
            self.browsing.detail.current,
            [self.searching.detail.current, self.tabs],
            **quick,
        ).then(**self.searching.like)
        self.browsing.detail.part.click(
            lambda: gr.update(selected="search"), None, self.tabs, **quick
        )

    def _require(self, request: Any, scope: str) -> None:
        """Ask for the visitor's key.

        Raises:
            AccessDenied: it has not the scope.
        """
        if self._check is not None:
            self._check(key_of(request), scope)

    def _header(self, chosen: str, request: gr.Request) -> tuple[Any, ...]:
        try:
            self._require(request, "read")
            states: Mapping[str, Any] = {each.name: each for each in self._archive.collections()}
            labels = sorted(self._archive.catalog.labels(chosen) if chosen in states else ())
        except ImgSearchError as error:
            states, labels = {}, []
            facts = says(words(error), kind="error")
        else:
            facts = _facts(states.get(chosen))
        labels = [label for label in labels if label]
        choices = sorted({*states, self._first, chosen})
        fields = [self.searching.labels(labels), self.browsing.labels(labels)]
        into = [chosen] if self.adding is not None else []
        return gr.update(choices=choices, value=chosen), facts, *fields, *into


def _facts(state: Any) -> str:
    if state is None:
        return says("Empty: add some images first.")
    told = {
        "images": f"{state.images:,}",
        "vectors": f"{state.vectors:,}",
        "model": f"{state.model}, {state.dim}-d",
    }
    parts = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in told.items()
    )
    return f"<dl>{parts}</dl>"
