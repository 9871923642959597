"""The archive's vector records: one for each content, with the values of its first row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from imgsearch.archive.upload import EmbeddedRow
from imgsearch.backends import Collection
from imgsearch.backends.regions import has_regions
from imgsearch.catalog import Catalog, Entry, State
from imgsearch.errors import CollectionNotFound
from imgsearch.fields import can_declare
from imgsearch.filters import Field
from imgsearch.library.library import Library
from imgsearch.types import Record, Value


def records_of(first: Entry, rows: Sequence[EmbeddedRow]) -> list[Record]:
    """Return the records of a content, with the path, label and fields of its first entry."""
    return [Record(row.id, row.vector, {**_fields(first), **row.fields}) for row in rows]


def record_ids(collection: Collection, contents: Sequence[str]) -> list[str]:
    """Return the ids of the records of contents: whole images, and their regions."""
    if not (contents and has_regions(collection)):
        return list(contents)
    regions = collection.iterate(where=Field("image").isin(list(contents)), vectors=False)
    return list(dict.fromkeys([*contents, *(region.id for region in regions)]))


def with_first(stored: Record, first: Entry) -> Record:
    """Return a copy of a record with the path, label and fields of a new first entry."""
    return replace(stored, fields={**_kept(stored, first), **_fields(first)})


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


def relabel(
    library: Library,
    catalog: Catalog,
    id_: str,
    label: str | None,
    fields: Mapping[str, Value] | None = None,
) -> Entry:
    """Change a row's label and fields, and the record's if the row is the first. Returns the row.

    None keeps a value; `fields` replaces all fields.

    Raises:
        ImageNotFound, ImageBusy: the row was deleted, or is being deleted.
        ConfigError: the label is longer than 512 characters, or there are too many fields.
    """
    former = {} if fields is None else catalog.get(id_).fields
    entry = catalog.update(id_, label=label, fields=fields)
    write_values(library, catalog, entry, former)
    return entry


def write_values(
    library: Library, catalog: Catalog, entry: Entry, former: Mapping[str, Value]
) -> None:
    """Write an entry's label and fields to the record, if it is the first with its content.

    Fields that the entry had in `former`, and has no more, are removed from the record. The record
    keeps all others, such as tags.
    """
    rows = catalog.of_contents(library.name, [entry.content]).get(entry.content, [])
    if rows[:1] != [entry]:
        return
    version, collection = library.version, library.collection
    stored = collection.get(record_ids(collection, [entry.content]), vectors=True)
    removed = former.keys() - entry.fields.keys()
    changed = []
    for row in stored.values():
        kept = {name: value for name, value in row.fields.items() if name not in removed}
        new = replace(row, fields={**kept, **_fields(entry), "path": row.path})
        if new.fields != row.fields:
            changed.append(new)
    library.insert(changed, version=version)


def _fields(first: Entry) -> dict[str, Value]:
    """Return the fields of an entry's record. Others than these cannot be filtered on."""
    own = {name: value for name, value in first.fields.items() if can_declare(name)}
    return {**own, "path": first.place or first.name, "label": first.label}


def _kept(stored: Record, first: Entry) -> dict[str, Value]:
    """Return the fields of a record that its first entry does not set.

    An entry of a library's image has no fields, so its record keeps the library's.
    """
    return {
        name: value
        for name, value in stored.fields.items()
        if first.source == "library" or not can_declare(name)  # such as the box of a region
    }
