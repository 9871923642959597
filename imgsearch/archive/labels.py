"""Labels in an archive: of each row in the catalogue, and of the vector, by its first row."""

from collections.abc import Sequence
from dataclasses import replace

from imgsearch.catalog import Catalog, Entry, State
from imgsearch.library.library import Library


def first_rows(catalog: Catalog, collection: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the first row of each entry's content; the vector has the path and label of it."""
    states: tuple[State, ...] = ("pending", "ready")
    contents = [entry.content for entry in entries]
    known = catalog.of_contents(collection, contents, states=states)
    return [known.get(entry.content, [entry])[0] for entry in entries]


def relabel(library: Library, catalog: Catalog, id_: str, label: str) -> Entry:
    """Write the label of a row; return the changed row.

    Raises:
        ImageNotFound, ImageBusy: the row was deleted, or is being deleted.
        ConfigError: the label is too long for a catalogue.
    """
    entry = catalog.update(id_, label=label)
    write_label(library, catalog, entry)
    return entry


def write_label(library: Library, catalog: Catalog, entry: Entry) -> None:
    """Give the vector of an entry its label, if the entry is the first row of its content."""
    rows = catalog.of_contents(library.name, [entry.content]).get(entry.content, [])
    if rows[:1] != [entry]:
        return
    stored = library.collection.get([entry.content], vectors=True)
    library.insert(
        replace(row, fields={**row.fields, "label": entry.label})
        for row in stored.values()
        if row.fields.get("label") != entry.label
    )
