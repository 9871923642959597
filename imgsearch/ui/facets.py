"""Chooses a value of a field, with its number of images, and adds it to the filter."""

from typing import Any

import gradio as gr

from imgsearch.errors import ImgSearchError
from imgsearch.types import Value
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.visitor import Require


class FacetChooser:
    """Two lists, of fields and of the values of one, created in the current Gradio layout.

    `collection` and `where` are the fields of the collection's name and of the filter.
    """

    def __init__(self, collection: Any, where: Any, require: Require) -> None:
        self._require = require
        with gr.Row():
            self.field = gr.Dropdown([], label="Field", elem_id="facet-field")
            self.value = gr.Dropdown([], label="Value", elem_id="facet-value")
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        self.field.focus(self._fields, collection, self.field, **quick)
        self.field.input(self._values, [collection, self.field, where], self.value, **quick)
        self.value.input(condition, [self.field, self.value, where], where, **quick)

    def _fields(self, collection: str, request: gr.Request) -> Any:
        """Return an update that offers the fields of the collection."""
        try:
            archive = self._require(request, "read").archive
            names = [name for name in archive.field_types(collection) if name != "path"]
        except ImgSearchError:
            names = []
        return gr.update(choices=names)

    def _values(self, collection: str, field: str, where: str, request: gr.Request) -> Any:
        """Return an update that offers the field's values under the present filter."""
        try:
            archive = self._require(request, "read").archive
            counts = archive.facets(collection, field, where=(where or "").strip() or None)
        except ImgSearchError:
            counts = {}
        choices = [(f"{value} ({number:,})", value) for value, number in counts.items()]
        return gr.update(choices=choices, value=None)


def condition(field: str, value: Value, where: str) -> str:
    r"""Return a filter that also requires a value of a field.

    >>> condition("tags", "dog's", "year > 2019")
    "(year > 2019) and tags contains 'dog\\'s'"
    """
    match value:
        case bool():
            text = f"{field} = {str(value).lower()}"
        case int() | float():
            text = f"{field} = {value}"
        case _:
            plain = value.replace("\\", "\\\\").replace("'", "\\'")
            text = f"{field} contains '{plain}'"
    return f"({where.strip()}) and {text}" if where.strip() else text
