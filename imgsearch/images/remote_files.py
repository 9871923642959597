"""Files by URL, in a bucket or on the web, that are copied to read them."""

import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final
from urllib.parse import quote, urljoin, urlsplit

from typing_extensions import override

from imgsearch.errors import SourceError
from imgsearch.images.buckets import Bucket
from imgsearch.images.files import printable

_PIECE: Final = 1 << 20
_SECONDS: Final = 3_600.0  # of a download by http


class RemoteFile(ABC):
    """A file by URL. `url` is printable, `key` the part of the URL with the file's name."""

    url: str
    key: str

    @contextmanager
    def copied(self, *, max_bytes: int) -> Iterator[Path]:
        """Yield a temporary copy of the file, with its suffix.

        Raises:
            SourceError: it cannot be read, or has more than `max_bytes`.
        """
        with TemporaryDirectory(prefix="imgsearch-") as folder:
            file = Path(folder, f"list{Path(self.key).suffix.lower()}")
            with file.open("wb") as copy:
                self._write(copy, max_bytes)
            yield file

    @contextmanager
    def opened(self, *, max_bytes: int) -> Iterator[BinaryIO]:
        """Open the file for reading from its start.

        Raises:
            SourceError: it cannot be read, or its copy has more than `max_bytes`.
        """
        # a copy, because a server does not wait while images are embedded
        with self.copied(max_bytes=max_bytes) as copy, copy.open("rb") as file:
            yield file

    def join(self, cell: str) -> str:
        """Return the URL of a path below the file's folder. Other paths are returned unchanged."""
        path = posixpath.normpath(cell.strip().replace("\\", "/"))
        if path.startswith(("/", "../", "~")) or path == ".." or path[1:2] == ":":
            return cell
        return self._beside(path)

    @abstractmethod
    def _write(self, copy: BinaryIO, most: int) -> None:
        """Write the content into a file.

        Raises:
            SourceError: it cannot be read, or has more than `most` bytes.
        """

    @abstractmethod
    def _beside(self, path: str) -> str:
        """Return the URL of a path that begins at the file's folder."""


class WebFile(RemoteFile):
    """A file by http or https, from a public host or from one in `hosts`."""

    def __init__(self, url: str, hosts: Sequence[str]) -> None:
        self.url, self.key, self._hosts = printable(url), web_key(url), hosts

    @override
    def _write(self, copy: BinaryIO, most: int) -> None:
        from imgsearch.images.urls import UrlLimits, save

        limits = UrlLimits(max_bytes=most, seconds=_SECONDS)
        save(self.url, copy, limits=limits, allow=self._hosts)

    @override
    def _beside(self, path: str) -> str:
        return urljoin(self.url.partition("?")[0], quote(path, errors="surrogateescape"))


class BucketFile(RemoteFile):
    """An object of a bucket."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self.key = bucket, key
        self.url = printable(str(bucket.url.at(key)))

    @override
    @contextmanager
    def opened(self, *, max_bytes: int) -> Iterator[BinaryIO]:
        with self._bucket.stream(self.key) as stream:
            yield stream

    @override
    def _write(self, copy: BinaryIO, most: int) -> None:
        size = 0
        with self._bucket.stream(self.key) as stream:
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > most:
                    message = f"{self.url}: too large: at most {most:,} bytes are read"
                    raise SourceError(message, path=self.url)
                copy.write(piece)

    @override
    def _beside(self, path: str) -> str:
        folder = self.key.rpartition("/")[0]
        return str(self._bucket.url.at(f"{folder}/{path}".lstrip("/")))


def web_key(url: str) -> str:
    """Return the path of an http or https URL; "" for an invalid one."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
