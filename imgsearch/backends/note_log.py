"""A log of texts about a collection, stored as records of the store's notes collection.

A note holds at most 65,535 bytes; a log is a head and any number of such parts. The head is written
after its parts, so a crash leaves either the old log or the new one. Parts without a head are
ignored, and are deleted when the log is replaced.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from imgsearch.backends import notes
from imgsearch.backends.base import VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.text import load_json
from imgsearch.types import Record

MAX_PART: Final = 65_000
"""The most ASCII characters in a part. The rest of a note's 65,535 bytes is its JSON."""

_READ: Final = 100  # parts in one query


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a log: the numbers of its parts, and facts about it."""

    first: int = 0
    end: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


class NoteLog:
    """The log called `kind` of one collection. Not thread-safe.

    Raises:
        SchemaMismatch: another program created the collection (all methods that write).
        BackendError: the store failed (all methods).
    """

    def __init__(self, store: VectorBackend, collection: Collection, kind: str) -> None:
        self._store, self._collection, self._kind = store, collection, kind

    def head(self) -> Head | None:
        """Return the head. Returns None without a log, or if it is about other vectors."""
        row = self._rows([self._id()]).get(self._id())
        if row is None:
            return None
        try:
            note = load_json(str(row.fields["note"]))
            if note["of"] != notes.identity(self._collection):
                return None
            return Head(int(note["first"]), int(note["end"]), dict(note["facts"]))
        except (KeyError, TypeError, ValueError):
            return None

    def parts(self, head: Head) -> list[str] | None:
        """Return the parts of a log, oldest first. Returns None if one is missing."""
        texts: list[str] = []
        for start in range(head.first, head.end, _READ):
            ids = [self._id(number) for number in range(start, min(start + _READ, head.end))]
            rows = self._rows(ids)
            if len(rows) < len(ids):
                return None
            texts += [str(rows[id_].fields.get("note", "")) for id_ in ids]
        return texts

    def append(self, head: Head, parts: Sequence[str], facts: Mapping[str, Any]) -> Head:
        """Add parts after the parts of `head`, and replace its facts. Returns the new head."""
        return self._write(head.first, head.end, parts, facts)

    def replace(self, parts: Sequence[str], facts: Mapping[str, Any]) -> Head:
        """Replace the log. Returns the new head."""
        head = self.head() or Head()
        start = 0 if head.first >= len(parts) else head.end
        new = self._write(start, start, parts, facts)
        kept = {self._id(), *map(self._id, range(new.first, new.end))}
        notes.writing(self._store, lambda held: self._delete_others(held, kept))
        return new

    def _rows(self, ids: Sequence[str]) -> dict[str, Record]:
        return notes.reading(self._store, lambda held: held.get(ids)) or {}

    def _delete_others(self, held: Collection, kept: set[str]) -> None:
        prefix = self._id() + "/"
        old = [row.id for row in held.iterate(vectors=False) if row.id.startswith(prefix)]
        held.delete([id_ for id_ in old if id_ not in kept])

    def _write(
        self, first: int, start: int, parts: Sequence[str], facts: Mapping[str, Any]
    ) -> Head:
        self._collection.require_own()
        head = Head(first, start + len(parts), facts)
        note = {
            "of": notes.identity(self._collection),
            "first": head.first,
            "end": head.end,
            "facts": dict(facts),
        }
        text = json.dumps(note, ensure_ascii=False)

        def write(held: Collection) -> None:
            held.upsert(
                Record(self._id(number), notes.VECTOR, {"note": part})
                for number, part in enumerate(parts, start)
            )
            held.upsert([Record(self._id(), notes.VECTOR, {"note": text})])

        notes.writing(self._store, write)
        return head

    def _id(self, number: int | None = None) -> str:
        """Return the id of the head, or of a part. No collection's name has a slash."""
        head = f"{self._collection.name}/{self._kind}"
        return head if number is None else f"{head}/{number}"


def packed(rows: Iterable[Sequence[Any]], size: int) -> Iterator[str]:
    """Yield rows as parts of a log: compressed JSON, `size` rows each, or fewer if they are long.

    >>> list(unpacked(packed([("a", 1), ("ü", None)], 500)))
    [['a', 1], ['ü', None]]
    """
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield from _halves(chunk)


def unpacked(parts: Iterable[str]) -> Iterator[list[Any]]:
    """Yield the rows of `packed` parts. Damaged parts are left out."""
    for part in parts:
        try:
            rows = load_json(zlib.decompress(base64.b64decode(part)).decode())
        except (ValueError, zlib.error):
            continue
        yield from rows


def _halves(rows: Sequence[Any]) -> Iterator[str]:
    text = json.dumps(rows, separators=(",", ":"))  # as ASCII, which lone surrogates survive
    part = base64.b64encode(zlib.compress(text.encode(), 1)).decode()
    if len(part) <= MAX_PART:
        yield part
    else:
        middle = len(rows) // 2
        yield from _halves(rows[:middle])
        yield from _halves(rows[middle:])
