"""Entries written and read, in a transaction that is given."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog import anchors
from imgsearch.catalog.entry import Deletion, Entry, now, possible_content, possible_id
from imgsearch.catalog.tables import CHUNK, ENTRIES, chunks
from imgsearch.errors import ImageBusy, ImageExists, ImageNotFound

NAMES: Final = tuple(each.name for each in fields_of(Entry))
COLUMNS: Final = tuple(ENTRIES.c[name] for name in NAMES)

_OF_CONTENTS: Final = sa.select(*COLUMNS).where(  # made once: every search asks for it
    ENTRIES.c.content.in_(sa.bindparam("contents", expanding=True)),
    ENTRIES.c.collection == sa.bindparam("collection"),
    ENTRIES.c.state.in_(sa.bindparam("states", expanding=True)),
)


def entry_of(row: Sequence[Any]) -> Entry:
    """Return a row of `COLUMNS` as what it stands for."""
    return Entry(*row)


def folded(text: str) -> str:
    """Return a text as it is searched: no matter its case, nor how its accents are written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def find(connection: Connection, ids: Iterable[str]) -> dict[str, Entry]:
    """See `Catalog.find`."""
    found: dict[str, Entry] = {}
    for some in chunks(filter(possible_id, ids)):
        rows = connection.execute(sa.select(*COLUMNS).where(ENTRIES.c.id.in_(some)))
        found.update((entry.id, entry) for entry in map(entry_of, rows))
    return found


def begin(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """See `Catalog.begin`."""
    anchors.lock(connection, (entry.content for entry in entries))
    known = find(connection, [entry.id for entry in entries])
    new: dict[str, Entry] = {}
    for entry in entries:
        same = known.get(entry.id) or new.get(entry.id)
        if same is None:
            new[entry.id] = entry
        elif (same.content, same.collection) != (entry.content, entry.collection):
            raise ImageExists(f"id {entry.id!r} is another image's, of {same.collection!r}")
    _refuse_busy(connection, entries)
    time = now()
    begun = {
        id_: replace(entry, state="pending", error="", updated=time) for id_, entry in new.items()
    }
    again = {
        id_: replace(entry, state="pending", error="", updated=time)
        for id_, entry in known.items()
        if entry.state == "failed"
    }
    if begun:
        connection.execute(ENTRIES.insert(), [_row(entry) for entry in begun.values()])
    _set(connection, again, state="pending", error="", updated=time)
    now_there = known | again | begun
    return [now_there[entry.id] for entry in entries]


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in NAMES} | {"folded": folded(entry.name)}


def _set(connection: Connection, ids: Iterable[str], **values: object) -> None:
    for some in chunks(ids):
        connection.execute(ENTRIES.update().where(ENTRIES.c.id.in_(some)).values(**values))


def _refuse_busy(connection: Connection, entries: Sequence[Entry]) -> None:
    """Refuse contents that are being deleted, in whatever collection.

    Another collection's deletion may be about to take the original away, that all of them share.
    """
    for some in chunks(entry.content for entry in entries):
        going = connection.execute(
            sa.select(ENTRIES.c.id)
            .where(ENTRIES.c.content.in_(some), ENTRIES.c.state == "deleting")
            .limit(1)
        ).scalar()
        if going is not None:
            raise ImageBusy(f"image {going!r}, of the same content, is being deleted; try again")


