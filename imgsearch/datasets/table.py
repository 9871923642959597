"""Lists of labelled images: a csv, tsv or parquet with a column of paths and one of labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import DatasetError, SourceError
from imgsearch.images import image_lists
from imgsearch.images.image_lists import Row

_SHOWN: Final = 80  # letters of a csv's first line in an error


@dataclass(frozen=True, slots=True)
class Listed:
    """One row: a path as it stands there, a label that is not empty, and where it stands."""

    path: str
    label: str
    place: str


def rows(
    file: Path, *, path: str, label: str, on_note: Callable[[str], None] | None = None
) -> Iterator[Listed]:
    """Yield the rows of a csv, tsv or parquet; `image_lists` has the encodings.

    `path` and `label` name the columns, in any case; other columns are ignored. Blanks around a
    label are removed. `on_note` receives the encoding of a csv that is not UTF-8.

    Raises:
        DatasetError: the file is not a csv, tsv or parquet, lacks a column, has one twice, or has
            an empty cell.
    """
    try:
        header = image_lists.columns(file)
        places = _places(file, header, (path, label))
        for row in image_lists.rows(file, places, on_note=on_note, strict=True):
            yield _listed(file, header, row)
    except SourceError as error:
        raise DatasetError(f"{file} is not a list of images: {error}") from error


def _listed(file: Path, header: Sequence[str], row: Row) -> Listed:
    path, label = (cell or "" for cell in row.cells)
    if row.extra or not (path.strip() and label.strip()):
        hint = "; a comma inside one needs quotes around it" if row.place[:4] == "line" else ""
        raise DatasetError(f"{file.name} {row.place}: {len(header)} filled cells expected{hint}")
    return Listed(path, image_lists.text(label).strip(), row.place)


def _places(file: Path, header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return where the wanted columns stand."""
    names = [name.casefold() for name in header]
    folded = [name.strip().casefold() for name in wanted]
    lacking = [name for name, plain in zip(wanted, folded, strict=True) if plain not in names]
    if lacking:
        raise DatasetError(
            f"{file.name} lacks the column {' and '.join(lacking)}; its columns are "
            f"{','.join(header)[:_SHOWN]!r}, expected among them {', '.join(wanted)}"
        )
    twice = [name for name, plain in zip(wanted, folded, strict=True) if names.count(plain) > 1]
    if twice:
        raise DatasetError(f"{file.name} has the column {' and '.join(twice)} more than once")
    return [names.index(plain) for plain in folded]
