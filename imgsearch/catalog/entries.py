"""Reads and writes entries in an open transaction."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog import locks
from imgsearch.catalog.entry import (
    Deletion,
    Entry,
    Place,
    Video,
    now,
    possible_content,
    possible_id,
)
from imgsearch.catalog.tables import CHUNK, ENTRIES, chunks
from imgsearch.errors import ImageBusy, ImageExists, ImageNotFound

NAMES: Final = tuple(field.name for field in fields(Entry))
COLUMNS: Final = tuple(ENTRIES.c[name] for name in NAMES)

# the columns that hold the hash of an entry's original, and the entries for which they do
_FILES: Final = (
    (ENTRIES.c.content, (ENTRIES.c.original == "",)),
    (ENTRIES.c.original, ()),
)

_OF_CONTENTS: Final = sa.select(*COLUMNS).where(  # built once, because every search runs it
    ENTRIES.c.content.in_(sa.bindparam("contents", expanding=True)),
    ENTRIES.c.collection == sa.bindparam("collection"),
    ENTRIES.c.state.in_(sa.bindparam("states", expanding=True)),
)


def entry_of(row: Sequence[Any]) -> Entry:
    """Convert a row of `COLUMNS` to an entry."""
    return Entry(*row)


def folded(text: str) -> str:
    """Return the case-folded NFC form of a text, for searches by name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def find(connection: Connection, ids: Iterable[str]) -> dict[str, Entry]:
    """See `Catalog.find`."""
    entries: dict[str, Entry] = {}
    for chunk in chunks(filter(possible_id, ids)):
        rows = connection.execute(sa.select(*COLUMNS).where(ENTRIES.c.id.in_(chunk)))
        entries.update((entry.id, entry) for entry in map(entry_of, rows))
    return entries


def places(connection: Connection, collection: str, source: str) -> list[Place]:
    """See `Catalog.places`."""
    columns = ENTRIES.c
    statement = sa.select(*(columns[name] for name in Place._fields)).where(
        columns.collection == collection, columns.source == source, columns.state != "deleting"
    )
    return [Place(*row) for row in connection.execute(statement.order_by(columns.created))]


def begin(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """See `Catalog.begin`."""
    locks.lock(connection, _locked(entries))
    known = find(connection, [entry.id for entry in entries])
    new: dict[str, Entry] = {}
    for entry in entries:
        same = known.get(entry.id) or new.get(entry.id)
        if same is None:
            new[entry.id] = entry
        elif (same.content, same.collection) != (entry.content, entry.collection):
            raise ImageExists(
                f"id {entry.id!r} belongs to another image, of {same.collection!r}. "
                "Choose another id."
            )
    _refuse_busy(connection, entries)
    failed_before = {id_: entry for id_, entry in known.items() if entry.state == "failed"}
    time = now()
    pending = {
        id_: replace(entry, state="pending", error="", updated=time)
        for id_, entry in (failed_before | new).items()
    }
    if new:
        connection.execute(ENTRIES.insert(), [_row(pending[id_]) for id_ in new])
    _set(connection, failed_before, state="pending", error="", updated=time)
    current = known | pending
    return [current[entry.id] for entry in entries]


def _locked(entries: Iterable[Entry]) -> set[str]:
    """Return the hashes whose locks a change of entries needs: contents and originals."""
    return {content for entry in entries for content in (entry.content, entry.file)}


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in NAMES} | {"folded": folded(entry.name)}


def _set(connection: Connection, ids: Iterable[str], **values: object) -> None:
    for chunk in chunks(ids):
        connection.execute(ENTRIES.update().where(ENTRIES.c.id.in_(chunk)).values(**values))


def _refuse_busy(connection: Connection, entries: Sequence[Entry]) -> None:
    """Check that no content is being deleted, in any collection.

    Collections share originals, so a deletion in another collection may delete the original.

    Raises:
        ImageBusy: a content is being deleted.
    """
    columns = ENTRIES.c.content, ENTRIES.c.original
    hashes = [{entry.content for entry in entries}, {entry.original for entry in entries} - {""}]
    for column, chunk in (
        (of, part) for of, own in zip(columns, hashes, strict=True) for part in chunks(own)
    ):
        busy = connection.execute(
            sa.select(ENTRIES.c.id).where(column.in_(chunk), ENTRIES.c.state == "deleting").limit(1)
        ).scalar()
        if busy is not None:
            raise ImageBusy(f"image {busy!r}, of the same content, is being deleted. Retry.")


