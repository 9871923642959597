"""Result types of the archive."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import quote

from imgsearch.catalog import Entry
from imgsearch.errors import ObjectNotFound
from imgsearch.images import regions
from imgsearch.images.containers import PLAYED
from imgsearch.images.videos import Opener
from imgsearch.library.progress import Report
from imgsearch.text import counted
from imgsearch.types import Hit

# types that contain pixels only; others, such as SVG, may contain scripts
_PIXELS: Final = frozenset(
    f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "jp2", "avif")
)
_PIECE: Final = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Added:
    """The result of an addition: catalog entries of added and known images, and the report."""

    entries: tuple[Entry, ...]
    report: Report


@dataclass(frozen=True, slots=True)
class Found:
    """A search hit with the first catalog entry of its content.

    `references` is the number of entries with this content.
    """

    entry: Entry
    hit: Hit
    references: int

    @property
    def box(self) -> list[int] | None:
        """The nearest region: left, top, right, bottom in pixels; None for the whole image."""
        box = regions.box(str(self.hit.fields.get("box", "")))
        return None if box is None else list(box)


@dataclass(frozen=True, slots=True)
class Original:
    """An original: its bytes in chunks, or a link that expires after five minutes.

    `opener` opens it for reading at any position; None with a link. The original of a frame is its
    video.
    """

    media_type: str
    name: str
    size: int
    parts: Iterator[bytes] | None
    link: str | None = None
    opener: Opener | None = None

    def part(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`, in pieces of at most 1 MiB.

        Raises:
            ObjectNotFound: there is a link only, or the original was deleted.
        """
        if self.opener is None:
            raise ObjectNotFound("the original is at its link")
        with self.opener() as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(_PIECE, stop - start))):
                start += len(piece)
                yield piece

    @property
    def content_type(self) -> str:
        """The media type for browsers: the file's, or octets if the format may hold scripts."""
        return self.media_type if self._is_shown else "application/octet-stream"

    @property
    def _is_shown(self) -> bool:
        return self.media_type in _PIXELS or self.media_type in PLAYED

    def headers(self, *, download: bool) -> dict[str, str]:
        """Return the HTTP headers that name the file, and keep browsers from running it.

        Formats of pixels and videos are shown in the browser unless `download`; others are always
        downloaded.
        """
        policy = "default-src 'none'; sandbox"
        if self.media_type in PLAYED:  # the browser's own player is a page with this policy
            policy = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
        return {
            "Content-Disposition": _disposition(self.name, inline=self._is_shown and not download),
            "Content-Security-Policy": policy,
        }


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of `repair`: the number of finished additions, finished deletions and failures.

    `orphans` counts deleted originals that had no row. `adopted` counts images that had a vector
    but no row, and got a row. `left` counts records and collections that imgsearch did not write
    and did not change. `notes` name these collections, and some of these records.
    """

    completed: int = 0
    deleted: int = 0
    failed: int = 0
    orphans: int = 0
    adopted: int = 0
    left: int = 0
    notes: tuple[str, ...] = ()

    def plus(self, **more: int) -> Self:
        """Return a copy with the numbers in `more` added."""
        return replace(self, **{name: getattr(self, name) + n for name, n in more.items()})

    def summary(self) -> str:
        """Return the counts as a sentence."""
        return (
            f"{counted(self.completed, 'addition')} and {counted(self.deleted, 'deletion')} "
            f"finished, {self.failed} failed, {counted(self.orphans, 'original')} without a "
            f"row deleted, {counted(self.adopted, 'image')} adopted"
        )

    @property
    def anything(self) -> bool:
        """Whether there was anything to repair."""
        return any((self.completed, self.deleted, self.failed, self.orphans, self.adopted))


def _disposition(name: str, *, inline: bool) -> str:
    """Return a Content-Disposition header (RFC 6266) with an escaped file name."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name).strip()
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain or 'image'}\"; filename*=UTF-8''{quote(name, safe='')}"
