"""Opens files and describes their errors; names and contents of files as text.

Bytes of a file name that are not UTF-8 are surrogate escapes, so the file can be opened;
`printable` returns the form for stores, logs and pages.
"""

import hashlib
import os
import re
import stat
from typing import BinaryIO, Final

from imgsearch.errors import SourceError
from imgsearch.filters import composed
from imgsearch.images import globs, image_lists
from imgsearch.text import without_password

_CONTENT_ID: Final = re.compile(r"[0-9a-f]{64}(?:#\d+)?")
_SURROGATE: Final = re.compile(r"\\u(dc[89a-f][0-9a-f])")
URL: Final = image_lists.URL
# O_NONBLOCK: opening a named pipe returns at once instead of waiting for a writer
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def content_id(data: bytes) -> str:
    """Return the id of a file's content: the sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_content_id(id_: str) -> bool:
    """Return whether an id is a content id, or a region's id that begins with one."""
    return _CONTENT_ID.fullmatch(id_) is not None


def printable(path: str) -> str:
    r"""Return `path` as valid UTF-8, with ``\udcXX`` for invalid bytes."""
    return path.encode("utf-8", "backslashreplace").decode()


def unprintable(path: str) -> str:
    r"""Return a path with invalid bytes for each ``\udcXX``, undoing `printable`."""
    return _SURROGATE.sub(lambda match: chr(int(match[1], 16)), path) if "\\udc" in path else path


def label_text(text: str) -> str:
    """Return a label in its stored form: printable and in composed Unicode form (NFC)."""
    return composed(printable(text))


def is_web_url(path: str) -> bool:
    """Return whether `path` is an http or https URL, which `read` can fetch."""
    return path[:8].lower().startswith(("http://", "https://"))


def is_bucket_url(path: str) -> bool:
    """Return whether `path` is the URL of a bucket or an object: ``s3://`` or ``gs://``."""
    return path[:5].lower() in ("s3://", "gs://")


def is_remote(path: str) -> bool:
    """Return whether `path` is a URL that `read` can fetch: of the web or a bucket."""
    return is_web_url(path) or is_bucket_url(path)


def open_regular(path: str) -> BinaryIO:
    """Open a regular file; do not wait for the writer of a pipe.

    Raises:
        OSError: the file cannot be opened, or is not a regular file.
        ValueError: `path` cannot be a file's name.
    """
    descriptor = os.open(path, _FLAGS)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError("is a folder" if stat.S_ISDIR(mode) else "is a pipe, socket or device")


def expand(path: str) -> str:
    """Return a path with ``~`` expanded."""
    # Path.expanduser raises for a file that merely begins with ~
    return os.path.expanduser(path)  # noqa: PTH111


def missing(path: str) -> SourceError:
    """Return the error for a path that names no file, or a URL that is not fetched."""
    if not path:
        return SourceError("an empty path names no file")
    name = printable(path)
    if URL.match(path):
        problem = "not fetched here" if is_remote(path) else "not an http or https URL"
        advice = "Download the image, and name the file."
        return SourceError(f"{without_password(name)}: {problem}. {advice}", path=path)
    problem = "no file matches" if globs.is_glob(path) else "no such file or folder"
    advice = ""
    if os.sep == "/" and "\\" in path:
        advice = ". It has backslashes, as on Windows: here / separates folders"
    return SourceError(f"{name}: {problem}{advice}", path=path)


def unreadable(path: str, error: Exception) -> SourceError:
    """Return the error for a file that could not be opened or read."""
    if isinstance(error, FileNotFoundError):
        return missing(path)
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{printable(path)}: cannot be read: {printable(reason)}", path=path)
