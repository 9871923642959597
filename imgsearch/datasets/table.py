"""Lists of labeled images: csv, tsv or parquet files with a path and a label column."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import DatasetError, SourceError
from imgsearch.images import image_lists
from imgsearch.images.image_lists import Row

_SHOWN: Final = 80  # characters of a header shown in an error


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """A row of a list: the path as written, a non-empty label, and its place for error messages."""

    path: str
    label: str
    place: str


def rows(
    file: Path, *, path: str, label: str, on_note: Callable[[str], None] | None = None
) -> Iterator[LabeledRow]:
    """Yield the rows of a csv, tsv or parquet file; see `image_lists` for the encodings.

    `path` and `label` are column names, case-insensitive; other columns are ignored. Whitespace
    around a label is removed. `on_note` is called with a note if a csv is not UTF-8.

    Raises:
        DatasetError: the file is not a csv, tsv or parquet, lacks a column, has one twice, or has
            an empty cell.
    """
    try:
        header = image_lists.columns(file)
        indices = _column_indices(file, header, (path, label))
        for row in image_lists.rows(file, indices, on_note=on_note, strict=True):
            yield _parse(file, header, row)
    except SourceError as error:
        raise DatasetError(f"{file} is not a list of images: {error}") from error


def _parse(file: Path, header: Sequence[str], row: Row) -> LabeledRow:
    path, label = (cell or "" for cell in row.cells)
    if row.extra or not (path.strip() and label.strip()):
        hint = "; a comma in a cell needs quotes around the cell" if row.place[:4] == "line" else ""
        raise DatasetError(f"{file.name} {row.place}: fill all {len(header)} cells{hint}")
    return LabeledRow(path, image_lists.text(label).strip(), row.place)


def _column_indices(file: Path, header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the indices of the wanted columns.

    Raises:
        DatasetError: a column is missing, or exists twice.
    """
    names = [name.casefold() for name in header]
    folded = [name.strip().casefold() for name in wanted]
    missing = [name for name, plain in zip(wanted, folded, strict=True) if plain not in names]
    if missing:
        raise DatasetError(
            f"{file.name} lacks the column {' and '.join(missing)}; its columns are "
            f"{','.join(header)[:_SHOWN]!r}, expected among them {', '.join(wanted)}"
        )
    twice = [name for name, plain in zip(wanted, folded, strict=True) if names.count(plain) > 1]
    if twice:
        raise DatasetError(f"{file.name} has the column {' and '.join(twice)} more than once")
    return [names.index(plain) for plain in folded]
