"""The list of fields: a field opens to its values with their numbers of images."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.archive import Archive
from imgsearch.errors import ImgSearchError
from imgsearch.types import Value
from imgsearch.ui.detail import PRIVATE
from imgsearch.ui.gallery import text
from imgsearch.ui.theme import script
from imgsearch.ui.visitor import Require

# of which each image has its own, or which are not for readers
_UNLISTED: Final = {"path", "box", "image", "video", "seconds", "text"}


class FacetList:
    """The list, created in the current Gradio layout.

    `collection` and `where` are the fields of the collection's name and of the filter. A chosen
    value is added to the filter; then `chosen` follows.
    """

    def __init__(self, collection: Any, where: Any, require: Require) -> None:
        self._require = require
        self.fields = gr.HTML(js_on_load=script("facets"), elem_classes="facets")
        quick: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        self.fields.select(self._open, [collection, where], self.fields, **quick)
        self.chosen = self.fields.click(
            self._choose, [collection, where], [where, self.fields], **quick
        )

    def closed(self, collection: str, request: gr.Request) -> str:
        """Return the list of fields of a collection as HTML."""
        try:
            return _list(_names(self._require(request, "read").archive, collection))
        except ImgSearchError:
            return ""

    def _open(self, collection: str, where: str, event: gr.EventData, request: gr.Request) -> str:
        """Return the list with the values of one field, under the present filter."""
        try:
            archive = self._require(request, "read").archive
            return _opened(archive, collection, str(event._data.get("field", "")), where or "")
        except ImgSearchError:
            return ""

    def _choose(
        self, collection: str, where: str, event: gr.EventData, request: gr.Request
    ) -> tuple[str, str]:
        """Return the filter that also requires the chosen value, and the new list."""
        field, value = str(event._data.get("field", "")), event._data.get("value")
        try:
            archive = self._require(request, "read").archive
            names = _names(archive, collection)
            if field not in names or not isinstance(value, bool | int | float | str):
                return where, _list(names)
            where = condition(field, value, where or "")
            return where, _opened(archive, collection, field, where)
        except ImgSearchError:
            return where, ""


def _names(archive: Archive, collection: str) -> list[str]:
    return [name for name in archive.field_types(collection) if name not in _UNLISTED]


def _opened(archive: Archive, collection: str, field: str, where: str) -> str:
    try:
        counts = archive.facets(collection, field, where=where.strip() or None)
    except ImgSearchError:  # e.g. the visitor wrote a filter that is not one
        counts = {}
    return _list(_names(archive, collection), {field: counts})


def _list(fields: Iterable[str], opened: Mapping[str, Mapping[Value, int]] | None = None) -> str:
    """Return fields as HTML; those in `opened` show their values."""
    opened = opened or {}
    return "".join(
        f'<details data-field="{text(field)}"{" open data-filled" * (field in opened)}>'
        f"<summary>{text(field)}</summary>{_values(opened.get(field, {}))}</details>"
        for field in fields
    )


def _values(counts: Mapping[Value, int]) -> str:
    items = "".join(
        f'<li><button type="button" data-value="{text(json.dumps(value))}">'
        f"<span>{text(value)}</span> <small>{number:,}</small></button></li>"
        for value, number in counts.items()
    )
    return f"<ul>{items}</ul>" if items else "<p>no values</p>"


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
