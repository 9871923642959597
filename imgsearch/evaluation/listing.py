"""Lists of labelled images: a csv or a parquet with a column of paths and one of labels."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import DatasetError

_MAGIC: Final = b"PAR1"
_BATCH: Final = 10_000  # rows of a parquet held at once
_SHOWN: Final = 80  # letters of a csv's first line in an error


@dataclass(frozen=True, slots=True)
class Listed:
    """One row: a path as it stands there, a label that is not empty, and where it stands."""

    path: str
    label: str
    place: str


def rows(file: Path, *, path: str, label: str) -> Iterator[Listed]:
    """Yield the rows of a csv (UTF-8, with or without a BOM, any line ends) or of a parquet.

    `path` and `label` name the columns, in any case; other columns are passed over. Blanks around
    a label are no part of it.

    Raises:
        DatasetError: it is neither, lacks a column, names one twice, or a cell is empty.
    """
    with file.open("rb") as opened:
        parquet = opened.read(len(_MAGIC)) == _MAGIC
    return (_parquet if parquet else _csv)(file, path, label)


def _csv(file: Path, path: str, label: str) -> Iterator[Listed]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = next(reader, [])
            places = _places(file, header, (path, label))
            for row in reader:
                if not row:
                    continue  # a blank line
                cells = [row[place].strip() if place < len(row) else "" for place in places]
                where = f"line {reader.line_num}"
                if len(row) > len(header) or not all(cells):
                    raise DatasetError(
                        f"{file.name} {where}: {len(header)} filled cells expected; a comma "
                        "inside one needs quotes around it"
                    )
                yield Listed(row[places[0]], cells[1], where)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} is no csv in UTF-8: {error}") from error


def _parquet(file: Path, path: str, label: str) -> Iterator[Listed]:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(file) as opened:
            header = opened.schema_arrow.names
            names = [header[place] for place in _places(file, header, (path, label))]
            for batch in opened.iter_batches(batch_size=_BATCH, columns=names):
                columns = (batch.column(name).cast(pa.string()).to_pylist() for name in names)
                for each, told in zip(*columns, strict=True):
                    number += 1
                    if not (each and each.strip() and told and told.strip()):
                        raise DatasetError(f"{file.name} row {number}: an empty cell")
                    yield Listed(each, told.strip(), f"row {number}")
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{file} is no parquet of texts: {error}") from error


def _places(file: Path, header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return where the wanted columns stand."""
    names = [name.strip().casefold() for name in header]
    asked = [name.strip().casefold() for name in wanted]
    lacking = [name for name, plain in zip(wanted, asked, strict=True) if plain not in names]
    if lacking:
        raise DatasetError(
            f"{file.name} lacks the column {' and '.join(lacking)}; its columns are "
            f"{','.join(header)[:_SHOWN]!r}, expected among them {', '.join(wanted)}"
        )
    twice = [name for name, plain in zip(wanted, asked, strict=True) if names.count(plain) > 1]
    if twice:
        raise DatasetError(f"{file.name} has the column {' and '.join(twice)} more than once")
    return [names.index(plain) for plain in asked]