def ready(
    connection: Connection, ids: Iterable[str], changes: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """See `Catalog.ready`."""
    state = {"state": "ready", "error": "", "updated": now()}
    locked = _lock(connection, ids, "pending", "failed")
    values = {id_: {**changes.get(id_, {}), **state} for id_ in locked}
    _change(connection, values, "pending", "failed")
    return locked


def failed(connection: Connection, errors: Mapping[str, str]) -> None:
    """See `Catalog.failed`."""
    state = {"state": "failed", "updated": now()}
    values = {id_: {**state, "error": error} for id_, error in errors.items()}
    _change(connection, values, "pending")


def _lock(connection: Connection, ids: Iterable[str], *states: str) -> list[str]:
    """Lock entries in one of the states until the transaction ends, and return their ids."""
    locked: list[str] = []
    for chunk in chunks(filter(possible_id, ids)):
        of_states = sa.select(ENTRIES.c.id).where(
            ENTRIES.c.id.in_(chunk), ENTRIES.c.state.in_(states)
        )
        # FOR UPDATE is omitted for SQLite, whose writers run one at a time
        locked += connection.execute(of_states.with_for_update()).scalars()
    return locked


def _change(
    connection: Connection, values: Mapping[str, Mapping[str, object]], *states: str
) -> None:
    """Update entries in one of the states with values by id, one statement for each chunk."""
    for chunk in chunks(filter(possible_id, values)):
        names = {name for id_ in chunk for name in values[id_]}
        cases = {
            name: sa.case(
                {id_: values[id_][name] for id_ in chunk if name in values[id_]},
                value=ENTRIES.c.id,
                else_=ENTRIES.c[name],
            )
            for name in names
        }
        in_states = ENTRIES.c.id.in_(chunk) & ENTRIES.c.state.in_(states)
        connection.execute(ENTRIES.update().where(in_states).values(cases))


def update(connection: Connection, id_: str, values: Mapping[str, object]) -> Entry:
    """See `Catalog.update`."""
    entry = one(connection, id_)
    if entry.state == "deleting":
        raise ImageBusy(f"image {id_!r} cannot be changed: it is being deleted")
    more: dict[str, object] = {"updated": now()}
    if "name" in values:
        more["folded"] = folded(str(values["name"]))
    connection.execute(
        ENTRIES.update()
        .where(ENTRIES.c.id == id_, ENTRIES.c.state != "deleting")
        .values(**values, **more)
    )
    return one(connection, id_)


def one(connection: Connection, id_: str) -> Entry:
    """See `Catalog.get`."""
    entry = find(connection, [id_]).get(id_)
    if entry is None:
        raise ImageNotFound(f"image {id_!r} does not exist")
    return entry


def mark_deleting(connection: Connection, ids: Sequence[str]) -> list[Deletion]:
    """See `Catalog.mark_deleting`."""
    before = find(connection, ids)  # only to find the contents to lock
    locks.lock(connection, _locked(before.values()))
    known = find(connection, before)
    time = now()
    changed = {
        id_: replace(entry, state="deleting", updated=time)
        for id_, entry in known.items()
        if entry.state != "deleting"
    }
    _set(connection, changed, state="deleting", updated=time)
    marked = known | changed
    kept = _kept(connection, (entry.content for entry in marked.values()))
    files = _kept_files(connection, {entry.file for entry in marked.values()})
    return [
        Deletion(
            entry,
            last_in_collection=entry.collection not in kept[entry.content],
            last_anywhere=entry.file not in files,
            last_of_content=not kept[entry.content],
        )
        for entry in (marked[id_] for id_ in dict.fromkeys(ids) if id_ in marked)
    ]


def _kept(connection: Connection, contents: Iterable[str]) -> Mapping[str, set[str]]:
    """Return, for each content, the collections that keep an entry with it."""
    kept: dict[str, set[str]] = defaultdict(set)
    for chunk in chunks(contents):
        rows = connection.execute(
            sa.select(ENTRIES.c.content, ENTRIES.c.collection)
            .where(ENTRIES.c.content.in_(chunk), ENTRIES.c.state != "deleting")
            .distinct()
        )
        for content, collection in rows:
            kept[content].add(collection)
    return kept


def _kept_files(connection: Connection, files: Iterable[str]) -> set[str]:
    """Return the originals that an entry keeps, in any collection."""
    kept: set[str] = set()
    for chunk in chunks(files):
        for column, further in _FILES:
            kept |= set(
                connection.execute(
                    sa.select(column)
                    .where(column.in_(chunk), ENTRIES.c.state != "deleting", *further)
                    .distinct()
                ).scalars()
            )
    return kept


def forget(connection: Connection, ids: Sequence[str]) -> None:
    """See `Catalog.forget`."""
    contents = _locked(find(connection, ids).values())
    locks.lock(connection, contents)
    for chunk in chunks(filter(possible_id, ids)):
        deleting = ENTRIES.c.id.in_(chunk) & (ENTRIES.c.state == "deleting")
        connection.execute(ENTRIES.delete().where(deleting))
    locks.release(connection, contents)


def of_contents(
    connection: Connection, collection: str, contents: Iterable[str], states: Sequence[str]
) -> dict[str, list[Entry]]:
    """See `Catalog.of_contents`."""
    entries: list[Entry] = []
    for chunk in chunks(filter(possible_content, contents)):
        values = {"contents": chunk, "collection": collection, "states": list(states)}
        entries += map(entry_of, connection.execute(_OF_CONTENTS, values))
    # sorted here: with ORDER BY, SQLite 3.40 reads the whole collection
    by_content: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=attrgetter("created", "id")):
        by_content.setdefault(entry.content, []).append(entry)
    return by_content


