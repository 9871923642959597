"""Catalog entries, which are references to images, and checks of their values."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from imgsearch.errors import ConfigError
from imgsearch.types import Value, check_name

State: TypeAlias = Literal["pending", "ready", "failed", "deleting"]
Order: TypeAlias = Literal["created", "name", "size", "label"]
STATES: Final[tuple[str, ...]] = get_args(State)
ORDERS: Final[tuple[str, ...]] = get_args(Order)
"""The columns that listings are sorted by in the database; other orders are fields."""
MAX_NAME: Final = 512  # characters; fits an InnoDB index key together with collection and id
MAX_LABEL: Final = 512
MAX_INTEGER: Final = 2**63 - 1
_CHANGES: Final[Mapping[str, type]] = {  # fields that may be unknown until the image is decoded
    "size": int,
    "width": int,
    "height": int,
    "format": str,
    "encoder": str,
    "stored": bool,
}
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTENT: Final = re.compile(r"[0-9a-f]{64}")


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A reference to an image. Several entries may have the same content.

    `id` is 1 to 64 characters from A-Z, a-z, 0-9, ``.``, ``_``, ``-``. `content` is the SHA-256 of
    the bytes in 64 hex digits, and is the id of the vector and the original. `source` is "upload",
    "folder", "url" or "library". `name` is the user's file name in printable form, never used as a
    path. `place` is the path of a file that stayed in its folder, or the image's URL. `size` is in
    bytes; `width` and `height` (pixels) are 0 and `format` ("JPEG") is "" while unknown. `encoder`
    is the model that made the vector. `stored` is True if the original is in the object store.
    `error` is "" or an error's name and message. Times are timezone-aware, in UTC.

    The original of a frame of a video is the video's file: `original` is its SHA-256, `size` and
    `format` are the file's, `seconds` is the frame's time, and `video` is an id that all frames of
    the video share. They are "" and 0 for other images. `content` is the hash of the frame's pixels
    as a PPM file.
    """

    id: str
    collection: str
    content: str
    source: str = "upload"
    name: str = ""
    place: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    label: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)
    encoder: str = ""
    stored: bool = False
    state: State = "pending"
    error: str = ""
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    video: str = ""
    original: str = ""
    seconds: float = 0.0

    @property
    def file(self) -> str:
        """The SHA-256 of the original: the video of a frame, otherwise `content`."""
        return self.original or self.content


class Place(NamedTuple):
    """Where an entry's file is, with the entry's id, content and state, and the video's file."""

    id: str
    place: str
    content: str
    state: State
    original: str = ""


class Video(NamedTuple):
    """A video: its id, the number of its frames, and the entry of one of them."""

    id: str
    frames: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing. `total` counts all entries; `next` is the cursor of the next page."""

    entries: list[Entry]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """An entry to delete, and whether to delete its vector and its original, too.

    `last_in_collection` is True if no other entry of the collection has this content: the vector
    can be deleted. `last_anywhere` is True if no entry of any collection has its original, which
    can be deleted. `last_of_content` is True if no entry of any collection has this content: the
    thumbnails can be deleted.
    """

    entry: Entry
    last_in_collection: bool
    last_anywhere: bool
    last_of_content: bool = True


def entry_id(collection: str, content: str, source: str, place_or_name: str) -> str:
    """Return an entry's id, 32 hex digits, derived from these values only."""
    # JSON distinguishes different lists; as ASCII, even a lone surrogate can be hashed
    text = json.dumps([collection, content, source, place_or_name])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def possible_id(id_: str) -> bool:
    """Return whether an id is valid."""
    return _ID.fullmatch(id_) is not None


def possible_content(content: str) -> bool:
    """Return whether a content hash is valid: 64 lower-case hex digits."""
    return _CONTENT.fullmatch(content) is not None


