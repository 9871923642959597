"""Collections whose fields have other names than ours, as other programs fill them: read only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from imgsearch.backends.checks import check_filter
from imgsearch.backends.collection import Collection
from imgsearch.errors import FieldInvalid, SchemaMismatch
from imgsearch.filters import Filter, renamed
from imgsearch.types import Hit, Matrix, Record, Value


@dataclass(frozen=True, slots=True)
class FieldNames:
    """How a collection calls its fields, None where as ours do.

    `id` is the primary key and `vector` the vector that is searched, which has to be named where
    there are several. `path` and `label` are what hits and records then hold as "path" and "label".
    """

    id: str | None = None
    vector: str | None = None
    path: str | None = None
    label: str | None = None

    def __bool__(self) -> bool:
        """Tell whether any is named."""
        return any((self.id, self.vector, self.path, self.label))

    def require_fixed(self, collection: str) -> None:
        """Refuse names for key and vector where the collection's are "id" and "vector".

        Raises:
            FieldInvalid: `id` or `vector` is another name.
        """
        for what, name, fixed in (("key", self.id, "id"), ("vector", self.vector, "vector")):
            if name not in (None, fixed):
                raise FieldInvalid(
                    f"the {what} of collection {collection!r} is the field {fixed!r}, not {name!r}"
                )

    def given(self) -> dict[str, str]:
        """Return our name → the collection's name for what hits hold."""
        names = {"path": self.path, "label": self.label}
        return {ours: theirs for ours, theirs in names.items() if theirs}


class NamedCollection(Collection):
    """A collection read by other field names; filters take the collection's own names, too."""

    def __init__(self, inner: Collection, names: FieldNames) -> None:
        self._inner, self._names = inner, names.given()
        own = inner.schema.fields
        fields = {**own, **{ours: own.get(name, "str") for ours, name in self._names.items()}}
        schema = replace(inner.schema, fields=fields)
        super().__init__(inner.name, schema, foreign=inner.foreign)
        self.key, self.prefixes = inner.key, inner.prefixes

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
        raise self._read_only()

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        found = self._inner._search(queries, k=k, where=self._theirs(where), effort=effort)
        return [
            [replace(hit, fields=self._renamed(hit.id, hit.fields)) for hit in hits]
            for hits in found
        ]

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        found = self._inner._get(ids, vectors=vectors)
        return {id_: self._record(record) for id_, record in found.items()}

    @override
    def _delete(self, ids: Sequence[str]) -> None:
        raise self._read_only()

    @override
    def _count(self, where: Filter | None) -> int:
        return self._inner._count(self._theirs(where))

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        found = self._inner._iterate(self._theirs(where), vectors=vectors, batch=batch)
        return map(self._record, found)

    def _theirs(self, where: Filter | None) -> Filter | None:
        """Return a filter in the collection's own names.

        Raises:
            FieldInvalid: one of them cannot be filtered on.
        """
        if where is None:
            return None
        theirs = renamed(where, self._names)
        check_filter(self._inner.schema, theirs, prefixes=self.prefixes)
        return theirs

    def _record(self, record: Record) -> Record:
        return replace(record, fields=self._renamed(record.id, record.fields))

    def _renamed(self, id_: str, fields: Mapping[str, Value]) -> dict[str, Value]:
        known = {**fields, self.key: id_} if self.key in self._names.values() else fields
        taken = {*self._names, *self._names.values()}
        others = {name: value for name, value in fields.items() if name not in taken}
        ours = {name: known[theirs] for name, theirs in self._names.items() if theirs in known}
        return {**others, **ours}

    def _read_only(self) -> SchemaMismatch:
        return SchemaMismatch(
            f"collection {self.name!r} is read by other field names, so nothing is written to it. "
            "Open it without them."
        )
