"""Images to add to an archive: uploaded bytes, URLs or files."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os.path import commonpath
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import pyarrow as pa
from typing_extensions import override

from imgsearch import images
from imgsearch.catalog import Entry, entry_id
from imgsearch.encoders.embedding import EXTRA, failure_of, vectors_of
from imgsearch.errors import SourceError
from imgsearch.fields import FieldType, typed
from imgsearch.images import metadata, sources, videos
from imgsearch.images.image_lists import SUFFIXES, ListColumns
from imgsearch.images.list_files import ANY_COLUMNS
from imgsearch.images.read_ahead import Early
from imgsearch.images.regions import FIELDS as REGION_FIELDS
from imgsearch.images.urls import file_name
from imgsearch.images.videos import Opener
from imgsearch.library.library import Library
from imgsearch.library.progress import Candidate
from imgsearch.types import Failure, Value, Vector

OUTSIDE: Final = "that folder or list is not readable, or not inside a permitted root (see --root)"

_log = logging.getLogger(__name__)
_MAX_NAME: Final = 255  # characters; the beginning of longer names is cut off


@dataclass(frozen=True, slots=True)
class Clip:
    """The video of a frame: an id, and its file with the sha256, the size in bytes and the format.

    `seconds` is the time of the frame.
    """

    id: str
    content: str
    size: int
    format: str
    opener: Opener = field(repr=False)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """An image to add. Its bytes are `data`, or are read with `reader` or from the file `place`.

    `name` is the user's file name, and is never used as a path. `place` is the absolute path of a
    file, a URL, or "" for an upload. `id` is the id of the catalog entry, by default derived from
    collection, content, source and place or name. If `label` is None, an image that is already in
    the archive keeps its label; "" removes the label.

    An item with an `opener` is a video in the file that it opens. A frame has its `clip`.
    """

    name: str
    data: bytes | None = field(default=None, repr=False)
    source: str = "upload"
    place: str = ""
    label: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    id: str | None = None
    reader: Callable[[], bytes] | None = field(default=None, repr=False)
    opener: Opener | None = field(default=None, repr=False)
    clip: Clip | None = None

    @property
    def is_video(self) -> bool:
        """Whether the item is a video, whose frames are images."""
        in_folder = self.source == "folder" and self.data is None and self.reader is None
        return self.opener is not None or (in_folder and videos.is_video(self.place))

    def early(self) -> Early | None:
        """Return how a file is read before its turn, None for an image that is not in a file."""
        if self.data is not None or self.reader is not None or self.opener is not None:
            return None
        return Early.of(self.place, self.read)

    def read(self) -> bytes:
        """Return the image's bytes.

        Raises:
            SourceError: the image cannot be read or fetched.
        """
        if self.data is not None:
            return self.data
        return self.reader() if self.reader is not None else sources.read(self.place)


@dataclass(frozen=True, slots=True)
class Upload(Candidate):
    """An image that was read, with its new catalog entry.

    `facts` are the fields that its file states. It is identified by its row, not by its content, so
    `id` is a hash of the row's id.
    """

    entry: Entry
    facts: Mapping[str, Value] = field(default_factory=dict, kw_only=True, hash=False)
    clip: Clip | None = field(default=None, kw_only=True)

    @property
    @override
    def name(self) -> str:
        return self.entry.name

    @classmethod
    def read(cls, item: Incoming, data: bytes, library: Library, *, stored: bool) -> Self:
        """Return an image for a library. `stored` is True if the original will be saved.

        Raises:
            ImageError: the image's header is invalid.
            FieldInvalid: a declared field has another type.
        """
        collection = library.name
        content, name = sources.content_id(data), sources.printable(item.name)[-_MAX_NAME:]
        place = sources.printable(item.place)
        label = None if item.label is None else sources.label_text(item.label)
        most = library.max_pixels
        kind, width, height = images.header(data, path=name, max_pixels=most)
        fields = checked_fields(item.fields, library.fields)
        facts = metadata.fitting(data, library.exif, library.fields, max_pixels=most)
        clip = item.clip
        entry = Entry(
            id=item.id or entry_id(collection, content, item.source, place or name),
            collection=collection,
            content=content,
            source=item.source,
            name=name,
            place=place,
            size=len(data) if clip is None else clip.size,
            width=width,
            height=height,
            format=kind if clip is None else clip.format,
            label=label or "",
            fields={**facts, **fields},
            encoder=library.recipe.model,
            stored=stored,
            **{} if clip is None else _of_clip(clip),
        )
        key = row_key(entry)
        return cls(place or name, label, key, data, entry, fields=fields, facts=facts, clip=clip)


def _of_clip(clip: Clip) -> dict[str, Any]:
    return {"video": clip.id, "original": clip.content, "seconds": clip.seconds}


def checked_fields(fields: Mapping[str, Value], types: Mapping[str, FieldType]) -> dict[str, Value]:
    """Return an image's fields, with declared ones as their types, and lists as texts.

    Raises:
        FieldInvalid: a declared field has another type.
    """
    checked = {
        name: value for name, value in fields.items() if name in types or isinstance(value, list)
    }
    return {**fields, **typed(checked, types)}


def row_key(entry: Entry) -> str:
    """Return a row's key for `RepeatedFiles`: a hash, because the row's id may be any text."""
    return sources.content_id(entry.id.encode())


def own_values(rows: pa.RecordBatch) -> dict[str, dict[str, Any]]:
    """Return the labels and fields that a user's steps set, by content hash."""
    if "fields" not in rows.schema.names:
        return {}
    return {
        row["sha256"]: {"fields": json.loads(row["fields"]), "label": row["label"]}
        for row in rows.select(["sha256", "status", *EXTRA]).to_pylist()
        if row["status"] == "ok"
    }


