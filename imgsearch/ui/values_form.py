"""The form of an addition: values of declared fields, reading of text, and tags."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

import gradio as gr

from imgsearch.archive import Analysis
from imgsearch.errors import ConfigError, FieldInvalid, ImgSearchError
from imgsearch.fields import FieldType, can_declare, from_text
from imgsearch.images.moments import FIELDS as VIDEO_FIELDS
from imgsearch.types import Value
from imgsearch.ui.gallery import text
from imgsearch.ui.visitor import Require

READ: Final = """(files, into, label, _entered, ...more) => {
  const fields = document.querySelectorAll('.field-form [data-field]');
  const entered = Object.fromEntries([...fields].map((f) => [f.dataset.field, f.value]));
  return [files, into, label, JSON.stringify(entered), ...more];
}"""
"""Reads the values of fields, the fourth input, in the browser when an addition begins."""

_INPUTS: Final[Mapping[FieldType, str]] = {
    "str": 'type="text"',
    "int": 'type="number" step="1"',
    "float": 'type="number" step="any"',
}
_MOST: Final = 100  # tags of an image


class ValuesForm:
    """The form, created in the current Gradio layout.

    `allowed` are "ocr" and "tags", as far as visitors may ask for them.
    """

    def __init__(self, require: Require, *, allowed: Collection[str]) -> None:
        self._require, self._allowed = require, frozenset(allowed)
        self.fields = gr.HTML(elem_classes="field-form")
        self.entered = gr.Textbox(visible="hidden", label="Values of fields")  # READ fills it
        with gr.Accordion("Text and tags", open=False, visible=bool(allowed)):
            self.ocr = gr.Checkbox(
                label="Read the text in the images, which searches by words find",
                visible="ocr" in allowed,
                elem_id="ocr",
            )
            with gr.Row(visible="tags" in allowed):
                self.tags = gr.Textbox(
                    label="Tags to choose from",
                    info="separated by commas; those that fit an image become its tags",
                    placeholder="dog, cat, a beach",
                    max_lines=3,
                    elem_id="tags",
                )
                self.top = gr.Number(
                    label="Tags per image",
                    info="0: all above the measured threshold",
                    value=1,
                    minimum=0,
                    maximum=_MOST,
                    precision=0,
                    elem_id="tag-top",
                )

    @property
    def inputs(self) -> list[Any]:
        """The components whose values `analysis` takes."""
        return [self.ocr, self.tags, self.top]

    def of(self, collection: str, request: gr.Request) -> str:
        """Return a field for each declared field of a collection as HTML; "" without any."""
        try:
            archive = self._require(request, "write").archive
            types = _types(archive, collection)
        except ImgSearchError:
            return ""
        if not types:
            return ""
        rows = "".join(_row(name, kind) for name, kind in types.items())
        return f"<fieldset><legend>Fields of all these images</legend>{rows}</fieldset>"

    def values(self, entered: str, collection: str, archive: Any) -> dict[str, Value]:
        """Return the values that a visitor entered, as the declared types.

        Raises:
            FieldInvalid: a value does not have its type.
        """
        types = _types(archive, collection)
        try:
            cells = dict(json.loads(entered or "{}"))
        except (ValueError, TypeError, RecursionError) as error:
            raise FieldInvalid("the values of fields are not JSON") from error
        values = {
            name: from_text(name, str(cells.get(name, "")), kind) for name, kind in types.items()
        }
        return {name: value for name, value in values.items() if value is not None}

    def analysis(self, *, ocr: bool, tags: str, top: float | None) -> Analysis:
        """Return the analysis of new images that a visitor chose.

        Raises:
            ConfigError: it is not allowed here.
            MissingExtra: an extra is not installed.
        """
        labels = tuple(filter(None, (tag.strip() for tag in (tags or "").split(","))))
        for name, wanted in (("ocr", ocr), ("tags", bool(labels))):
            if wanted and name not in self._allowed:
                raise ConfigError(f"this page does not allow {name}")
        most = int(top or 0) or None
        analysis = Analysis(bool(ocr), labels, most if labels else None)
        analysis.check()
        return analysis


def _types(archive: Any, collection: str) -> dict[str, FieldType]:
    names = archive.field_types(collection)
    return {
        name: kind for name, kind in names.items() if can_declare(name) and name not in VIDEO_FIELDS
    }


def _row(name: str, kind: FieldType) -> str:
    if kind == "bool":
        options = "".join(f"<option>{value}</option>" for value in ("", "yes", "no"))
        field = f'<select data-field="{text(name)}">{options}</select>'
    else:
        field = f'<input {_INPUTS[kind]} data-field="{text(name)}">'
    return f"<label><span>{text(name)}</span>{field}</label>"
