"""Records of an archive in the vector store: one for each content, described by its first row."""

from collections.abc import Sequence
from dataclasses import replace

from imgsearch.catalog import Catalog, Entry, State
from imgsearch.errors import CollectionNotFound
from imgsearch.library.library import Library
from imgsearch.types import Record, Vector


def record(first: Entry, vector: Vector) -> Record:
    """Return the record of a content, by the first entry of the content."""
    return Record(first.content, vector, _fields(first))


def with_first(stored: Record, first: Entry) -> Record:
    """Return a record with the path and label of another first entry of its content."""
    return replace(stored, fields={**stored.fields, **_fields(first)})


def first_rows(catalog: Catalog, collection: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the first row of each entry's content; the record has its path and label."""
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
    """Write the label of a row, and of the record if the row is the first; return the row.

    Raises:
        ImageNotFound, ImageBusy: the row was deleted, or is being deleted.
        ConfigError: the label is too long for a catalog.
    """
    entry = catalog.update(id_, label=label)
    write_label(library, catalog, entry)
    return entry


def write_label(library: Library, catalog: Catalog, entry: Entry) -> None:
    """Write the label of an entry to its record, if the entry is the first of its content."""
    rows = catalog.of_contents(library.name, [entry.content]).get(entry.content, [])
    if rows[:1] != [entry]:
        return
    stored = library.collection.get([entry.content], vectors=True)
    library.insert(
        replace(row, fields={**row.fields, "label": entry.label})
        for row in stored.values()
        if row.fields.get("label") != entry.label
    )


def _fields(first: Entry) -> dict[str, str]:
    return {"path": first.place or first.name, "label": first.label}