def referenced(connection: Connection, contents: Iterable[str]) -> set[str]:
    """See `Catalog.referenced`."""
    stored: set[str] = set()
    for chunk in chunks(filter(possible_content, contents)):
        for column, further in _FILES:
            statement = sa.select(column).distinct()
            statement = statement.where(column.in_(chunk), ENTRIES.c.stored.is_(True), *further)
            stored.update(connection.execute(statement).scalars())
    return stored


def named(connection: Connection, collection: str, name: str) -> list[Entry]:
    """See `Catalog.named`."""
    columns = ENTRIES.c
    statement = sa.select(*COLUMNS).where(columns.collection == collection, columns.name == name)
    return [entry_of(row) for row in connection.execute(statement.limit(2 * CHUNK))]


def of_videos(connection: Connection, videos: Iterable[str]) -> list[str]:
    """See `Catalog.of_videos`."""
    ids: list[str] = []
    for chunk in chunks(filter(possible_id, videos)):
        statement = sa.select(ENTRIES.c.id).where(ENTRIES.c.video.in_(chunk))
        ids += connection.execute(statement.order_by(ENTRIES.c.id)).scalars()
    return ids


def videos(connection: Connection, collection: str, limit: int, after: str) -> list[Video]:
    """See `Catalog.videos`."""
    columns = ENTRIES.c
    statement = (
        sa.select(columns.video, sa.func.count(), sa.func.min(columns.id))
        .where(columns.video > after, columns.collection == collection, columns.state == "ready")
        .group_by(columns.video)
        .order_by(columns.video)
        .limit(limit)
    )
    groups = connection.execute(statement).all()
    entries = find(connection, [first for _, _, first in groups])
    return [Video(id_, frames, entries[first]) for id_, frames, first in groups if first in entries]


def unfinished(
    connection: Connection, state: str, before: datetime, after: Entry | None
) -> list[Entry]:
    """Return at most `CHUNK` entries after `after`, last updated at or before `before`."""
    columns = ENTRIES.c
    statement = sa.select(*COLUMNS).where(columns.state == state, columns.updated <= before)
    if after is not None:
        further = (columns.updated > after.updated) | (columns.id > after.id)
        statement = statement.where(columns.updated >= after.updated, further)
    rows = connection.execute(statement.order_by(columns.updated, columns.id).limit(CHUNK))
    return [entry_of(row) for row in rows]
