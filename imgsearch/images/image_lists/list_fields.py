"""Columns of lists as fields of images."""

import re
import unicodedata
from typing import Final

from imgsearch.fields import FieldType, can_declare, common_type, from_text, type_of, typed
from imgsearch.images.image_lists.cells import Cell, text
from imgsearch.images.image_lists.column_names import ListColumns
from imgsearch.images.image_lists.image_list import ImageList, ListedImage
from imgsearch.text import counted
from imgsearch.types import Value

_NAMED: Final = 10  # columns in a note


class FieldColumns:
    """The columns of a list that are read as fields.

    These are the columns of declared fields, or all with `ListColumns.all_fields`. `fields` maps
    columns to fields. `note` names the columns that are not read, or is "".
    """

    def __init__(self, images: ImageList, columns: ListColumns) -> None:
        self._types = columns.fields
        self.fields: dict[str, str] = {}
        left_out = []
        for column in images.others:
            name = field_name(column)
            if name and (columns.all_fields or name in columns.fields):
                self.fields[column] = name
            else:
                left_out.append(column)
        self.note = _note(left_out, all_fields=columns.all_fields)

    def values(self, image: ListedImage) -> dict[str, Value]:
        """Return the fields of a listed image.

        Raises:
            FieldInvalid: a cell is not a value of its field's type.
            SourceError: a cell of a csv is not text.
        """
        cells: dict[str, Cell] = {}
        for column, name in self.fields.items():
            cell, kind = image.others[column], self._types.get(name)
            if isinstance(cell, str):
                cell = from_text(name, text(cell), kind or "str")
            cells[name] = cell
        return typed(cells, self._types)


def field_name(column: str) -> str:
    """Return the name of a column's field, "" if it cannot be one.

    >>> field_name("year"), field_name("Größe (cm)"), field_name("2024"), field_name("id")
    ('year', 'groe_cm', '', '')
    """
    if can_declare(column):
        return column
    plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
    name = re.sub(r"\W+", "_", plain).strip("_").lower()
    return name if can_declare(name) else ""


def inferred(images: ImageList) -> dict[str, FieldType]:
    """Return the types of a list's further columns, by the names of their fields.

    All cells are read. A column of whole numbers is "int", of numbers "float", and of true and
    false, or yes and no, "bool". Numbers with leading zeros are texts.

    Raises:
        OSError, SourceError: the list cannot be read.
    """
    names = {column: name for column in images.others if (name := field_name(column))}
    kinds: dict[str, set[FieldType]] = {name: set() for name in names.values()}
    for row in images.rows([images.places.path, *(images.others[column] for column in names)]):
        for name, cell in zip(names.values(), row.cells[1:], strict=True):
            if (kind := type_of(cell)) is not None:
                kinds[name].add(kind)
    return {name: common_type(seen) for name, seen in kinds.items()}


def _note(columns: list[str], *, all_fields: bool) -> str:
    """Return a sentence about columns that are not read, "" without any."""
    if not columns:
        return ""
    names = ", ".join(map(repr, columns[:_NAMED]))
    more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
    why = (
        "fields cannot have these names"
        if all_fields
        else "declare their fields (fields=, --field), or add all (all_fields=, --all-fields)"
    )
    return f"{counted(len(columns), 'column was', 'columns were')} not added: {names}{more}; {why}"
