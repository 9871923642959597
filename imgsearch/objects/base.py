"""What a store of originals is: private bytes under the sha256 of their content."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

from typing_extensions import override

from imgsearch.closeable import Closeable
from imgsearch.errors import ConfigError

EDGES: Final = range(16, 1025)
"""Edges that thumbnails have, in pixels: smaller shows nothing, larger is an original."""

LONGEST_LINK: Final = 7 * 24 * 3600
"""Seconds that a link may live: what signature version 4 allows. Source: docs.aws.amazon.com,
"Authenticating Requests: Using Query Parameters (AWS Signature Version 4)"."""

CONTENT: Final = re.compile(r"[0-9a-f]{64}")

# images only, and none that may hold scripts: a browser shows what a link leads to by this type
_MEDIA_TYPE: Final = re.compile(r"image/(?!svg)[a-z0-9][a-z0-9.+-]{0,60}|application/octet-stream")


class ObjectStore(Closeable):
    """Originals and their thumbnails, under content hashes: 64 lower-case hexadecimal digits.

    Nobody reads them without the store's key or a link. Thread-safe. Every method raises
    `ConfigError` where `content` is no content hash, so nothing else becomes a path or a key, and
    `ObjectStoreError` where the store fails. `url` names the store, without secrets.
    """

    url: str

    @abstractmethod
    def ping(self) -> None:
        """Return if the store is there and answers.

        Raises:
            ObjectStoreError: it is not, or does not; the message tells why.
        """

    def put(self, content: str, data: bytes, media_type: str) -> None:
        """Keep an original, whole or not at all; what is there already is left as it is.

        Writers of one content do not disturb each other. What was there counts as young again in
        `contents`, so that a collector of orphans which spares the young spares this one.

        Raises:
            ConfigError: `data` is not of that content, or `media_type` is no image's.
        """
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ConfigError(f"{media_type[:80]!r} is no media type of an image")
        if hashlib.sha256(data).hexdigest() != checked(content):
            raise ConfigError(f"the bytes are not those of content {content}")
        self._put(content, data, media_type)

    def get(self, content: str) -> bytes:
        """Return an original.

        Raises:
            ObjectNotFound: the store has none of that content.
        """
        return b"".join(self._stream(checked(content)))

    def stream(self, content: str) -> Iterator[bytes]:
        """Return an original in pieces of at most 1 MiB.

        Raises:
            ObjectNotFound: the store has none of that content; at once, not with the first piece.
        """
        pieces = self._stream(checked(content))
        # a generator that has begun closes what it opened, even if nobody reads on
        return _all(next(pieces, b""), pieces)

    def exists(self, content: str) -> bool:
        """Tell whether there is an original of that content."""
        return self._exists(checked(content))

    def delete(self, content: str) -> None:
        """Remove an original and its thumbnails, if they are there.

        The original goes last: whoever is stopped in between still finds it in `contents`.
        """
        self._delete(checked(content))

    @abstractmethod
    def contents(self) -> Iterator[tuple[str, float]]:
        """Yield the contents of all originals, in any order, and their ages in seconds.

        The age is told by the store's own clock, 0 and up.
        """

    def link(
        self, content: str, seconds: int, *, name: str = "", media_type: str = ""
    ) -> str | None:
        """Return a URL that shows an original to whoever has it, for 1 second to 7 days.

        None where there is no such thing and the original has to be passed on. `name` is the file
        name under which a browser saves it, `media_type` what it is shown as; as it was put, if
        empty. The original need not be there.

        Raises:
            ConfigError: so many seconds cannot be, or `media_type` is no image's.
        """
        if not 1 <= seconds <= LONGEST_LINK:
            raise ConfigError(f"a link lives 1 to {LONGEST_LINK} seconds, not {seconds}")
        if media_type and not _MEDIA_TYPE.fullmatch(media_type):
            raise ConfigError(f"{media_type[:80]!r} is no media type of an image")
        return self._link(checked(content), seconds, name, media_type)

    def put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        """Keep a thumbnail, whole or not at all, in place of one of that edge.

        The original need not be there: it may lie in a place of its own.

        Raises:
            ConfigError: `edge` is none of `EDGES`.
        """
        self._put_thumbnail(checked(content), checked_edge(edge), data)

    def thumbnail(self, content: str, edge: int) -> bytes | None:
        """Return the thumbnail of that edge in pixels, None where none was put.

        Raises:
            ConfigError: `edge` is none of `EDGES`.
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
        raise ConfigError(f"{content[:80]!r} is no content: 64 lower-case hexadecimal digits")
    return content


def checked_edge(edge: int) -> int:
    """Return an edge of a thumbnail, in pixels.

    Raises:
        ConfigError: it is none of `EDGES`.
    """
    if edge not in EDGES:
        raise ConfigError(f"a thumbnail's edge is {EDGES[0]} to {EDGES[-1]} pixels, not {edge}")
    return edge


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
