"""The files of images in a library, by the paths that it stores."""

import re
from collections.abc import Callable
from functools import partial
from os.path import lexists
from typing import Final, TypeAlias

from imgsearch.errors import ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.images.moments import file_of
from imgsearch.images.read_ahead import Early
from imgsearch.types import Record

ReadImage: TypeAlias = Callable[[Record], bytes]
"""A function that returns the bytes of a stored image, or raises an `ImgSearchError`."""

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


class StoredFiles:
    """Reads the images of a library again, by the paths that it stores. Thread-safe."""

    def read(self, record: Record) -> bytes:
        """Return the bytes of an image.

        Raises:
            ImgSearchError: they cannot be read.
        """
        return read_file(record)

    def early(self, record: Record) -> Early | None:
        """Return how an image is read before its turn, None if `read` reads it in its turn."""
        path = real_path(str(record.fields.get("path", "")))
        return Early.of(path, partial(self.read, record))

    def fault(self, record: Record) -> ImgSearchError | None:
        """Return an error if the bytes of an image are missing, without reading them."""
        path = str(record.fields.get("path", ""))
        if path and lexists(file_of(real_path(path))):
            return None
        return SourceError(f"{path or record.id}: no such file")


def real_path(path: str) -> str:
    """Return the path of a file from its stored form; see `sources.printable`."""
    if _ESCAPED.search(path) is None or lexists(path):
        return path
    return _ESCAPED.sub(lambda match: chr(0xDC00 + int(match[1], 16)), path)
