"""The interface of object stores: private originals, addressed by their SHA-256."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from typing_extensions import override

from imgsearch.errors import ConfigError
from imgsearch.types import Closeable

EDGES: Final = range(16, 1025)
"""Valid thumbnail sizes, in pixels. For larger sizes, use the original."""

LONGEST_LINK: Final = 7 * 24 * 3600
"""Maximum lifetime of a link in seconds, the limit of signature version 4. Source:
docs.aws.amazon.com, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)"."""

CONTENT: Final = re.compile(r"[0-9a-f]{64}")

# no SVG, because it may contain scripts that a browser runs
_MEDIA_TYPE: Final = re.compile(
    r"image/(?!svg)[a-z0-9][a-z0-9.+-]{0,60}|video/[a-z0-9][a-z0-9.+-]{0,60}"
    r"|application/octet-stream"
)
PIECE: Final = 1 << 20
"""Bytes of an original that are read at once."""


class ObjectStore(Closeable):
    """A store of originals and thumbnails, addressed by content hash. Thread-safe.

    `content` is a SHA-256 in 64 lower-case hexadecimal digits. Objects are private: reading them
    requires access to the store or a link. Methods raise `ConfigError` if `content` is invalid, so
    only hashes are used as paths or keys, and `ObjectStoreError` if the store fails. `url` is the
    store's URL without secrets.
    """

    url: str

    @abstractmethod
    def ping(self) -> None:
        """Check that the store responds.

        Raises:
            ObjectStoreError: the store does not respond. The message contains the reason.
        """

    def put(self, content: str, data: bytes, media_type: str) -> None:
        """Write an original atomically. Several writers can write the same content.

        If the original exists, its age in `contents` is reset to at most ten minutes, which
        protects it from a deletion of old orphans.

        Raises:
            ConfigError: `data` has another hash, or `media_type` is not allowed for an original.
        """
        check_media_type(media_type)
        if hashlib.sha256(data).hexdigest() != checked(content):
            raise other_hash(content)
        self._put(content, data, media_type)

    def put_file(
        self, content: str, opener: Callable[[], BinaryIO], size: int, media_type: str
    ) -> None:
        """Write an original of `size` bytes from a file, which is read in pieces; see `put`.

        `opener` opens the file at its start. It is not called if the original exists.

        Raises:
            ConfigError: the file has another hash, or `media_type` is not allowed.
        """
        check_media_type(media_type)
        self._put_file(checked(content), opener, size, media_type)

    def open(self, content: str) -> BinaryIO:
        """Open an original for reading at any position. The caller closes it.

        Raises:
            ObjectNotFound: the store has no original with this hash.
        """
        return self._open(checked(content))

    def get(self, content: str) -> bytes:
        """Return the bytes of an original.

        Raises:
            ObjectNotFound: the store has no original with this hash.
        """
        return b"".join(self._stream(checked(content)))

    def stream(self, content: str) -> Iterator[bytes]:
        """Return an iterator over the bytes of an original, in chunks of at most 1 MiB.

        Raises:
            ObjectNotFound: the store has no original with this hash. Raised before the iteration.
        """
        pieces = self._stream(checked(content))
        # a started generator closes its file even if the caller stops iterating
        return _all(next(pieces, b""), pieces)

    def exists(self, content: str) -> bool:
        """Return whether the store has an original with this hash."""
        return self._exists(checked(content))

    def delete(self, content: str) -> None:
        """Delete an original and its thumbnails, if they exist.

        The original is deleted last, so it stays in `contents` if the deletion is interrupted.
        """
        self._delete(checked(content))

    @abstractmethod
    def contents(self) -> Iterator[tuple[str, float]]:
        """Yield the hash and the age of each original, in any order.

        The age is in seconds, at least 0, measured with the store's clock.
        """

    def link(
        self, content: str, seconds: int, *, name: str = "", media_type: str = ""
    ) -> str | None:
        """Return a public URL for an original. Returns None if the store does not support links.

        The URL is valid for `seconds`, 1 second to 7 days. `name` is the file name for downloads.
        `media_type` is the type in the response, by default the type passed to `put`. It is not
        checked whether the original exists.

        Raises:
            ConfigError: `seconds` is out of range, or `media_type` is not allowed.
        """
        if not 1 <= seconds <= LONGEST_LINK:
            raise ConfigError(
                f"link lifetime {seconds} s is out of range. Use 1 to {LONGEST_LINK} seconds."
            )
        if media_type:
            check_media_type(media_type)
        return self._link(checked(content), seconds, name, media_type)

    def put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        """Write or replace a thumbnail atomically. Its original need not exist.

        Raises:
            ConfigError: `edge` is not in `EDGES`.
        """
        self._put_thumbnail(checked(content), checked_edge(edge), data)

    def thumbnail(self, content: str, edge: int) -> bytes | None:
        """Return the thumbnail of this size in pixels. Returns None if it does not exist.

        Raises:
            ConfigError: `edge` is not in `EDGES`.
        """
        return self._thumbnail(checked(content), checked_edge(edge))

    @override
    def close(self) -> None:  # most stores have no open connections
        """Close connections. Idempotent."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @abstractmethod
    def _put(self, content: str, data: bytes, media_type: str) -> None: ...

    @abstractmethod
    def _put_file(
        self, content: str, opener: Callable[[], BinaryIO], size: int, media_type: str
    ) -> None: ...

    @abstractmethod
    def _open(self, content: str) -> BinaryIO: ...

    @abstractmethod
    def _stream(self, content: str) -> Iterator[bytes]: ...

    @abstractmethod
    def _exists(self, content: str) -> bool: ...

    @abstractmethod
    def _delete(self, content: str) -> None: ...

    @abstractmethod
    def _link(self, content: str, seconds: int, name: str, media_type: str) -> str | None: ...

    @abstractmethod
    def _put_thumbnail(self, content: str, edge: int, data: bytes) -> None: ...

    @abstractmethod
    def _thumbnail(self, content: str, edge: int) -> bytes | None: ...


def checked(content: str) -> str:
    """Return `content` unchanged if it is a valid content hash.

    Raises:
        ConfigError: `content` is not 64 lower-case hexadecimal digits.
    """
    if not CONTENT.fullmatch(content):
        raise ConfigError(
            f"content hash {content[:80]!r} is invalid. Use 64 lower-case hexadecimal digits."
        )
    return content


def checked_edge(edge: int) -> int:
    """Return `edge` unchanged if it is a valid thumbnail size in pixels.

    Raises:
        ConfigError: `edge` is not in `EDGES`.
    """
    if edge not in EDGES:
        raise ConfigError(
            f"thumbnail edge {edge} is out of range. Use {EDGES[0]} to {EDGES[-1]} pixels."
        )
    return edge


def check_media_type(media_type: str) -> None:
    """Check the media type of an original.

    Raises:
        ConfigError: it is not the type of an image (other than SVG) or of a video, nor
            application/octet-stream.
    """
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ConfigError(f"media type {media_type[:80]!r} is not a supported image or video type")


def other_hash(content: str) -> ConfigError:
    """Return the error for bytes that do not have the hash."""
    return ConfigError(f"the bytes do not have the content hash {content}")


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
