"""Parquet files that hold the images themselves, as data sets of Hugging Face do.

A column of images is a struct of ``bytes`` and ``path``, or binary with a usual name.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import SourceError
from imgsearch.images.files import expand, printable, unreadable
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.image_lists.column_names import label_place, path_places
from imgsearch.images.tables import Row

_SUFFIXES: Final = (".parquet", ".pq")
_NAMES: Final = frozenset(("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "imagebytes"))
_ROWS: Final = 64  # rows held at once: 16 GB if each had the most bytes of an image
_RATIO: Final = 100  # of bytes to compressed bytes; compressed images stay about as large
_LARGE: Final = 256 * 2**20  # bytes of a column, below which its compression is not checked


def holds_images(source: object) -> bool:
    """Return whether a source is the path of a parquet file with a column of images."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = expand(os.fsdecode(source))
    if not path.lower().endswith(_SUFFIXES) or "\0" in path or not Path(path).is_file():
        return False
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return _image_column(parquet.read_schema(path)) is not None
    except (OSError, pa.ArrowException):
        return False  # the error of a list names the file


def count(source: object) -> int:
    """Return the number of rows of such a file.

    Raises:
        SourceError: it cannot be read.
    """
    with _opened(source) as file:
        return int(file.metadata.num_rows)


def empty_table(source: object) -> Any:
    """Return an Arrow table with the columns of such a file, and no row.

    Raises:
        SourceError: it cannot be read.
    """
    with _opened(source) as file:
        return file.schema_arrow.empty_table()


def columns_of(source: object, wanted: ListColumns) -> list[str]:
    """Return the columns that are read: of the image, its path and label, and of fields.

    Raises:
        SourceError: a wanted column does not exist.
    """
    with _opened(source) as file:
        schema = file.schema_arrow
    names, image = list(schema.names), _image_column(schema)
    if wanted.all_fields:
        return names
    texts = ["" if name == image else name for name in names]
    path = ListColumns() if wanted.path == image else wanted
    kept = {image, *wanted.fields, *(names[place] for place in path_places(texts, path))}
    label, _ = label_place(texts, wanted, None)
    if label is not None:
        kept.add(names[label])
    return [name for name in names if name in kept]


def rows(source: object, columns: list[str]) -> Iterator[Row]:
    """Yield the rows as dicts.

    Raises:
        SourceError: the file is damaged, or a column is far larger than in the file.
    """
    import pyarrow as pa

    with _opened(source) as file:
        try:
            for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
                yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            name = printable(os.fsdecode(str(source)))
            raise SourceError(f"{name}: damaged: {printable(str(error))[:200]}") from error


def _opened(source: Any) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    path = expand(os.fsdecode(source))
    try:
        file = parquet.ParquetFile(path)
        for group in range(file.metadata.num_row_groups):
            part = file.metadata.row_group(group)
            for place in range(part.num_columns):
                _check(part.column(place), path)
    except pa.ArrowException as error:
        raise SourceError(f"{printable(path)}: not a parquet: {error}", path=path) from error
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise unreadable(path, error) from error
    return file


def _check(column: Any, path: str) -> None:
    size, packed = column.total_uncompressed_size, column.total_compressed_size
    if size > _LARGE and size > _RATIO * max(packed, 1):
        raise SourceError(
            f"{printable(path)}: refused: column {printable(column.path_in_schema)!r} has "
            f"{size:,} bytes in {packed:,}. Images do not compress like this",
            path=path,
        )


def _image_column(schema: Any) -> str | None:
    from pyarrow import types

    for field in schema:
        kind = field.type
        if types.is_struct(kind) and {"bytes", "path"} == {part.name for part in kind}:
            return str(field.name)
        plain = field.name.casefold().replace("_", "")
        if (types.is_binary(kind) or types.is_large_binary(kind)) and plain in _NAMES:
            return str(field.name)
    return None
