"""The archive's vector records: one for each content, with the path and label of its first row."""

from collections.abc import Sequence
from dataclasses import replace

from imgsearch.catalog import Catalog, Entry, State
from imgsearch.errors import CollectionNotFound
from imgsearch.library.library import Library
from imgsearch.types import Record, Vector


def record(first: Entry, vector: Vector) -> Record:
    """Return the record for a content, with the path and label of its first entry."""
    return Record(first.content, vector, _fields(first))


def with_first(stored: Record, first: Entry) -> Record:
    """Return a copy of a record with the path and label of a new first entry."""
    return replace(stored, fields={**stored.fields, **_fields(first)})


def first_rows(catalog: Catalog, collection: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return, for each entry, the first row with the same content."""
    states: tuple[State, ...] = ("pending", "ready")
    contents = [entry.content for entry in entries]
    known = catalog.of_contents(collection, contents, states=states)
    return [known.get(entry.content, [entry])[0] for entry in entries]


def known_contents(library: Library, contents: Sequence[str]) -> set[str]:
    """Return the contents that have a record."""
    try:
        return set(library.collection.get(contents)) if contents else set()
    except CollectionNotFound:
        return set()


def relabel(library: Library, catalog: Catalog, id_: str, label: str) -> Entry:
    """Change a row's label, and the record's label if the row is the first. Returns the row.

    Raises:
        ImageNotFound, ImageBusy: the row was deleted, or is being deleted.
        ConfigError: the label is longer than 512 characters.
    """
    entry = catalog.update(id_, label=label)
    write_label(library, catalog, entry)
    return entry


def write_label(library: Library, catalog: Catalog, entry: Entry) -> None:
    """Write an entry's label to the record, if the entry is the first one with its content."""
    rows = catalog.of_contents(library.name, [entry.content]).get(entry.content, [])
    if rows[:1] != [entry]:
        return
    version = library.version
    stored = library.collection.get([entry.content], vectors=True)
    changed = [
        replace(row, fields={**row.fields, "label": entry.label})
        for row in stored.values()
        if row.fields.get("label") != entry.label
    ]
    library.insert(changed, version=version)


def _fields(first: Entry) -> dict[str, str]:
    return {"path": first.place or first.name, "label": first.label}
