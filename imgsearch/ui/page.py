"""The page layout: a header with the collection, and tabs to search, add and browse."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.archive import Archive, Fetch, Jobs
from imgsearch.errors import ImgSearchError
from imgsearch.ui.add_tab import AddTab
from imgsearch.ui.browse_tab import BrowseTab
from imgsearch.ui.compare_tab import CompareTab
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import fact_list, notice
from imgsearch.ui.log_tab import LogTab
from imgsearch.ui.messages import describe
from imgsearch.ui.migration_line import migration_line
from imgsearch.ui.rail import collection_list
from imgsearch.ui.search_tab import SearchTab
from imgsearch.ui.sign_in import key_of
from imgsearch.ui.visitor import Check, Visitor

_SWEEP, _AGE = 600, 3600  # seconds between two cleanups, and age at which uploads are deleted
_REFRESH: Final = 2.0  # seconds between two states of a migration that is running
_AT_ONCE: Final = 4  # concurrent calls per event; the model uses all cores for each call


class PageBlocks(gr.Blocks):  # type: ignore[misc]  # Gradio has no types
    """The layout of the page, and the archive whose originals its server sends."""

    archive: Archive


class Page:
    """The page; `blocks` is its `gradio.Blocks`. See `imgsearch.ui.build`."""

    def __init__(
        self,
        archive: Archive,
        jobs: Jobs | None,
        *,
        collection: str,
        can_write: bool,
        check: Check | None,
        fetch: Fetch | None = None,
        allowed: Collection[str] = (),
    ) -> None:
        self._archive, self._first, self._check = archive, collection, check
        self._jobs = jobs
        self.blocks = PageBlocks(
            title="imgsearch", analytics_enabled=False, delete_cache=(_SWEEP, _AGE)
        )
        self.blocks.archive = archive
        with self.blocks:
            with gr.Row(elem_classes="top"):
                gr.HTML("<h1>imgsearch</h1>", elem_classes="name")
                self.collection = gr.Dropdown(
                    [collection],
                    value=collection,
                    label="Collection",
                    show_label=False,
                    container=False,
                    min_width=140,
                    scale=0,
                    elem_id="collection",
                )
                self.facts = gr.HTML(elem_classes="facts-line")
                if check is not None:
                    gr.HTML('<a href="sign-out">Sign out</a>', elem_classes="sign-out")
            self.migration = gr.HTML(elem_classes="migration-line")
            self.timer = gr.Timer(_REFRESH, active=False)
            with gr.Tabs(selected="search") as self.tabs:
                with gr.Tab("Search", id="search"):
                    self.search_tab = SearchTab(
                        archive.max_pixels,
                        self.collection,
                        self._require,
                        fetch=fetch,
                        can_write=can_write,
                    )
                self.add_tab: AddTab | None = None
                if can_write:
                    with gr.Tab("Add images", id="add"):
                        self.add_tab = AddTab(archive, jobs, self._require, allowed=allowed)
                with gr.Tab("Browse", id="browse") as browse:
                    self.browse_tab = BrowseTab(self.collection, self._require, can_write=can_write)
                with gr.Tab("Compare", id="compare"):
                    self.compare_tab = CompareTab(self.collection, self._require)
                with gr.Tab("Log", id="log") as log:
                    self.log_tab = LogTab(self._require)
                log.select(**self.log_tab.reading)
            self._wire(browse)
        self.blocks.queue(default_concurrency_limit=_AT_ONCE, api_open=False)

    def _wire(self, browse: Any) -> None:
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        search, rail = self.search_tab, self.search_tab.rail
        header = [self.collection, self.facts, self.migration, self.timer]
        header += [rail.collections, rail.label, self.browse_tab.label]
        update: dict[str, Any] = {"inputs": self.collection, "outputs": header, **quick}
        # not after additions, nor by the timer: a visitor may be writing, or have opened a field
        own = [rail.facets.fields]
        if self.add_tab is not None:
            own += [self.add_tab.into, self.add_tab.form.fields]
        choose: dict[str, Any] = {**update, "outputs": [*header, *own], "fn": self._choose}
        first_page: dict[str, Any] = {"fn": self.browse_tab.first, **self.browse_tab.turning}
        # the address comes first, before a visitor can write in its fields
        self.blocks.load(self._from_address, self.collection, search.address.fields, **quick).then(
            **choose
        ).then(**search.again).then(**search.address.writing)
        search.address.visited.then(**choose).then(**search.again)
        self.timer.tick(self._header, **update)
        chosen = search.address.fields[2], search.address.fields[4]
        for event in (
            self.collection.input(lambda: ("", ""), None, chosen, **quick),
            rail.collections.select(
                _pressed,
                None,
                [self.collection, *chosen],
                **quick,
            ),
        ):
            event.then(**choose).then(**search.again).then(**search.address.writing)
            event.then(**first_page)
        browse.select(**first_page)
        for event in self.add_tab.events if self.add_tab is not None else ():
            event.then(self._header, **update).then(**search.again)
        if self.add_tab is not None:
            self.browse_tab.deleted.then(self._header, **update).then(**search.again)
            search.to_add.click(lambda: gr.update(selected="add"), None, self.tabs, **quick)
        self.browse_tab.detail.more.click(
            lambda id_: (id_, gr.update(selected="search")),
            self.browse_tab.detail.current,
            [search.detail.current, self.tabs],
            **quick,
        ).then(**search.like).then(**search.address.writing)
        pair = [*self.compare_tab.pictures, self.compare_tab.outcome]
        for detail in (search.detail, self.browse_tab.detail):
            detail.compare.click(
                self.compare_tab.take, [detail.current, pair[0]], pair, **quick
            ).then(lambda: gr.update(selected="compare"), None, self.tabs, **quick)
        self.browse_tab.detail.part.click(
            lambda: gr.update(selected="search"), None, self.tabs, **quick
        )

    def _require(self, request: Any, scope: str) -> Visitor:
        """Check the visitor's key; return what the visitor may use.

        Raises:
            AccessDenied: the key does not have the scope.
        """
        key = None if self._check is None else self._check(key_of(request), scope)
        return Visitor.of(key, self._archive, self._jobs)

    def _from_address(self, chosen: str, request: gr.Request) -> list[Any]:
        """Return the collection and the search in the page's address."""
        name = request.query_params.get("collection", "")
        try:
            archive = self._require(request, "read").archive
            known = name in {state.name for state in archive.collections()}
        except ImgSearchError:  # the header shows it
            known = False
        return self.search_tab.address.read(request, name if known else chosen)

    def _choose(self, chosen: str, request: gr.Request) -> tuple[Any, ...]:
        """Return the header of the chosen collection, to which images are added, too."""
        header = self._header(chosen, request)
        header = self._header(chosen, request)
        name = header[0]["value"]
        own = [self.search_tab.rail.facets.closed(name, request)]
        if self.add_tab is not None:
            own += [name, self.add_tab.form.of(name, request)]
        return *header, *own

    def _header(self, chosen: str, request: gr.Request) -> tuple[Any, ...]:
        others = [self._first]
        try:
            visitor = self._require(request, "read")
            if visitor.collections is not None:
                others = [*visitor.collections]
                chosen = chosen if chosen in others else others[0]
            states: Mapping[str, Any] = {
                state.name: state for state in visitor.archive.collections()
            }
            labels = sorted(visitor.archive.labels(chosen) if chosen in states else ())
        except ImgSearchError as error:
            states, labels, line, running = {}, [], "", False
            facts = notice(describe(error), kind="error")
        else:
            facts = _facts(states.get(chosen))
            line, running = migration_line(visitor.archive, visitor.jobs, chosen)
        labels = [label for label in labels if label]
        choices = sorted({*states, *others, chosen})
        fields = [self.search_tab.rail.labels(labels), self.browse_tab.labels(labels)]
        migration = notice(line), gr.update(active=running)
        listed = collection_list(states.values(), chosen)
        return gr.update(choices=choices, value=chosen), facts, *migration, listed, *fields


def _pressed(event: gr.EventData) -> tuple[str, str, str]:
    """Return the name of a collection in the list, and what empties the search in it."""
    return str(event._data.get("name", "")), "", ""


def _facts(state: Any) -> str:
    if state is None:
        return notice("This collection is empty.")
    facts = {
        "images": f"{state.images:,}",
        "vectors": f"{state.vectors:,}",
        "model": f"{state.model}, {state.dim}-d",
    }
    return fact_list(facts)
