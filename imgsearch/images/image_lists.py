"""Reads lists of images from csv, tsv and parquet files, as text.

A csv is UTF-8, UTF-16 with or without a byte order mark, or UTF-32 with one. Bytes that are not
UTF-8 become surrogate escapes. `text` decodes such a cell as cp1252. `file_in` first looks for a
file whose name has these bytes, because file names may have any encoding.
"""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import SourceError

SUFFIXES: Final = frozenset({".csv", ".tsv", ".parquet", ".pq"})
"""File name suffixes of image lists."""

_PARQUET: Final = b"PAR1"
_ZIP: Final = b"PK\x03\x04"
_HEAD: Final = 1_024  # bytes that the encoding is guessed from: a header line and more
_BATCH: Final = 10_000  # rows of a parquet file held at once
# longer marks first, because the UTF-32 mark begins with the UTF-16 mark
_MARKS: Final = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place, such as "line 3", and its cells.

    A cell is None if the row is too short. `extra` is True if the row is longer than the header.
    """

    place: str
    cells: Sequence[str | None]
    extra: bool = False


def is_parquet(file: Path) -> bool:
    """Return whether a file has the signature of parquet.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        return opened.read(len(_PARQUET)) == _PARQUET


def columns(file: Path) -> list[str]:
    """Return the names of a list's columns, without surrounding whitespace.

    Raises:
        OSError: the file cannot be read.
        SourceError: the file is not a valid list; the message does not name the file.
    """
    if is_parquet(file):
        from pyarrow import ArrowException, parquet

        try:
            return [name.strip() for name in parquet.read_schema(file).names]
        except ArrowException as error:
            raise SourceError(f"not a parquet: {error}") from error
    header = next(_lines(file, _ignore, strict=False), (0, []))[1]
    return [text(name).strip() for name in header]


def rows(
    file: Path, places: Sequence[int], *, on_note: _Note | None = None, strict: bool = False
) -> Iterator[Row]:
    """Yield the rows of a list below its header, with the cells of the columns at `places`.

    Empty lines are skipped. `on_note` is called with a sentence if the encoding is not UTF-8. With
    `strict`, stray quotes in a csv are rejected.

    Raises:
        OSError, SourceError: as for `columns`; raised during iteration.
    """
    if is_parquet(file):
        yield from _parquet(file, places)
        return
    lines = _lines(file, on_note or _ignore, strict=strict)
    _, header = next(lines, (0, []))
    for number, line in lines:
        cells = [line[place] if place < len(line) else None for place in places]
        yield Row(f"line {number}", cells, len(line) > len(header))


def text(cell: str) -> str:
    """Return a cell as text. A cell that is not UTF-8 is decoded as cp1252.

    Raises:
        SourceError: the bytes are not cp1252 either.
    """
    try:
        raw = cell.encode()
    except UnicodeEncodeError:
        raw = cell.encode(errors="surrogateescape")
    else:
        return cell
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"neither UTF-8 nor cp1252: {raw[:40]!r}. Save the list as UTF-8"
        ) from error


def file_in(folder: Path, cell: str) -> str:
    """Return the path in a cell, joined to `folder`.

    If no file with exactly these bytes exists, the cell is decoded with `text`.

    Raises:
        SourceError: as for `text`.
    """
    path = str(folder / cell)
    return path if cell.isascii() or os.path.lexists(path) else str(folder / text(cell))


def _lines(file: Path, note: _Note, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of each non-empty line of a csv, the header first."""
    encoding = _encoding(file)
    if encoding != "utf-8-sig":
        note(f"{file.name} was read as {encoding.upper()}")
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    try:
        with file.open(encoding=encoding, errors=errors, newline="") as opened:
            reader = csv.reader(opened, delimiter=delimiter, strict=strict)
            for line in reader:
                if line:
                    _note_surrogates(file, line, note)
                    yield reader.line_num, line
    except csv.Error as error:
        raise SourceError(str(error)) from error
    except UnicodeError as error:
        raise SourceError(f"not valid {encoding.upper()}: {error}") from error


def _note_surrogates(file: Path, line: Sequence[str], note: _Note) -> None:
    if not all(cell.isascii() or _is_text(cell) for cell in line):
        note(f"{file.name} is not UTF-8 throughout: other bytes were read as cp1252")


def _is_text(cell: str) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for letter in cell)


def _encoding(file: Path) -> str:
    """Detect the encoding of a csv from its first bytes.

    Raises:
        SourceError: the bytes are not text.
    """
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if head.startswith(_ZIP):
        raise SourceError("a spreadsheet or other zip file, not a csv. Save it as csv")
    if b"\0" not in head:
        return "utf-8-sig"
    even, odd = head[::2].count(0), head[1::2].count(0)
    # in UTF-16 nearly every letter of a header has one zero byte, always at the same position
    if max(even, odd) * 4 < len(head) or min(even, odd) * 4 > max(even, odd):
        raise SourceError("not text: it has NUL bytes. Save the list as csv in UTF-8")
    return "utf-16-le" if odd > even else "utf-16-be"


def _parquet(file: Path, places: Sequence[int]) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(file) as opened:
            names = [opened.schema_arrow.names[place] for place in places]
            for batch in opened.iter_batches(batch_size=_BATCH, columns=names):
                texts = (batch.column(name).cast(pa.string()).to_pylist() for name in names)
                for cells in zip(*texts, strict=True):
                    number += 1
                    yield Row(f"row {number}", ["" if cell is None else cell for cell in cells])
    except pa.ArrowException as error:
        raise SourceError(f"not a parquet of texts: {error}") from error


def _ignore(_note: str) -> None:
    return None
