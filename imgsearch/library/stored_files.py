"""The files of images in a library, by the paths that it stores."""

import re
from os.path import lexists
from typing import Final

from imgsearch.errors import ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.images.moments import file_of
from imgsearch.types import Record

_ESCAPED: Final = re.compile(r"\\udc([89a-f][0-9a-f])")  # a byte of a name that is not UTF-8


def read_file(record: Record) -> bytes:
    """Return the bytes of the file at a record's path.

    Raises:
        SourceError: the file cannot be read, or the image was added from memory.
    """
    path = str(record.fields.get("path", ""))
    if not path:
        raise SourceError(f"image {record.id}: it was added from memory, so it has no file.")
    return sources.read(real_path(path))


def real_path(path: str) -> str:
    """Return the path of a file from its stored form; see `sources.printable`."""
    if _ESCAPED.search(path) is None or lexists(path):
        return path
    return _ESCAPED.sub(lambda match: chr(0xDC00 + int(match[1], 16)), path)


def file_fault(record: Record) -> ImgSearchError | None:
    """Return the error of a record whose file does not exist, or None."""
    path = str(record.fields.get("path", ""))
    if path and lexists(file_of(real_path(path))):
        return None
    return SourceError(f"{path or record.id}: no such file")
