"""Rows of tables as images: data frames, Arrow tables, and dicts.

A column holds paths or images, ``label`` holds labels, and all others are fields.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from PIL import Image

from imgsearch.errors import FieldInvalid, SourceError
from imgsearch.fields import check_field_name, field_value, is_null
from imgsearch.images.image_lists import ListColumns, text
from imgsearch.images.image_lists.column_names import (
    clean,
    find,
    label_place,
    path_places,
)
from imgsearch.images.references import Reference
from imgsearch.images.sources import label_text, printable
from imgsearch.types import Value

_DIMENSIONS: Final = (2, 3)  # of an array of pixels: gray, and with channels
_OWN: Final = ("path", "label")
_OnText = Callable[[str], None]
Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: of paths or names, of images, and of labels; None without one.

    They are found like the columns of list files; see `ListColumns`.
    """

    path: object
    image: object
    label: object = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Sequence[Any], first: Row, *, wanted: ListColumns, table: str) -> "Columns":
        """Return the columns, given their names and the first row. `wanted` names some of them.

        Raises:
            SourceError: no column holds paths or images, or several may hold the paths.
        """
        images = [name for name in names if is_image(first.get(name))]
        image = images[0] if images else None
        if wanted.path is not None and wanted.path in images:
            image, wanted = wanted.path, replace(wanted, path=None)
            texts = ["" for _ in names]
        else:
            texts = [clean(str(name)) if _may_be_path(first.get(name)) else "" for name in names]
        try:
            places = path_places(texts, wanted)
            if len(places) > 1 and not images:
                find(texts, wanted)  # raises the error
            path = places[0] if places else None
            labels = ["" if name in images else clean(str(name)) for name in names]
            label, notes = label_place(labels, wanted, path)
        except SourceError as error:
            raise SourceError(f"{table}: {error}") from error
        if not places and not images:
            columns = ", ".join(map(str, names))[:400] or "none"
            raise SourceError(
                f"{table} has no column of paths or images, such as path or image, but: {columns}. "
                "Name it: path_column."
            )
        named = [None if place is None else names[place] for place in (path, label)]
        repeated = [str(name) for name, number in Counter(names).items() if number > 1]
        notes += tuple(
            f"{table} has several columns {name!r}: the last is read" for name in repeated
        )
        return cls(named[0], image, named[1], notes)


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
    for note in columns.notes:
        on_note(note)
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
    label = row.get(columns.label)
    return Reference(
        path=name or file_name(content),
        label=_label(label) if columns.label is not None and columns.label in row else None,
        fields=fields_of(row, {columns.path, columns.image, columns.label}, on_note),
        content=None if is_null(content) else content,
        place=place,
    )


def _may_be_path(cell: object) -> bool:
    return isinstance(cell, str | os.PathLike) or (not is_image(cell) and is_null(cell))


def _label(cell: object) -> str:
    return label_text("" if is_null(cell) else text(cell).strip())


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