def ready(
    connection: Connection, ids: Iterable[str], changes: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """See `Catalog.ready`."""
    done = {"state": "ready", "error": "", "updated": now()}
    changed = _locked(connection, ids, "pending", "failed")
    values = {id_: {**changes.get(id_, {}), **done} for id_ in changed}
    _change(connection, values, "pending", "failed")
    return changed


def failed(connection: Connection, errors: Mapping[str, str]) -> None:
    """See `Catalog.failed`."""
    time = now()
    gone = {"state": "failed", "updated": time}
    _change(connection, {id_: {**gone, "error": error} for id_, error in errors.items()}, "pending")


def _locked(connection: Connection, ids: Iterable[str], *states: str) -> list[str]:
    """Return the ids of entries in one of the states, locked until the transaction ends."""
    locked: list[str] = []
    for some in chunks(filter(possible_id, ids)):
        of_states = sa.select(ENTRIES.c.id).where(
            ENTRIES.c.id.in_(some), ENTRIES.c.state.in_(states)
        )
        # SQLite, whose writers run one at a time, compiles no FOR UPDATE
        locked += connection.execute(of_states.with_for_update()).scalars()
    return locked


def _change(
    connection: Connection, values: Mapping[str, Mapping[str, object]], *states: str
) -> None:
    """Write values by id where an entry is in one of the states, in a statement a chunk."""
    id_ = ENTRIES.c.id
    for some in chunks(filter(possible_id, values)):
        told = {name for each in some for name in values[each]}
        cases = {
            name: sa.case(
                {each: values[each][name] for each in some if name in values[each]},
                value=id_,
                else_=ENTRIES.c[name],
            )
            for name in told
        }
        there = ENTRIES.update().where(id_.in_(some), ENTRIES.c.state.in_(states))
        connection.execute(there.values(cases))


def update(connection: Connection, id_: str, values: Mapping[str, object]) -> Entry:
    """See `Catalog.update`."""
    entry = one(connection, id_)
    if entry.state == "deleting":
        raise ImageBusy(f"image {id_!r} is being deleted")
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
        raise ImageNotFound(f"there is no image {id_!r}")
    return entry


def mark_deleting(connection: Connection, ids: Sequence[str]) -> list[Deletion]:
    """See `Catalog.mark_deleting`."""
    seen = find(connection, ids)  # only to know where to wait
    anchors.lock(connection, (entry.content for entry in seen.values()))
    there = find(connection, seen)
    time = now()
    marked = {
        id_: entry if entry.state == "deleting" else replace(entry, state="deleting", updated=time)
        for id_, entry in there.items()
    }
    changed = [id_ for id_, entry in there.items() if entry.state != "deleting"]
    _set(connection, changed, state="deleting", updated=time)
    kept = _kept(connection, (entry.content for entry in marked.values()))
    return [
        Deletion(entry, entry.collection not in kept[entry.content], not kept[entry.content])
        for entry in (marked[id_] for id_ in dict.fromkeys(ids) if id_ in marked)
    ]


def _kept(connection: Connection, contents: Iterable[str]) -> Mapping[str, set[str]]:
    """Return for each content the collections where an entry of it stays."""
    kept: dict[str, set[str]] = defaultdict(set)
    for some in chunks(contents):
        rows = connection.execute(
            sa.select(ENTRIES.c.content, ENTRIES.c.collection)
            .where(ENTRIES.c.content.in_(some), ENTRIES.c.state != "deleting")
            .distinct()
        )
        for content, collection in rows:
            kept[content].add(collection)
    return kept


def forget(connection: Connection, ids: Sequence[str]) -> None:
    """See `Catalog.forget`."""
    contents = {entry.content for entry in find(connection, ids).values()}
    anchors.lock(connection, contents)
    for some in chunks(filter(possible_id, ids)):
        going = ENTRIES.c.id.in_(some) & (ENTRIES.c.state == "deleting")
        connection.execute(ENTRIES.delete().where(going))
    anchors.release(connection, contents)


def of_contents(
    connection: Connection, collection: str, contents: Iterable[str], states: Sequence[str]
) -> dict[str, list[Entry]]:
    """See `Catalog.of_contents`."""
    found: list[Entry] = []
    for some in chunks(filter(possible_content, contents)):
        told = {"contents": some, "collection": collection, "states": list(states)}
        rows = connection.execute(_OF_CONTENTS, told)
        found += map(entry_of, rows)
    # sorted here: asked for an order, SQLite 3.40 walks the whole collection in it
    by_content: dict[str, list[Entry]] = {}
    for entry in sorted(found, key=attrgetter("created", "id")):
        by_content.setdefault(entry.content, []).append(entry)
    return by_content


def referenced(connection: Connection, contents: Iterable[str]) -> set[str]:
    """See `Catalog.referenced`."""
    there: set[str] = set()
    for some in chunks(filter(possible_content, contents)):
        there.update(
            connection.execute(
                sa.select(ENTRIES.c.content)
                .where(ENTRIES.c.content.in_(some), ENTRIES.c.stored.is_(True))
                .distinct()
            ).scalars()
        )
    return there


def unfinished(
    connection: Connection, state: str, before: datetime, after: Entry | None
) -> list[Entry]:
    """Return at most `CHUNK` entries in a state, not updated since `before`, past `after`."""
    columns = ENTRIES.c
    statement = sa.select(*COLUMNS).where(columns.state == state, columns.updated <= before)
    if after is not None:
        further = (columns.updated > after.updated) | (columns.id > after.id)
        statement = statement.where(columns.updated >= after.updated, further)
    rows = connection.execute(statement.order_by(columns.updated, columns.id).limit(CHUNK))
    return [entry_of(row) for row in rows]
