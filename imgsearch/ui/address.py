"""The page's address: it holds the search, for bookmarks, links, and the way back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import gradio as gr

from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.rail import FIRST, MOST
from imgsearch.ui.search_bar import value
from imgsearch.ui.theme import script

_LONGEST: Final = 1_000  # letters of a field

# A new search is a step in the browser's history; more hits or another filter change the step. The
# history also keeps an uploaded image, which the address cannot hold.
_WRITE: Final = """(collection, bar, where, k, like) => {
  const { text = "", files = [] } = bar ?? {};
  const q = text.trim(), key = JSON.stringify([q, like, files.map((file) => file.path)]);
  const values = { q, where, like, k: k === 24 ? "" : String(k), collection };
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  const state = { key, fields: [collection, { text, files }, where, k, like] };
  const write = history.state && history.state.key !== key ? "pushState" : "replaceState";
  const searched = q || where || like ? `?${query}` : location.pathname;
  history[write](state, "", history.state ? searched : location.href);
}"""

_READ: Final = "() => history.state.fields"


class Address:
    """The address of a search, in components of the current Gradio layout.

    `fields` are the components of the collection, the bar, the filter, the number of images, and
    the id of the stored image whose like are searched.
    """

    def __init__(self, fields: Sequence[Any]) -> None:
        self.fields = list(fields)
        self._history = gr.HTML(js_on_load=script("address"), elem_classes="unseen")
        self.writing: Mapping[str, Any] = {
            "fn": None, "inputs": self.fields, "js": _WRITE, **PRIVATE
        }  # fmt: skip
        self.visited = self._history.select(None, None, self.fields, js=_READ, **PRIVATE)

    @staticmethod
    def read(request: gr.Request, collection: str) -> list[Any]:
        """Return the values of `fields` in the page's address; `collection` is known."""
        given = request.query_params
        k = given.get("k", "")
        number = int(k) if k.isdecimal() and len(k) < 4 else FIRST
        return [
            collection,
            value(given.get("q", "")[:_LONGEST]),
            given.get("where", "")[:_LONGEST],
            max(1, min(number, MOST)),
            given.get("like", "")[:_LONGEST],
        ]
