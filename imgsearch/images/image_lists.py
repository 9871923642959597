"""Lists of images: the rows of csv, tsv and parquet files, as texts.

A csv is UTF-8, UTF-16 with or without a byte order mark, or UTF-32 with one. Cells that are not
UTF-8 keep Python's surrogates. `text` reads such a cell as cp1252. `file_in` first looks for a file
with these bytes as its name, because names of files need not be text.
"""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import SourceError

SUFFIXES: Final = frozenset({".csv", ".tsv", ".parquet", ".pq"})
"""Suffixes of lists of images."""

_PARQUET: Final = b"PAR1"
_ZIP: Final = b"PK\x03\x04"
_HEAD: Final = 1_024  # bytes that the encoding is guessed from: a header line and more
_BATCH: Final = 10_000  # rows of a parquet file held at once
# longer marks first: the mark of UTF-32 begins with the one of UTF-16
_MARKS: Final = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place, as in "line 3", and its cells, None if the row is too short for one.

    `extra`: the row has more cells than the header.
    """

    place: str
    cells: Sequence[str | None]
    extra: bool = False


def is_parquet(file: Path) -> bool:
    """Return whether a file is a parquet file by its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return opened.read(len(_PARQUET)) == _PARQUET


def columns(file: Path) -> list[str]:
    """Return the names of a list's columns, without surrounding blanks.

    Raises:
        OSError: the file cannot be read.
        SourceError: the file is not a list of texts; the message does not name it.
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

    Empty lines are skipped. `on_note` gets a sentence about an encoding other than UTF-8. `strict`
    refuses stray quotes in a csv.

    Raises:
        OSError, SourceError: as for `columns`; while iterating if the list breaks off.
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
    """Return a cell as text: bytes that are not UTF-8 are read as cp1252.

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
    """Return the path that a cell names, relative to `folder`.

    If no file has the bytes of the cell as its name, the cell is read as `text`.

    Raises:
        SourceError: as for `text`.
    """
    path = str(folder / cell)
    return path if cell.isascii() or os.path.lexists(path) else str(folder / text(cell))


def _lines(file: Path, note: _Note, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, cells) of the lines of a csv that are not empty, the header first."""
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
    """Return the encoding of a csv by its first bytes.

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
    # in UTF-16 nearly every letter of a header has one zero byte, always the same of the two
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
