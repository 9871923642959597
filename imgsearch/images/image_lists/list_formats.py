"""The file formats of lists: delimited text, parquet, JSON, and one path a line."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from imgsearch.errors import SourceError
from imgsearch.images.image_lists import delimited
from imgsearch.images.image_lists.cells import Cell
from imgsearch.images.image_lists.column_names import ListColumns, clean, has_path
from imgsearch.images.image_lists.delimited import Layout, Note
from imgsearch.text import load_json

JSON: Final = frozenset({".json", ".jsonl", ".ndjson"})
TEXT: Final = frozenset({".txt", ".list", ".lst"})

_PARQUET: Final = b"PAR1"
_BATCH: Final = 1_000  # rows of a parquet file held at once
_BUFFER: Final = 2**16  # bytes of each of its columns that are read at once
_MOST_JSON: Final = 256 * 1024**2  # bytes; a JSON array is parsed as a whole
_SAMPLE: Final = 1_000  # JSON objects whose keys become the columns
_INDEX: Final = re.compile(r"__index_level_\d+__")  # where pandas keeps an index


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place, such as "line 3", and its cells.

    A cell is None if the row has no such cell. `extra` is True if the row has more cells than the
    header, and they are not blank.
    """

    place: str
    cells: Sequence[Cell]
    extra: bool = False


class Table(ABC):
    """A list's columns and rows, in the format of its file."""

    columns: Sequence[str]
    """The names, without surrounding blanks. An unnamed column is ""."""

    not_texts: frozenset[int] = frozenset()
    """The places of columns that cannot hold paths or labels."""

    @abstractmethod
    def rows(
        self, places: Sequence[int], shifted: int, note: Note, *, strict: bool
    ) -> Iterator[Row]:
        """Yield the rows with the cells of the columns at `places`.

        `shifted` is the place of the column of paths, by which a header that lacks a column is
        noticed. With `strict`, stray quotes in a csv are rejected.

        Raises:
            OSError, SourceError: the file cannot be read; raised during iteration.
        """


def open_table(file: Path, wanted: ListColumns) -> Table:
    """Return the table in a file, whose format is found by its signature and suffix.

    Raises:
        OSError: the file cannot be read.
        SourceError: the file is not a list; the message does not name the file.
    """
    with file.open("rb") as opened:
        if opened.read(len(_PARQUET)) == _PARQUET:
            return _Parquet(file)
    if file.suffix.lower() in JSON:
        return _Json(file)
    layout = delimited.layout_of(file, wanted)
    table = layout.declared or has_path(layout.names, wanted) or wanted.path is not None
    if not table and file.suffix.lower() in TEXT:
        return _Lines(file)
    if not (table or layout.header):
        return _Delimited(file, replace(layout, names=("path",)))
    return _Delimited(file, replace(layout, header=True))


def is_table(file: Path, wanted: ListColumns) -> bool:
    """Return whether a file is a list with columns, rather than one path a line."""
    return file.suffix.lower() not in TEXT or not isinstance(open_table(file, wanted), _Lines)


class _Delimited(Table):
    """A csv, tsv or other delimited text."""

    def __init__(self, file: Path, layout: Layout) -> None:
        self._file, self._layout, self.columns = file, layout, layout.names

    @override
    def rows(
        self, places: Sequence[int], shifted: int, note: Note, *, strict: bool
    ) -> Iterator[Row]:
        shift, width = self._layout.shift(shifted), len(self.columns)
        for number, line in delimited.lines(self._file, self._layout, note, strict=strict):
            cells = line[shift:]
            wanted = [cells[place] if place < len(cells) else None for place in places]
            extra = any(cell.strip() for cell in cells[width:])
            yield Row(f"line {number}", wanted, extra)


class _Lines(Table):
    """One path a line."""

    columns = ("path",)

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    def rows(
        self, places: Sequence[int], shifted: int, note: Note, *, strict: bool
    ) -> Iterator[Row]:
        del shifted, strict
        for number, line in delimited.plain_lines(self._file, note):
            yield Row(f"line {number}", [line for _ in places])


