"""One reference to an image, and what a catalogue answers about them."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, get_args

from imgsearch.arguments import check_name
from imgsearch.errors import ConfigError
from imgsearch.types import Value

State: TypeAlias = Literal["pending", "ready", "failed", "deleting"]
Order: TypeAlias = Literal["created", "name", "size", "label"]
STATES: Final[tuple[str, ...]] = get_args(State)
MAX_NAME: Final = 512  # characters; with a collection and an id they fit an index key of InnoDB
MAX_LABEL: Final = 512
MAX_INTEGER: Final = 2**63 - 1
_CHANGES: Final[Mapping[str, type]] = {  # what is only known once an image was decoded
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
    """Return the time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One reference to an image; several may have the same content.

    `id` is at most 64 of A-Z, a-z, 0-9, ``.``, ``_``, ``-``. `content` is the sha256 of the bytes,
    64 hex digits: the id of its vector and of its original. `source` tells how it came: "upload",
    "folder", "url", "library". `name` is the file's name as given, made printable; nothing opens a
    file by it. `place` is the path of a file left in place, or the URL it came from. `size` is in
    bytes; `width`, `height` (pixels) and `format` ("JPEG") are 0, 0 and "" while unknown.
    `encoder` is the name of the model of its vector. `stored`: the object store has the original.
    `error` is "" or an error's name and message. Times are aware, UTC.
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


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries of a listing; `total` counts the whole, `next` asks for the page after it."""

    entries: list[Entry]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """An entry that is going, and whether its vector and its original have to go with it.

    `last_in_collection`: no other entry of the collection has this content and stays;
    `last_anywhere`: nor has one of any other collection.
    """

    entry: Entry
    last_in_collection: bool
    last_anywhere: bool


def entry_id(collection: str, content: str, source: str, place_or_name: str) -> str:
    """Return the id of a reference, 32 hex digits: the same whenever the same thing is added."""
    # as JSON, so that no two lists of texts look alike; in ASCII, so that any text has a hash
    told = json.dumps([collection, content, source, place_or_name])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def possible_id(id_: str) -> bool:
    """Tell whether an entry may have this id."""
    return _ID.fullmatch(id_) is not None


def possible_content(content: str) -> bool:
    """Tell whether this is a sha256 as the catalogue writes it."""
    return _CONTENT.fullmatch(content) is not None


def check_text(name: str, text: str, *, most: int | None = None) -> None:
    """Check a text that goes into the database.

    Raises:
        ConfigError: it is longer than `most` characters, or no text that databases keep.
    """
    if most is not None and len(text) > most:
        raise ConfigError(f"{name} is longer than {most} characters: {text[:40]!r} …")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ConfigError(f"{name} holds NUL or a lone surrogate: {text[:40]!r}")


def check_time(name: str, time: datetime) -> None:
    """Check that a time says where on Earth, and that it is one in UTC, too.

    Raises:
        ConfigError: it has no time zone, or is the first or last moment that there is.
    """
    if time.utcoffset() is None:
        raise ConfigError(f"{name} has no time zone: {time.isoformat()}")
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise ConfigError(f"{name} is out of range: {time.isoformat()}") from error


def check_fields(fields: Mapping[str, Value]) -> None:
    """Check free fields.

    Raises:
        ConfigError: a name is no text, or a value no text, finite number or boolean.
    """
    for name, value in fields.items():
        if not isinstance(name, str):
            raise ConfigError(f"the name of a field is no text: {name!r}")
        check_text("the name of a field", name)
        if isinstance(value, str):
            check_text(f"field {name!r}", value)
        elif not isinstance(value, int | float):
            raise ConfigError(f"field {name!r} is no text, number or boolean: {value!r}")
        elif not (isinstance(value, int) or math.isfinite(value)):
            raise ConfigError(f"field {name!r} is no finite number: {value!r}")


def check_entry(entry: Entry) -> None:
    """Check what is to be written.

    Raises:
        ConfigError: a part of it is not what `Entry` says.
    """
    if not possible_id(entry.id):
        raise ConfigError(f"id {entry.id!r} is not 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'")
    check_name(entry.collection)
    if not possible_content(entry.content):
        raise ConfigError(f"content {entry.content!r} is no sha256 in lower-case hex")
    check_text("source", entry.source, most=16)
    check_text("name", entry.name, most=MAX_NAME)
    check_text("label", entry.label, most=MAX_LABEL)
    check_text("place", entry.place)
    check_fields(entry.fields)
    check_time("created", entry.created)
    check_changes({name: getattr(entry, name) for name in _CHANGES})


def check_changes(values: Mapping[str, Value]) -> None:
    """Check what became known of an entry.

    Raises:
        ConfigError: it is not for `Catalog.ready` to say, or not what `Entry` says.
    """
    for name, value in values.items():
        kind = _CHANGES.get(name)
        if kind is None or not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise ConfigError(f"{name!r} cannot become {value!r}")
        if isinstance(value, str):
            check_text(name, value, most=32 if name == "format" else MAX_NAME)
        elif not 0 <= value <= MAX_INTEGER:
            raise ConfigError(f"{name} is not in 0 to 2^63 - 1: {value}")


def plain(text: str) -> str:
    """Return a text with "?" for what databases do not keep: NUL, and halves of letters."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()
