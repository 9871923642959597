"""Where a collection of Towhee 0.x begins: a glob, a list, a table, or the argument of a call."""

import csv
import glob as standard_glob
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

from imgsearch.errors import SourceError
from imgsearch.towhee.legacy.call import Call, names
from imgsearch.towhee.legacy.collection import LegacyCollection
from imgsearch.towhee.legacy.rows import entity

_Path: TypeAlias = str | PathLike[str]


def glob(index: Any, *patterns: str) -> LegacyCollection:
    """Return the paths that match, as rows with one column if `index` names it.

    Raises:
        SourceError: no file matches.
    """
    # not Path.glob, which drops the "./" that scripts compare
    lists = (standard_glob.glob(str(pattern)) for pattern in patterns)  # noqa: PTH207
    paths = [path for matches in lists for path in sorted(matches)]
    if not paths:
        raise SourceError(f"no file matches {', '.join(map(str, patterns))}")
    return LegacyCollection(_rows(index, paths))


def dc(index: Any, values: Iterable[Any]) -> LegacyCollection:
    """Return the values, as rows with the columns that `index` names. An iterator is a stream."""
    rows = _rows(index, values)
    return LegacyCollection(iter(rows) if isinstance(values, Iterator) else list(rows))


def span(index: Any, *bounds: int) -> LegacyCollection:
    """Return the integers of Python's range."""
    return LegacyCollection(_rows(index, range(*bounds)))


def from_df(_: Any, frame: Any, as_stream: bool = False) -> LegacyCollection:  # noqa: FBT001, FBT002
    """Return the rows of a pandas DataFrame."""
    rows = [entity(row) for row in frame.to_dict("records")]
    return LegacyCollection(iter(rows) if as_stream else rows)


def read_csv(_: Any, csv_path: _Path, encoding: str = "utf-8-sig") -> LegacyCollection:
    """Return a stream of the rows of a csv file, whose values are texts.

    Raises:
        SourceError: the file cannot be read.
    """

    def rows() -> Iterator[Any]:
        try:
            with Path(csv_path).open(encoding=encoding, newline="") as file:
                for row in csv.DictReader(file):
                    yield entity({str(name): value for name, value in row.items()})
        except (OSError, UnicodeError, ValueError, csv.Error) as error:
            raise SourceError(f"cannot read {csv_path}: {error}") from error

    return LegacyCollection(rows())


def read_json(_: Any, json_path: _Path, encoding: str = "utf-8") -> LegacyCollection:
    """Return a stream of the rows of a file with a JSON object in each line.

    Raises:
        SourceError: the file cannot be read.
    """

    def rows() -> Iterator[Any]:
        try:
            with Path(json_path).open(encoding=encoding) as file:
                for line in file:
                    yield entity(json.loads(line))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise SourceError(f"cannot read {json_path}: {error}") from error

    return LegacyCollection(rows())


class Api:
    """The context ``with towhee.api['file']() as api``, in which steps are put on an argument."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def __enter__(self) -> LegacyCollection:
        collection = LegacyCollection(None)
        if self._index is None:
            return collection
        columns = names(self._index)

        def row(value: Any) -> Any:
            return entity(_named(columns, value))

        return collection.step(row)

    def __exit__(self, *_: object) -> None:
        """Do nothing: the steps stay usable."""


def _rows(index: Any, values: Iterable[Any]) -> Any:
    if index is None:
        return values if isinstance(values, Iterator) else list(values)
    columns = names(index)
    rows = (entity(_named(columns, value)) for value in values)
    return rows if isinstance(values, Iterator) else list(rows)


def _named(columns: tuple[str, ...], value: Any) -> Mapping[str, Any]:
    """Return a row's columns by name; several columns take their values from a list."""
    return dict(zip(columns, value if len(columns) > 1 else (value,), strict=True))


def _source(name: str, build: Callable[..., Any]) -> Call:
    return Call(lambda _, index, args, options: build(index, *args, **options), name)


SOURCES: Final = {
    "DataFrame": _source("DataFrame", dc),
    "api": _source("api", Api),
    "dc": _source("dc", dc),
    "from_df": _source("from_df", from_df),
    "glob": _source("glob", glob),
    "range": _source("range", span),
    "read_csv": _source("read_csv", read_csv),
    "read_json": _source("read_json", read_json),
}
"""The sources by their name in ``towhee``."""
