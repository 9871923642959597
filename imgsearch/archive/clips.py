"""Videos that are added to an archive: their frames are images, and the original is the video.

A frame is an image whose name is ``clip.mp4#t=12``, with the fields ``video`` and ``seconds``. The
video's file is stored once, and is read in pieces.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from time import time_ns
from typing import Any, Final, NamedTuple, NoReturn, cast

from imgsearch.archive.originals import Originals, video_of
from imgsearch.archive.upload import Clip, Incoming
from imgsearch.catalog import Catalog, entry_id
from imgsearch.errors import (
    BackendError,
    CatalogError,
    ImgSearchError,
    ObjectNotFound,
    ObjectStoreError,
    SourceError,
)
from imgsearch.images import sources, videos
from imgsearch.images.moments import FIELDS, SECONDS, VIDEO, moment_path
from imgsearch.images.sampling import EVERY_SECOND, MAX_SECONDS, Sampling
from imgsearch.library.file_index import FileStat
from imgsearch.library.library import Library
from imgsearch.library.progress import Tally
from imgsearch.types import Value

_SHORT: Final = 8  # digits of the hash that tell two videos of one name apart
_STORES: Final = (BackendError, CatalogError, ObjectStoreError)


class ClipRead(NamedTuple):
    """A video whose frames were all read: its place, its sha256, and its file's status."""

    place: str
    content: str
    stat: FileStat | None


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """Which frames of videos are added.

    Videos longer than `max_seconds` are refused. `on_read` is called with each video whose frames
    were all read.
    """

    sampling: Sampling = EVERY_SECOND
    max_seconds: float = MAX_SECONDS
    on_read: Callable[[ClipRead], None] = lambda _read: None


def declare_moments(library: Library) -> None:
    """Declare the fields of frames.

    Raises:
        SchemaMismatch: a field has another type, or the store cannot add it.
    """
    if not FIELDS.keys() <= library.fields.keys():
        library.declare_fields(FIELDS)


@dataclass
class Clips:
    """The videos among the items of an addition. `stored` is as for `Addition`."""

    library: Library
    catalog: Catalog
    originals: Originals
    tally: Tally
    options: FrameOptions
    roots: tuple[Path, ...]
    stored: bool

    def expanded(self, items: Iterable[Incoming]) -> Iterator[Incoming]:
        """Yield the items, with the frames of each video in its place.

        An error of a video is raised when the item in its place is read. Frames that repeat within
        a video are counted as skipped.
        """
        for item in items:
            if not item.is_video:
                yield item
            elif not self.options.sampling:
                self.tally.ignore(sources.printable(item.place or item.name))
            else:
                yield from self._video(item)

    def _video(self, item: Incoming) -> Iterator[Incoming]:
        clip: Clip | None = None
        any_frame = False
        now, stat = time_ns(), FileStat.of(item.place) if item.place else None
        try:
            clip = self._clip(item)
            for frame in self._frames(item, clip):
                if not any_frame and self.stored:
                    self.originals.put_video(clip)
                any_frame = True
                yield frame
            if item.place and FileStat.of(item.place) != stat:
                raise SourceError("the file changed while it was read")
        except _STORES as error:
            if not isinstance(error, ObjectNotFound):
                raise
            yield _failed(item, error)
        except ImgSearchError as error:
            yield _failed(item, error)
        else:
            settled = None if stat is None else stat.settled(now)
            self.options.on_read(ClipRead(sources.printable(item.place), clip.content, settled))
        self.tally.count("videos")

    def _clip(self, item: Incoming) -> Clip:
        """Return the facts of a video's file, which is read to its end.

        Raises:
            SourceError: the file cannot be read.
            FormatRefused, ImageTooLarge: it is not a video, or too large.
        """
        opener = item.opener or partial(videos.open_file, item.place)
        with opener() as file:
            name = videos.checked_format(file).name
            content = hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
            size = file.tell()
        place = sources.printable(item.place or item.name)
        id_ = entry_id(self.library.name, content, item.source, place)
        return Clip(id_, content, size, name, opener)

    def _frames(self, item: Incoming, clip: Clip) -> Iterator[Incoming]:
        contents: set[str] = set()
        title = self._title(item, clip)
        for seconds, pixels in videos.frames(
            item.place or item.name,
            self.options.sampling,
            max_pixels=self.library.max_pixels,
            max_seconds=self.options.max_seconds,
            opener=clip.opener,
        ):
            data = videos.ppm(pixels)
            content = sources.content_id(data)
            if content in contents:
                self.tally.take()
                self.tally.count("skipped")
                continue
            contents.add(content)
            declare_moments(self.library)
            fields: dict[str, Value] = {**item.fields, VIDEO: title, SECONDS: seconds}
            yield replace(
                item,
                name=moment_path(item.name, seconds),
                place=item.place and moment_path(item.place, seconds),
                data=data,
                fields=fields,
                id=None,
                opener=None,
                clip=replace(clip, seconds=seconds),
            )

    def _title(self, item: Incoming, clip: Clip) -> str:
        """Return the value of the field ``video``, which no other video has.

        It is the path below the archive's folder, or the name of an upload.
        """
        title = sources.printable(_below(item.place, self.roots) or item.name)
        place = sources.printable(item.place or item.name)
        others = self.catalog.named(self.library.name, moment_path(sources.printable(item.name), 0))
        if any(
            other.fields.get(VIDEO) == title
            and other.video != clip.id
            and video_of(other.place or other.name) != (place if item.place else "")
            for other in others
        ):
            path = PurePath(title)
            title = str(path.with_name(f"{path.stem}-{clip.content[:_SHORT]}{path.suffix}"))
        return title


def kept_moment(fields: Mapping[str, Value], former: Mapping[str, Value]) -> dict[str, Value]:
    """Return new fields of a frame with its former video and time, which cannot be changed."""
    return {**fields, **{name: former[name] for name in FIELDS if name in former}}


def _failed(item: Incoming, error: ImgSearchError) -> Incoming:
    def read() -> NoReturn:
        raise error

    return replace(item, reader=read, opener=None)


def _below(place: str, roots: Iterable[Path]) -> str:
    """Return a path relative to the first root that contains it, "" for none."""
    for root in roots:
        top = root.expanduser().resolve()
        if place and PurePath(place).is_relative_to(top):
            return PurePath(place).relative_to(top).as_posix()
    return ""
