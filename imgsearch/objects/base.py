"""The contract of a store of originals: private bytes under the sha256 of their content."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

from typing_extensions import override

from imgsearch.errors import ConfigError
from imgsearch.types import Closeable

EDGES: Final = range(16, 1025)
"""Valid edges of thumbnails, in pixels: smaller ones show nothing, larger ones are originals."""

LONGEST_LINK: Final = 7 * 24 * 3600
"""Longest lifetime of a link in seconds, the limit of signature version 4. Source:
docs.aws.amazon.com, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)"."""

CONTENT: Final = re.compile(r"[0-9a-f]{64}")

# images only, and not SVG, because it may contain scripts that a browser runs
_MEDIA_TYPE: Final = re.compile(r"image/(?!svg)[a-z0-9][a-z0-9.+-]{0,60}|application/octet-stream")


class ObjectStore(Closeable):
    """Originals and their thumbnails, under content hashes: 64 lower-case hexadecimal digits.

    Reading them requires the store's key or a link. Thread-safe. Every method raises `ConfigError`
    for an invalid `content`, so only hashes become paths or keys, and `ObjectStoreError` if the
    store fails. `url` names the store, without secrets.
    """

    url: str

    @abstractmethod
    def ping(self) -> None:
        """Check that the store responds.

        Raises:
            ObjectStoreError: it does not; the message has the reason.
        """

    def put(self, content: str, data: bytes, media_type: str) -> None:
        """Write an original atomically; an existing one is kept and its age in `contents` reset.

        The new age protects the original from a deletion of old orphans. Several writers of one
        content do not disturb each other.

        Raises:
            ConfigError: `data` has another hash, or `media_type` is not an image's.
        """
        check_media_type(media_type)
        if hashlib.sha256(data).hexdigest() != checked(content):
            raise ConfigError(f"the bytes do not have the content hash {content}")
        self._put(content, data, media_type)

    def get(self, content: str) -> bytes:
        """Return an original.

        Raises:
            ObjectNotFound: the store has no original with this hash.
        """
        return b"".join(self._stream(checked(content)))

    def stream(self, content: str) -> Iterator[bytes]:
        """Return an original in pieces of at most 1 MiB.

        Raises:
            ObjectNotFound: the store has no original with this hash; raised before iteration.
        """
        pieces = self._stream(checked(content))
        # a started generator closes its file even if the caller stops iterating
        return _all(next(pieces, b""), pieces)

    def exists(self, content: str) -> bool:
        """Return whether the store has an original with this hash."""
        return self._exists(checked(content))

    def delete(self, content: str) -> None:
        """Delete an original and its thumbnails, if they exist.

        The original is deleted last, so an interrupted deletion still appears in `contents`.
        """
        self._delete(checked(content))

    @abstractmethod
    def contents(self) -> Iterator[tuple[str, float]]:
        """Yield the hash of each original, in any order, and its age in seconds.

        The age is at least 0, by the store's own clock.
        """

    def link(
        self, content: str, seconds: int, *, name: str = "", media_type: str = ""
    ) -> str | None:
        """Return a public URL of an original, valid for 1 second to 7 days, None without links.

        `name` is the file name for downloads. `media_type` is the type in the response, by default
        the type from `put`. The original may be missing.

        Raises:
            ConfigError: `seconds` is out of range, or `media_type` is not an image's.
        """
        if not 1 <= seconds <= LONGEST_LINK:
            raise ConfigError(
                f"link lifetime {seconds} s is out of range. Use 1 to {LONGEST_LINK} seconds."
            )
        if media_type:
            check_media_type(media_type)
        return self._link(checked(content), seconds, name, media_type)

    def put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        """Write or replace a thumbnail atomically; the original may be missing.

        Raises:
            ConfigError: `edge` is not in `EDGES`.
        """
        self._put_thumbnail(checked(content), checked_edge(edge), data)

    def thumbnail(self, content: str, edge: int) -> bytes | None:
        """Return the thumbnail with this edge in pixels, None if it is missing.

        Raises:
            ConfigError: `edge` is not in `EDGES`.
        """
        return self._thumbnail(checked(content), checked_edge(edge))

    @override
    def close(self) -> None:  # most have nothing open
        """Close connections. Idempotent."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @abstractmethod
    def _put(self, content: str, data: bytes, media_type: str) -> None: ...

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
    """Return a content hash.

    Raises:
        ConfigError: it is not 64 lower-case hexadecimal digits.
    """
    if not CONTENT.fullmatch(content):
        raise ConfigError(
            f"content hash {content[:80]!r} is invalid. Use 64 lower-case hexadecimal digits."
        )
    return content


def checked_edge(edge: int) -> int:
    """Return an edge of a thumbnail, in pixels.

    Raises:
        ConfigError: it is not in `EDGES`.
    """
    if edge not in EDGES:
        raise ConfigError(
            f"thumbnail edge {edge} is out of range. Use {EDGES[0]} to {EDGES[-1]} pixels."
        )
    return edge


def check_media_type(media_type: str) -> None:
    """Check the media type of an original.

    Raises:
        ConfigError: it is not an image's, or it is SVG.
    """
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ConfigError(f"media type {media_type[:80]!r} is not a supported image type")


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
