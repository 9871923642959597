"""What can be added: paths, images in memory, tables, data sets, and iterables of these.

`KINDS` has a row for each kind of object. Images are taken one by one, so a data set or an iterator
of any length can be added.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import IOBase
from itertools import chain
from os import PathLike, fsdecode
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from imgsearch.errors import ConfigError, SourceError
from imgsearch.fields import FieldType
from imgsearch.images import (
    frames,
    framework_datasets,
    items,
    list_files,
    parquet_images,
    remote_sources,
    sources,
    tables,
)
from imgsearch.images.objects import as_array
from imgsearch.images.reading import ANY, Reading
from imgsearch.images.references import Reference
from imgsearch.images.streams import Listed
from imgsearch.images.tables import Columns
from imgsearch.text import without_password


class SupportsItems(Protocol):
    """A data set whose items are images, such as one of torch."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return an image, or (image, label)."""
        ...


class SupportsArray(Protocol):
    """An image in memory: a Pillow image, an array, or a tensor."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The description of the pixels' memory."""
        ...


Input: TypeAlias = (
    str | PathLike[str] | Reference | bytes | SupportsArray | Iterable[Any] | SupportsItems
)
"""What `Library.add` takes.

- a folder, a glob, a list (a csv, tsv, parquet, JSON lines or text file), a tar file, an image
  file, or a URL: http, https, ``s3://bucket/prefix`` or ``gs://bucket/prefix``
- an image in memory: its file's bytes, a Pillow image, an array or tensor of pixels
- a table with a column of paths or images: a data frame of pandas or polars, an Arrow table
- a data set of Hugging Face or torch
- an iterable of paths, images, (name, image), (image, label), or dicts like rows of a table
"""

