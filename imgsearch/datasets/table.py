"""Lists of labeled images: csv, tsv or parquet files with columns of paths and labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import DatasetError, SourceError
from imgsearch.images import image_lists
from imgsearch.images.image_lists import Row

_SHOWN: Final = 80  # letters of a header in an error


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """A row of a list: the path as written, a non-empty label, and the position for errors."""

    path: str
    label: str
    place: str


def rows(
    file: Path, *, path: str, label: str, on_note: Callable[[str], None] | None = None
) -> Iterator[LabeledRow]:
    """Yield the rows of a csv, tsv or parquet file; `image_lists` has the encodings.

    `path` and `label` name the columns, in any case; other columns are ignored. Blanks around a
    label are removed. `on_note` receives the encoding of a csv that is not UTF-8.

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
    """Return the indices of the wanted columns."""
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
