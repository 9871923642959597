"""Lists of labeled images: lists, as `image_lists` reads them, whose rows all have a label."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgsearch.errors import DatasetError, SourceError
from imgsearch.images import image_lists
from imgsearch.images.image_lists import ImageList, ListColumns, Row
from imgsearch.images.image_lists.column_names import listed


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """A row of a list: the path as written, a non-empty label, and its place for error messages."""

    path: str
    label: str
    place: str


def rows(
    file: Path, columns: ListColumns, *, on_note: Callable[[str], None] | None = None
) -> Iterator[LabeledRow]:
    """Yield the rows of a list file; see `image_lists` for the formats and encodings.

    `columns` names the columns; without a name they are found as `add` finds them. Whitespace
    around a label is removed. `on_note` is called with a note if a csv is not UTF-8.

    Raises:
        DatasetError: the file is not a list, lacks a column, or has an empty cell.
    """
    try:
        table = image_lists.open_list(file, columns)
        label = table.places.label
        if label is None:
            raise DatasetError(_no_label(file, table))
        for row in table.rows([table.places.path, label], on_note=on_note, strict=True):
            yield _parse(file, table.columns, row)
    except SourceError as error:
        raise DatasetError(f"{file} is not a list of images: {error}") from error


def _parse(file: Path, header: Sequence[str], row: Row) -> LabeledRow:
    path, label = map(image_lists.text, row.cells)
    if row.extra or not (path.strip() and label.strip()):
        hint = "; a delimiter in a cell needs quotes around the cell"
        hint = hint if row.place[:4] == "line" else ""
        raise DatasetError(f"{file.name} {row.place}: fill all {len(header)} cells{hint}")
    raw = row.cells[0]  # its bytes may name the file
    return LabeledRow(raw if isinstance(raw, str) else path, label.strip(), row.place)


def _no_label(file: Path, table: ImageList) -> str:
    advice = "Name one: label_column, or --label-column on the command line"
    if table.places.notes:
        return f"{file.name}: {table.places.notes[0]}"
    return f"{file.name} lacks the column label. {listed(table.columns)}. {advice}"