_SEVERAL: Final = 4  # dimensions of an array of images
_TEXTS: Final = "OUST"  # kinds of arrays of texts and of Python objects
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of source: whether an object is one, its images, and their number."""

    matches: Callable[[Any], bool]
    references: Callable[[Any, Reading], Iterator[Reference]]
    count: Callable[[Any, Reading], int]


def references(source: Input, reading: Reading = ANY) -> Iterator[Reference]:
    """Yield the images of a source, in order; see `Input` and `sources.references`.

    >>> pixels = np.zeros((2, 2, 3), np.uint8)
    >>> [image.path for image in references([("a.png", pixels), ("b.png", pixels)])]
    ['a.png', 'b.png']

    Raises:
        SourceError: at the call if `source` cannot be added, or is a list with such an item; an
            item of an iterator raises during iteration.
    """
    images = _kind(source).references(source, reading)
    if not reading.fields:
        return images
    return (replace(image, fields={**reading.fields, **image.fields}) for image in images)


def count(source: Input, reading: Reading = ANY) -> int:
    """Return the number of images in a source, or an upper bound; 0 for an iterator.

    Raises:
        SourceError: as for `references`.
    """
    return _kind(source).count(source, reading)


def count_beside(
    images: Sequence[Input],
    reading: Reading,
    on_total: Callable[[int], None],
    *,
    patience: float = 1.0,
) -> None:
    """Count the images of sources in a thread, which calls `on_total` with their number.

    Waits at most `patience` seconds, so large folders are read before they are counted. Sources
    that cannot be counted are left to `references`, which raises the error.
    """

    def run() -> None:
        try:
            total = sum(count(source, reading) for source in images)
        except Exception as error:  # noqa: BLE001 - of the caller's objects, too
            _log.debug("sources were not counted: %s", error)
        else:
            on_total(total)

    thread = threading.Thread(target=run, name="imgsearch-count", daemon=True)
    thread.start()
    thread.join(patience)


def field_types(source: Input, reading: Reading = ANY) -> dict[str, FieldType]:
    """Return the types of the fields in the further columns of list files and tables.

    `source` may be a list of these. If columns have equal names, the first one counts.

    Raises:
        SourceError: a list file cannot be read.
    """
    if isinstance(source, list | tuple):
        parts = [field_types(item, reading) for item in source]
        return {name: kind for part in reversed(parts) for name, kind in part.items()}
    if isinstance(source, Listed):
        return source.field_types()
    if remote_sources.is_remote_source(source):
        return remote_sources.field_types(source, reading)
    if parquet_images.holds_images(source):
        return frames.field_types(parquet_images.empty_table(source))
    if _is_path(source):
        return list_files.field_types(source, reading.columns)
    return frames.field_types(source)


def has_lists(source: Input) -> bool:
    """Return whether a source, or an item of a list, has the suffix of a list file."""
    if isinstance(source, list | tuple):
        return any(map(has_lists, source))
    return isinstance(source, str | PathLike) and list_files.is_list(source)


def _kind(source: Any) -> _Kind:
    framework_datasets.check_split(source)
    if isinstance(source, IOBase):  # its items would be lines
        raise items.unknown(source, "the source")
    kind = next((kind for kind in KINDS if kind.matches(source)), None)
    if kind is None:
        raise items.unknown(source, "the source")
    return kind


def _length(source: Any, _reading: Reading) -> int:
    """Return the length of a source, 0 if it has none."""
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        return 0


def _number(source: Iterable[Any], reading: Reading) -> int:
    """Return the number of images in an iterable. Folders and lists of files are counted, too."""
    if isinstance(source, Iterator):
        return 0
    if not isinstance(source, list | tuple):
        return _length(source, reading)
    paths = [item for item in source if _is_path(item)]
    return _path_count(paths, reading) + len(source) - len(paths)


def _is_path(source: Any) -> bool:
    return isinstance(source, str | PathLike | Reference)


def _paths(source: Any, reading: Reading) -> Iterator[Reference]:
    return sources.references(
        source,
        columns=reading.columns,
        on_ignored=reading.ignored,
        on_note=reading.note,
        exclude=reading.exclude,
        with_videos=reading.with_videos,
    )


def _path_count(source: Any, reading: Reading) -> int:
    if isinstance(source, str) and source.endswith((".tar.gz", ".tgz")):  # read once only
        return 0
    return sources.count(source, columns=reading.columns, exclude=reading.exclude)


def _table(
    names: Sequence[Any], rows: Iterator[tables.Row], reading: Reading
) -> Iterator[Reference]:
    first = next(rows, {})
    columns = Columns.of(names or list(first), first, wanted=reading.columns, table="the table")
    return tables.references(
        chain([first] if first else [], rows), columns, reading.ignored, reading.note
    )


def _pandas(source: Any, reading: Reading) -> Iterator[Reference]:
    return _table(list(source.columns), frames.pandas_rows(source), reading)


def _arrow(source: Any, reading: Reading) -> Iterator[Reference]:
    reader = frames.arrow_reader(source)
    return _table(reader.schema.names, frames.arrow_rows(reader), reading)


def _hugging_face(source: Any, reading: Reading) -> Iterator[Reference]:
    columns = framework_datasets.hugging_face_columns(source)
    return _table(columns, framework_datasets.hugging_face_rows(source), reading)


def _torch(source: Any, reading: Reading) -> Iterator[Reference]:
    classes = framework_datasets.torch_classes(source)
    return _each(framework_datasets.torch_items(source), reading, classes)


def _one(source: Any, reading: Reading) -> Iterator[Reference]:
    reference = _reference(source, "the image", reading)
    if reference is not None and isinstance(reference.content, np.ndarray):
        items.check_pixels(reference.content, "the image")
    return _listed(reference, "the image", reading)


def _array(source: Any, reading: Reading) -> Iterator[Reference]:
    """Return the images of an array: pixels, several images, or texts, as of a column."""
    values = _values(source)
    return _one(source, reading) if values is None else _items(values, reading)


def _is_array(source: Any) -> bool:
    return hasattr(source, "__array__") and not isinstance(source, list | tuple)


def _values(source: Any) -> list[Any] | None:
    """Return the images of an array, or None if it is one image or not an array."""
    try:
        array = np.asarray(source)
    except (TypeError, RuntimeError, ValueError):  # such as a tensor on a GPU
        return None
    if array.dtype.kind in _TEXTS:
        values: list[Any] = array.tolist()
        return values
    return list(array) if array.ndim == _SEVERAL else None


def _items(source: Any, reading: Reading) -> Iterator[Reference]:
    """Return the images of an iterable. The items of a list are checked before the first one."""
    if isinstance(source, list | tuple):
        if as_array(source) is not None:
            raise items.vector(source, "the list")
        quiet = replace(reading, note=lambda _text: None)
        for number, item in enumerate(source, 1):
            if not _is_path(item):
                _reference(item, f"image {number}", quiet)
    return _each(source, reading, None)


def _each(
    source: Iterable[Any], reading: Reading, classes: list[str] | None
) -> Iterator[Reference]:
    for number, item in enumerate(source, 1):
        place = f"image {number}"
        if remote_sources.is_remote_source(item):
            yield from _remote_item(item, reading)
        elif _is_path(item):
            yield from _paths([item], reading)
        else:
            yield from _listed(_reference(item, place, reading, classes), place, reading)


def _remote_item(item: Any, reading: Reading) -> Iterator[Reference]:
    """Return the images of a URL in an iterable; one that cannot be opened is one failure."""
    try:
        return _remote(item, reading)
    except (ConfigError, SourceError) as error:
        path = without_password(fsdecode(item))
        return iter((Reference(path, content=SourceError(str(error), path=path)),))


def _reference(
    item: Any, place: str, reading: Reading, classes: list[str] | None = None
) -> Reference | None:
    if isinstance(item, SourceError):
        return Reference("", content=item, place=place)
    return items.reference(
        item, place, columns=reading.columns, classes=classes, on_note=reading.note
    )


def _listed(reference: Reference | None, place: str, reading: Reading) -> Iterator[Reference]:
    """Return an iterator of the image, or report an ignored row."""
    if reference is None:
        reading.ignored(place)
        return iter(())
    return iter((reference,))


def _parquet(source: Any, reading: Reading) -> Iterator[Reference]:
    names = parquet_images.columns_of(source, reading.columns)
    return _table(names, parquet_images.rows(source, names), reading)


def _remote(source: Any, reading: Reading) -> Iterator[Reference]:
    return remote_sources.references(source, reading, lambda path: _parquet(path, reading))


KINDS: Final = (
    _Kind(remote_sources.is_remote_source, _remote, lambda _source, _reading: 0),
    _Kind(
        parquet_images.holds_images, _parquet, lambda source, _reading: parquet_images.count(source)
    ),
    _Kind(_is_path, _paths, _path_count),
    _Kind(frames.is_pandas, _pandas, _length),
    _Kind(frames.is_arrow, _arrow, _length),
    _Kind(framework_datasets.is_hugging_face, _hugging_face, _length),
    _Kind(framework_datasets.is_torch, _torch, _length),
    _Kind(items.is_item, _one, lambda _source, _reading: 1),
    _Kind(_is_array, _array, lambda source, _reading: len(_values(source) or [source])),
    _Kind(lambda source: isinstance(source, Iterable), _items, _number),
)
"""The kinds of sources; the first one that matches an object reads it."""