class _Json(Table):
    """Reads JSON lines or a JSON array. Each item is an object or a path."""

    def __init__(self, file: Path) -> None:
        self._file = file
        names = dict.fromkeys(name for _, row in islice(self._objects(), _SAMPLE) for name in row)
        self._keys, self.columns = list(names), [clean(name) for name in names]

    @override
    def rows(
        self, places: Sequence[int], shifted: int, note: Note, *, strict: bool
    ) -> Iterator[Row]:
        del shifted, note, strict
        keys = [self._keys[place] for place in places]
        for place, row in self._objects():
            yield Row(place, [_value(row, key) for key in keys])

    def _objects(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield each object with its place; a string becomes an object with a path."""
        values = self._lines() if self._file.suffix.lower() != ".json" else self._array()
        for place, value in values:
            if isinstance(value, str):
                yield place, {"path": value}
            elif isinstance(value, dict):
                yield place, value
            else:
                raise SourceError(f"{place} is neither an object with a path nor a path")

    def _lines(self) -> Iterator[tuple[str, Any]]:
        with delimited.read_text(self._file) as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield f"line {number}", _parsed(line, f"line {number}")

    def _array(self) -> Iterator[tuple[str, Any]]:
        if self._file.stat().st_size > _MOST_JSON:
            raise SourceError("a JSON array of more than 256 MB. Write JSON lines (.jsonl)")
        with delimited.read_text(self._file) as opened:
            content = opened.read()
        try:
            value = load_json(content)
        except ValueError:
            yield from self._lines()  # JSON lines in a file called .json
            return
        if not isinstance(value, list):
            raise SourceError(
                "a JSON object, not an array. Write an array of objects with a path, or JSON lines"
            )
        yield from ((f"item {number}", item) for number, item in enumerate(value, 1))


class _Parquet(Table):
    """A parquet file, with or without the index of a pandas data frame."""

    def __init__(self, file: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._file = file
        try:
            fields = [f for f in parquet.read_schema(file) if not _INDEX.fullmatch(f.name)]
        except pa.ArrowException as error:
            raise SourceError(f"not a parquet: {error}") from error
        self._names, self.columns = [f.name for f in fields], [clean(f.name) for f in fields]
        self.not_texts = frozenset(
            place for place, field in enumerate(fields) if not _holds_texts(field.type)
        )

    @override
    def rows(
        self, places: Sequence[int], shifted: int, note: Note, *, strict: bool
    ) -> Iterator[Row]:
        import pyarrow as pa
        from pyarrow import parquet

        del shifted, note, strict
        names, number = [self._names[place] for place in places], 0
        try:
            # a row group, which may be the whole list, is not read at once; and each thread would
            # keep some of Arrow's memory
            with parquet.ParquetFile(self._file, pre_buffer=False, buffer_size=_BUFFER) as opened:
                for batch in opened.iter_batches(_BATCH, columns=names, use_threads=False):
                    columns = [batch.column(name).to_pylist() for name in names]
                    del batch
                    pa.default_memory_pool().release_unused()  # it keeps 10 MB otherwise
                    for cells in zip(*columns, strict=True):
                        number += 1
                        yield Row(f"row {number}", ["" if cell is None else cell for cell in cells])
        except pa.ArrowException as error:
            raise SourceError(f"not a parquet: {error}") from error


def _value(row: Mapping[str, Any], key: str) -> Cell:
    """Return a value, "" for null. Returns None if the object lacks the key."""
    if key not in row:
        return None
    return "" if row[key] is None else row[key]


def _holds_texts(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _holds_texts(kind.value_type)
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _parsed(text: str, place: str) -> Any:
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        raise SourceError(f"{place} is not JSON: {error.msg}") from error
    except ValueError as error:
        raise SourceError(f"{place} is not JSON: {error}") from error
