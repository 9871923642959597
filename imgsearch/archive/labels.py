"""Labels of images in an archive: the catalogue's rows, and the vector's by the first row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from imgsearch.catalog import Catalog, Entry, State
from imgsearch.library import Library


def first_rows(catalog: Catalog, collection: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return for each entry the first row of its content, whose path and label the vector has."""
    states: tuple[State, ...] = ("pending", "ready")
    contents = [entry.content for entry in entries]
    known = catalog.of_contents(collection, contents, states=states)
    return [known.get(entry.content, [entry])[0] for entry in entries]


def relabel(library: Library, catalog: Catalog, labels: Mapping[str, str]) -> list[Entry]:
    """Write labels by the ids of rows; return the rows as they are then.

    Raises:
        ImageNotFound, ImageBusy: a row is gone, or is being deleted.
        ConfigError: a label is longer than a catalogue's.
    """
    entries = [catalog.update(id_, label=label) for id_, label in labels.items()]
    write_labels(library, catalog, entries)
    return entries


def write_labels(library: Library, catalog: Catalog, entries: Sequence[Entry]) -> None:
    """Give vectors the label of their content's first row, where that is one of `entries`."""
    if not entries:
        return
    contents = [entry.content for entry in entries]
    first = {
        content: rows[0] for content, rows in catalog.of_contents(library.name, contents).items()
    }
    labels = {entry.content: entry.label for entry in entries if first.get(entry.content) == entry}
    stored = library.collection.get(list(labels), vectors=True)
    library.insert(
        replace(row, fields={**row.fields, "label": labels[content]})
        for content, row in stored.items()
        if row.fields.get("label") != labels[content]
    )
