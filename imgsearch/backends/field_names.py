"""Read-only views of other programs' collections, whose fields have other names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from imgsearch.backends.checks import check_filter
from imgsearch.backends.collection import Collection
from imgsearch.backends.filter_plan import Plan
from imgsearch.errors import FieldInvalid, SchemaMismatch
from imgsearch.filters import Filter, Leaf, Where, renamed, to_filter
from imgsearch.types import Hit, Matrix, Record, Value


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Field names of a collection. None means that the field has imgsearch's default name.

    `id` is the primary key. `vector` is the vector field to search, required if there are several.
    The fields `path` and `label` become "path" and "label" in hits and records.
    """

    id: str | None = None
    vector: str | None = None
    path: str | None = None
    label: str | None = None

    def __bool__(self) -> bool:
        """Return whether any name is set."""
        return any((self.id, self.vector, self.path, self.label))

    def require_fixed(self, collection: str) -> None:
        """Check that `id` and `vector` are unset or equal to the fixed names "id" and "vector".

        Raises:
            FieldInvalid: `id` or `vector` is another name.
        """
        for role, name, fixed in (("key", self.id, "id"), ("vector", self.vector, "vector")):
            if name not in (None, fixed):
                raise FieldInvalid(
                    f"the {role} of collection {collection!r} is the field {fixed!r}, not {name!r}"
                )

    def renamed_fields(self) -> dict[str, str]:
        """Return the collection's field names for "path" and "label", if they are set."""
        names = {"path": self.path, "label": self.label}
        return {ours: theirs for ours, theirs in names.items() if theirs}


class CollectionView(Collection):
    """A read-only view of a collection with renamed fields.

    Filters accept imgsearch's names and the collection's own names.
    """

    def __init__(self, inner: Collection, names: FieldNames) -> None:
        self._inner, self._names = inner, names.renamed_fields()
        own = inner.schema.fields
        fields = {**own, **{ours: own.get(name, "str") for ours, name in self._names.items()}}
        schema = replace(inner.schema, fields=fields)
        super().__init__(inner.name, schema, foreign=inner.foreign)
        self.key = inner.key

    @property
    @override
    def keeps_notes(self) -> bool:
        return self._inner.keeps_notes

    @override
    def translates(self, leaf: Leaf) -> bool:
        return self._inner.translates(leaf)

    @override
    def flush(self) -> None:
        self._inner.flush()

    @override
    def doubled(self, where: Filter | None = None) -> int:
        return self._inner.doubled(self._theirs(where))

    @override
    def indexed(self) -> int:
        return self._inner.indexed()

    @override
    def settle(self, *, seconds: float = 60.0) -> int:
        return self._inner.settle(seconds=seconds)

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        raise self._read_only_error()

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        results = self._inner._search(queries, k=k, where=self._theirs(where), effort=effort)
        return [
            [replace(hit, fields=self._renamed(hit.id, hit.fields)) for hit in hits]
            for hits in results
        ]

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        records = self._inner._get(ids, vectors=vectors)
        return {id_: self._record(record) for id_, record in records.items()}

    @override
    def _delete(self, ids: Sequence[str]) -> None:
        raise self._read_only_error()

    @override
    def _count(self, where: Filter | None) -> int:
        return self._inner._count(self._theirs(where))

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        records = self._inner._iterate(self._theirs(where), vectors=vectors, batch=batch)
        return map(self._record, records)

    @override
    def _plan(self, where: Where | None) -> Plan:
        """Use imgsearch's names only, because records have no others."""
        if where is None:
            return super()._plan(None)
        ours = {theirs: ours for ours, theirs in self._names.items()}
        return super()._plan(renamed(to_filter(where), ours))

    def _theirs(self, where: Filter | None) -> Filter | None:
        """Return a filter with the collection's own field names.

        Raises:
            FieldInvalid: the collection cannot filter on a field of the filter.
        """
        if where is None:
            return None
        theirs = renamed(where, self._names)
        check_filter(self._inner.schema, theirs)
        return theirs

    def _record(self, record: Record) -> Record:
        return replace(record, fields=self._renamed(record.id, record.fields))

    def _renamed(self, id_: str, fields: Mapping[str, Value]) -> dict[str, Value]:
        known = {**fields, self.key: id_} if self.key in self._names.values() else fields
        replaced = {*self._names, *self._names.values()}
        others = {name: value for name, value in fields.items() if name not in replaced}
        ours = {name: known[theirs] for name, theirs in self._names.items() if theirs in known}
        return {**others, **ours}

    def _read_only_error(self) -> SchemaMismatch:
        return SchemaMismatch(
            f"collection {self.name!r} cannot be written: it was opened with field names. "
            "Open it without them."
        )