@dataclass(frozen=True, slots=True)
class EmbeddedRow:
    """A vector with the id of its record; `fields` describe a region, see `images.regions`."""

    id: str
    vector: Vector
    fields: Mapping[str, Value]


EmbeddedRows: TypeAlias = Mapping[str, Sequence[EmbeddedRow]]
"""The rows of images by content hash: their regions, and last the whole image."""


def by_content(rows: pa.RecordBatch) -> tuple[dict[str, list[EmbeddedRow]], dict[str, Failure]]:
    """Return the embedded rows and failures in the rows of `Embedding`, both by content hash.

    An image whose own row failed has no rows. Failed regions are left out.
    """
    matrix = iter(vectors_of(rows))
    embedded: dict[str, list[EmbeddedRow]] = {}
    failures: dict[str, Failure] = {}
    for row in rows.drop_columns("vector").to_pylist():
        if row["status"] == "ok":
            fields = {name: row[name] for name in REGION_FIELDS if name in row}
            new = EmbeddedRow(row["id"], next(matrix), fields)
            embedded.setdefault(row["sha256"], []).append(new)
        elif not row.get("box"):
            failures[row["sha256"]] = failure_of(row)
    return {key: new for key, new in embedded.items() if key not in failures}, failures


def inside(folder: Path, roots: Sequence[Path]) -> Path:
    """Resolve symbolic links and ".." in `folder`, and check that it is inside one of `roots`.

    `folder` may also be a list file.

    Raises:
        SourceError: the folder is outside `roots`, or does not exist. The message is the same.
    """
    try:
        real = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: the path contains NUL
        raise SourceError(OUTSIDE) from error
    is_list = real.suffix.lower() in SUFFIXES and real.is_file()
    if not (is_list or real.is_dir()) or not _inside_any(real, roots):
        raise SourceError(OUTSIDE)
    return real


def files(
    folder: Path,
    roots: Sequence[Path],
    on_ignored: Callable[[str], None] | None = None,
    *,
    columns: ListColumns = ANY_COLUMNS,
    on_unlisted: Callable[[str], None] | None = None,
    exclude: Sequence[str] = (),
    with_videos: bool = False,
) -> Iterator[Incoming]:
    """Yield the images of a folder inside `roots`, sorted, labeled with their own folder's name.

    `folder` may also be a list file with `columns`. Symbolic links to files outside `roots`, and
    listed files outside, are skipped. Images by URL have no reader. `on_unlisted` is called with
    each subfolder that cannot be listed. Notes about a list, such as columns that are not fields,
    are logged. With `with_videos` videos in folders are yielded, too.

    Raises:
        SourceError: the folder is outside `roots`, or does not exist, or the list is invalid.
    """
    real = inside(folder, roots)
    walked = real.is_dir()  # below a folder only links lead elsewhere
    for reference in sources.references(
        str(real),
        columns=columns,
        on_ignored=on_ignored,
        on_unlisted=on_unlisted,
        exclude=exclude,
        with_videos=with_videos,
        on_note=lambda note: _log.warning("%s", note),
    ):
        path, label, fields = reference.path, reference.label, reference.fields
        if sources.is_web_url(path):
            yield Incoming(file_name(path), source="url", place=path, label=label, fields=fields)
            continue
        file = Path(path)
        if (walked and not file.is_symlink()) or _inside_any(file.resolve(), roots):
            yield Incoming(
                file.name,
                source="folder",
                place=str(file.absolute()),
                label=label,
                fields=fields,
                # a cell that does not fit its field is the error of its image
                reader=None if reference.content is None else partial(sources.read, reference),
            )
        elif on_ignored is not None:
            on_ignored(path)


def _inside_any(path: Path, roots: Sequence[Path]) -> bool:
    return any(_within(path, root) for root in roots)


def _within(path: Path, root: Path) -> bool:
    try:
        top = root.expanduser().resolve(strict=True)
        return commonpath([path, top]) == str(top)
    except (OSError, RuntimeError, ValueError):
        return False
