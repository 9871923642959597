"""Rows of tables as images: data frames, Arrow tables, and dicts.

A column holds paths or images, ``label`` holds labels, and all others are fields.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from imgsearch.errors import FieldInvalid, SourceError
from imgsearch.fields import check_field_name, field_value, is_null
from imgsearch.images.references import Reference
from imgsearch.images.sources import label_text, printable
from imgsearch.text import did_you_mean
from imgsearch.types import Value

PATHS: Final = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image", "img",
)  # fmt: skip
"""Names of a column of paths, which is found by itself, in order of preference."""

_LABEL: Final = "label"
_DIMENSIONS: Final = (2, 3)  # of an array of pixels: gray, and with channels
_OWN: Final = ("path", _LABEL)
_OnText = Callable[[str], None]
Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: `path` holds paths or names, `image` images; None without one."""

    path: object
    image: object

    @classmethod
    def of(cls, names: Sequence[Any], first: Row, *, wanted: str | None, table: str) -> "Columns":
        """Return the columns, given their names and the first row. `wanted` names the paths'.

        Raises:
            SourceError: no column holds paths or images.
        """
        listed = ", ".join(map(str, names))[:400] or "none"
        if wanted is not None:
            if wanted not in names:
                near = did_you_mean(wanted, [str(name) for name in names])
                raise SourceError(f"{table} has no column {wanted!r}, but: {listed}{near}")
            holds_images = is_image(first.get(wanted))
            return cls(None if holds_images else wanted, wanted if holds_images else None)
        image = next((name for name in names if is_image(first.get(name))), None)
        known = {str(name).lower(): name for name in reversed(names) if name != image}
        path = next((known[name] for name in PATHS if name in known), None)
        if path is None and image is None:
            raise SourceError(
                f"{table} has no column of paths or images, such as path or image, but: {listed}. "
                "Name it: path_column."
            )
        return cls(path, image)


def is_image(value: object) -> bool:
    """Return whether a cell holds an image in memory: bytes, a Pillow image, or pixels.

    A dict of ``bytes`` and ``path``, as in data sets of Hugging Face, counts, too.
    """
    if isinstance(value, Mapping):
        return value.keys() == {"bytes", "path"}
    if isinstance(value, bytes | bytearray | memoryview | Image.Image):
        return True
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) in _DIMENSIONS


def references(
    rows: Iterable[Row], columns: Columns, on_ignored: _OnText, on_note: _OnText
) -> Iterator[Reference]:
    """Yield the image of each row. Rows without a path and an image are ignored."""
    for number, row in enumerate(rows, 1):
        reference = reference_of(row, columns, f"row {number}", on_note)
        if reference is None:
            on_ignored(f"row {number}")
        else:
            yield reference


def reference_of(row: Row, columns: Columns, place: str, on_note: _OnText) -> Reference | None:
    """Return a row's image, or None for a row without one.

    `on_note` is called for each column whose values cannot become a field.
    """
    path, content = row.get(columns.path), row.get(columns.image)
    if isinstance(content, Mapping):
        path, content = content.get("path") if is_null(path) else path, content.get("bytes")
    if isinstance(content, str | os.PathLike):
        path, content = content, None
    if not isinstance(path, str | os.PathLike) and not is_null(path):
        path, content = None, path if content is None else content
    name = "" if path is None or is_null(path) else os.fsdecode(path)
    if is_null(content) and not name:
        return None
    label = row.get(_LABEL)
    return Reference(
        path=name or file_name(content),
        label=label_text("" if is_null(label) else str(label)) if _LABEL in row else None,
        fields=fields_of(row, {columns.path, columns.image, _LABEL}, on_note),
        content=None if is_null(content) else content,
        place=place,
    )


def fields_of(row: Row, others: set[object], on_note: _OnText) -> dict[str, Value]:
    """Return the fields of a row: its cells without `others`, and without empty cells."""
    fields: dict[str, Value] = {}
    for name, cell in row.items():
        if name in others:
            continue
        if name in _OWN:
            on_note(f"column {name!r} was not added as a field: another column holds the {name}")
            continue
        try:
            check_field_name(name)
            value = field_value(cell)
        except FieldInvalid as error:
            on_note(printable(f"column {name!r} was not added as a field: {error}"))
            continue
        if value is not None:
            fields[name] = value
    return fields


def file_name(image: object) -> str:
    """Return the absolute path of the file that a Pillow image was opened from, or ""."""
    name = getattr(image, "filename", "") if isinstance(image, Image.Image) else ""
    # resolve() would follow links
    return os.path.abspath(os.fsdecode(name)) if name else ""  # noqa: PTH100