def check_id(id_: str) -> None:
    """Check the id of an entry, a job or a key.

    Raises:
        ConfigError: the id is invalid; see `Entry`.
    """
    if not possible_id(id_):
        raise ConfigError(
            f"id {id_!r} is invalid. Use 1 to 64 characters of A-Z, a-z, 0-9, '.', '_', '-'."
        )


def check_text(name: str, text: str, *, most: int | None = None) -> None:
    """Check a text before it is written to the database.

    Raises:
        ConfigError: it is longer than `most` characters, or contains NUL or a lone surrogate.
    """
    if most is not None and len(text) > most:
        raise ConfigError(f"{name} is longer than {most} characters: {text[:40]!r} …")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ConfigError(f"{name} contains NUL or a lone surrogate: {text[:40]!r}")


def check_time(name: str, time: datetime) -> None:
    """Check that a time has a time zone and can be converted to UTC.

    Raises:
        ConfigError: it has no time zone, or is out of range in UTC.
    """
    if time.utcoffset() is None:
        raise ConfigError(f"{name} has no time zone: {time.isoformat()}. Add one.")
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise ConfigError(f"{name} is out of range: {time.isoformat()}") from error


def check_fields(fields: Mapping[str, Value]) -> None:
    """Check the user-defined fields of an entry.

    Raises:
        ConfigError: a name is not a text; a value is not a text, finite number or boolean; or a
            text contains NUL or a lone surrogate.
    """
    for name, value in fields.items():
        if not isinstance(name, str):
            raise ConfigError(f"a field name is not a text: {name!r}")
        check_text("a field name", name)
        if isinstance(value, str):
            check_text(f"field {name!r}", value)
        elif not isinstance(value, int | float):
            raise ConfigError(f"field {name!r} is not a text, number or boolean: {value!r}")
        elif not (isinstance(value, int) or math.isfinite(value)):
            raise ConfigError(f"field {name!r} is not a finite number: {value!r}")


def check_entry(entry: Entry) -> None:
    """Check an entry before it is written.

    Raises:
        ConfigError: a value is invalid; see `Entry`.
    """
    check_id(entry.id)
    check_name(entry.collection)
    if not possible_content(entry.content):
        raise ConfigError(f"content {entry.content!r} is not a sha256 in lower-case hex")
    if entry.original and not (possible_content(entry.original) and possible_id(entry.video)):
        raise ConfigError(f"the video {entry.video!r} of {entry.original!r} is invalid")
    check_text("source", entry.source, most=16)
    check_text("name", entry.name, most=MAX_NAME)
    check_text("label", entry.label, most=MAX_LABEL)
    check_text("place", entry.place)
    check_fields(entry.fields)
    check_time("created", entry.created)
    check_changes({name: getattr(entry, name) for name in _CHANGES})


def check_changes(values: Mapping[str, Value]) -> None:
    """Check the `changes` of `Catalog.ready`.

    Raises:
        ConfigError: a field cannot be changed, or a value is invalid; see `Entry`.
    """
    for name, value in values.items():
        kind = _CHANGES.get(name)
        if kind is None or not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise ConfigError(f"{name!r} cannot be changed to {value!r}")
        if isinstance(value, str):
            check_text(name, value, most=32 if name == "format" else MAX_NAME)
        elif not 0 <= value <= MAX_INTEGER:
            raise ConfigError(f"{name} is not in 0 to 2^63 - 1: {value}")


def checked_update(
    label: str | None, fields: Mapping[str, Value] | None, name: str | None
) -> dict[str, object]:
    """Check the values of an update, and return the values that are not None, by field.

    Raises:
        ConfigError: a value is invalid; see `Entry`.
    """
    if label is not None:
        check_text("label", label, most=MAX_LABEL)
    if name is not None:
        check_text("name", name, most=MAX_NAME)
    if fields is not None:
        check_fields(fields)
    values = {"label": label, "name": name, "fields": fields}
    return {field: value for field, value in values.items() if value is not None}


def plain(text: str) -> str:
    """Replace NUL and lone surrogates, which databases reject, with "?"."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()
