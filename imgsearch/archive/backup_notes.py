"""The notes of a store in a backup, such as thresholds and what `sync` and `dedup` remember.

The file has a line for each note: a collection's name, the rest of the note's id after the name of
the collection in the store, and its text.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from imgsearch.backends import VectorBackend, notes, versions
from imgsearch.errors import SourceError
from imgsearch.types import Record

FILE: Final = "vectors/notes.jsonl"
_BATCH: Final = 100  # notes, of at most 64 KB each


def dump_notes(store: VectorBackend, names: Sequence[str], file: Path) -> int:
    """Write the notes about collections to a file; return their number.

    Notes about former versions of a collection are left out, because their vectors are not copied.

    Raises:
        BackendError: the store failed.
    """
    current = {versions.read(store, name).current: name for name in names}
    held = notes.opened(store)
    number = 0
    with file.open("w", encoding="utf-8") as lines:
        for record in held.iterate(vectors=False) if held is not None else ():
            stored, slash, rest = record.id.partition("/")
            if stored in current:
                row = {
                    "collection": current[stored],
                    "part": slash + rest,
                    "note": str(record.fields.get("note", "")),
                }
                lines.write(json.dumps(row) + "\n")
                number += 1
    return number


def load_notes(file: Path, store: VectorBackend, names: Sequence[str]) -> int:
    """Write the notes of a backup about the collections `names` to a store; return their number.

    Heads of logs are written after their parts, so an interrupted restore leaves no log that lacks
    one; see `note_log`.

    Raises:
        SourceError: the file is damaged.
        BackendError: the store failed.
    """
    current = {name: versions.read(store, name).current for name in names}
    number = 0
    for parts in (True, False):
        lines = _read(file)
        while rows := list(islice(lines, _BATCH)):
            records = [
                Record(current[name] + part, notes.VECTOR, {"note": text})
                for name, part, text in rows
                if name in current and (part.count("/") > 1) == parts
            ]
            if records:
                held = store.create(notes.NAME, notes.SCHEMA)
                held.upsert(records)
                held.flush()
                number += len(records)
    return number


def _read(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield collection, part and text of each note."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row: dict[str, Any] = json.loads(line)
                name, part, text = row["collection"], row["part"], row["note"]
            except (ValueError, KeyError, TypeError) as error:
                raise SourceError(f"{file} is damaged. Use another backup.") from error
            if not all(isinstance(value, str) for value in (name, part, text)) or (
                part and part[0] != "/"
            ):
                raise SourceError(f"{file} is damaged. Use another backup.")
            yield name, part, text
