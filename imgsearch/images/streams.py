"""Reads the sources that a stream lists, such as standard input."""

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from imgsearch.errors import SourceError
from imgsearch.images import image_lists
from imgsearch.images.image_lists import FieldColumns, ListColumns
from imgsearch.images.references import Reference
from imgsearch.images.sources import ANY_COLUMNS, as_reference

_LINE: Final = 65_536  # bytes of the first line, which may be a header
_PART: Final = 1 << 20  # bytes read at once
_MARK: Final = b"\xef\xbb\xbf"
_LISTS: Final = ((b"PAR1", ".parquet"), (b"{", ".jsonl"), (b"[", ".json"))


def listed_in(
    stream: BinaryIO,
    *,
    null: bool = False,
    columns: ListColumns = ANY_COLUMNS,
    on_note: Callable[[str], None] = lambda _note: None,
) -> Iterator[str | Reference]:
    r"""Yield the entries of a stream: one path, glob or URL a line, or the images of a list file.

    With `null`, a NUL byte follows each path, as after ``find -print0``. A first line with a
    column of paths makes the stream a csv. `on_note` is called with sentences about it. Relative
    paths begin at the current folder.

    >>> from io import BytesIO
    >>> list(listed_in(BytesIO(b"a.jpg\nb c.jpg\n")))
    ['a.jpg', 'b c.jpg']

    Raises:
        SourceError: the stream is a list file that cannot be read; raised during iteration.
    """
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
            yield from _images(file, columns, on_note)
            return
    for line in chain([first], stream):
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def _images(
    file: Path, columns: ListColumns, on_note: Callable[[str], None]
) -> Iterator[Reference]:
    try:
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
