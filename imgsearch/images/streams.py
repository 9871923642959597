"""Reads the sources that a stream lists, such as standard input."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from typing_extensions import override

from imgsearch.errors import SourceError
from imgsearch.fields import FieldType
from imgsearch.images import image_lists
from imgsearch.images.image_lists import FieldColumns, ListColumns
from imgsearch.images.list_files import ANY_COLUMNS, as_reference
from imgsearch.images.references import Reference

_LINE: Final = 65_536  # bytes of the first line, which may be a header
_PART: Final = 1 << 20  # bytes read at once
_MARK: Final = b"\xef\xbb\xbf"
_LISTS: Final = ((b"PAR1", ".parquet"), (b"{", ".jsonl"), (b"[", ".json"))


class Listed(Iterator[str | Reference]):
    """The entries of a stream, in order."""

    def __init__(self, entries: Iterator[str | Reference], types: Mapping[str, FieldType]) -> None:
        self._entries, self._types = entries, types

    @override
    def __next__(self) -> str | Reference:
        return next(self._entries)

    def field_types(self) -> dict[str, FieldType]:
        """Return the types of the fields in the further columns of a list, if all are read.

        This reads the stream as far as the first entry.

        Raises:
            SourceError: the list cannot be read.
        """
        first = list(islice(self._entries, 1))
        self._entries = chain(first, self._entries)
        return dict(self._types)


def listed_in(
    stream: BinaryIO,
    *,
    null: bool = False,
    columns: ListColumns = ANY_COLUMNS,
    on_note: Callable[[str], None] = lambda _note: None,
) -> Listed:
    r"""Return the entries of a stream: one path, glob or URL a line, or the images of a list file.

    With `null`, a NUL byte follows each path, as after ``find -print0``. A first line with a
    column of paths makes the stream a csv. `on_note` is called with sentences about it. Relative
    paths begin at the current folder.

    >>> from io import BytesIO
    >>> list(listed_in(BytesIO(b"a.jpg\nb c.jpg\n")))
    ['a.jpg', 'b c.jpg']

    Raises:
        SourceError: the stream is a list file that cannot be read; raised during iteration.
    """
    types: dict[str, FieldType] = {}
    return Listed(_entries(stream, columns, on_note, types, null=null), types)


def _entries(
    stream: BinaryIO,
    columns: ListColumns,
    on_note: Callable[[str], None],
    types: dict[str, FieldType],
    *,
    null: bool,
) -> Iterator[str | Reference]:
    """Yield the entries. The types of a list's fields are put into `types` before the first one."""
    if null:
        yield from map(os.fsdecode, filter(None, _split(stream)))
        return
    first = stream.readline(_LINE).removeprefix(_MARK)
    with TemporaryDirectory(prefix="imgsearch-") as folder:
        file = Path(folder, "stdin").with_suffix(_suffix(first))
        file.write_bytes(first)
        if image_lists.is_table(file, columns):
            with file.open("ab") as copy:
                shutil.copyfileobj(stream, copy)
            yield from _images(file, columns, on_note, types)
            return
    for line in chain([first], stream):
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def _images(
    file: Path,
    columns: ListColumns,
    on_note: Callable[[str], None],
    types: dict[str, FieldType],
) -> Iterator[Reference]:
    try:
        if columns.all_fields:
            types.update(image_lists.inferred(image_lists.open_list(file, columns)))
            columns = replace(columns, fields={**types, **columns.fields})
        images = image_lists.open_list(file, columns)
        fields = FieldColumns(images, columns)
        if fields.note:
            on_note(f"standard input: {fields.note}")
        for image in images.images(Path(), others=fields.fields, on_note=on_note):
            if image.path:
                yield as_reference(image, fields)
    except SourceError as error:
        raise SourceError(f"the list on standard input cannot be read: {error}") from error


def _suffix(first: bytes) -> str:
    """Return the suffix of the list format that a stream's first line shows."""
    return next((suffix for mark, suffix in _LISTS if first.startswith(mark)), ".txt")


def _split(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while part := stream.read(_PART):
        *whole, rest = (rest + part).split(b"\0")
        yield from whole
    yield rest
