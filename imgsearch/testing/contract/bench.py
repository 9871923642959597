"""The store that a contract test uses, with collections that are dropped after the test."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from imgsearch.backends import Collection, FieldNames, Index, Metric, Schema, VectorBackend, connect
from imgsearch.errors import CollectionNotFound
from imgsearch.fields import FieldType
from imgsearch.types import Fingerprint, Record, Value, Vector

_numbers = itertools.count()

NASTY = [
    "it's",
    'say "hi"',
    "back\\slash",
    "C:\\new\\table",
    "line\nbreak",
    "carriage\r\nreturn",
    "tab\there",
    "\x01\x08\x0c\x1f control",
    "图片/金鱼 №1.jpg",
    "🐟👩‍👩‍👧",
    "שלום עולם",
    "100% of %s {0} {{x}}",
    "' or 1 == 1 or '",
    '"] or id != "',
    "a; DROP TABLE images; --",
    "$meta",
    "\u2028separators\x85",
    " leading and trailing ",
    "é is not e\u0301",
    "x" * 1_000,
]
"""Twenty texts that reveal errors in quoting, escaping or encoding."""


FOREIGN: Final[list[dict[str, Any]]] = [
    {"file": "/fotos/ü1.jpg", "class": "猫", "year": 1999},
    {"file": "/fotos/2.jpg", "class": "hund", "year": 2003},
    {"file": "/fotos/3.jpg", "class": "hund", "year": 2011},
]
"""The fields of the rows in a foreign collection. Ids are "1", "2" and "3"."""


def vector(*values: float) -> Vector:
    """Return a vector, float32, shape (d,)."""
    return np.array(values, dtype=np.float32)


def unit(index: int, dim: int = 4) -> Vector:
    """Return the unit vector along axis `index`, modulo `dim`."""
    return np.eye(dim, dtype=np.float32)[index % dim]


def records(names: Iterable[str], *, dim: int = 4) -> list[Record]:
    """Return one record for each name, with the vector (1, i, 0, …) and the field ``n`` = i."""
    return [Record(name, vector(1, i, *[0] * (dim - 2)), {"n": i}) for i, name in enumerate(names)]


@dataclass
class Bench:
    """A connected `store`, with its name in the tests, its URL and its token.

    `create_foreign` creates a collection as another program would. It takes store, name and
    dimension.
    """

    name: str
    url: str
    store: VectorBackend
    token: str | None = None
    create_foreign: Callable[[VectorBackend, str, int], None] | None = None
    created: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    kept: ClassVar[dict[tuple[str, str | None], set[str]]] = {}

    def new_name(self) -> str:
        """Return an unused collection name. `clear` drops the collection."""
        self.created.append(f"t{next(_numbers)}_{np.random.default_rng().integers(10**9)}")
        return self.created[-1]

    def new_alias(self) -> str:
        """Return an unused alias. `clear` drops it."""
        self.aliases.append(f"a{next(_numbers)}_{np.random.default_rng().integers(10**9)}")
        return self.aliases[-1]

    def collection(
        self,
        *,
        dim: int = 4,
        metric: Metric = "cosine",
        index: str = "flat",
        fields: Mapping[str, FieldType] | None = None,
        encoder: Fingerprint | None = None,
    ) -> Collection:
        """Create an empty collection. By default it has one declared field, the integer ``n``."""
        declared: Mapping[str, FieldType] = {"n": "int"} if fields is None else fields
        schema = Schema(dim, metric, Index.parse(index), declared, encoder)
        return self.store.create(self.new_name(), schema)

    def bits(self, *, dim: int, index: str = "flat") -> Collection:
        """Create an empty collection of vectors of `dim` bits.

        Raises:
            IndexRefused: the store does not compare bits.
        """
        return self.collection(dim=dim, metric="hamming", index=index)

    def empty(self, *, fields: Mapping[str, FieldType] | None = None) -> Collection:
        """Return an empty collection with 4 dimensions. Tests must not write to it.

        All tests share it, because a server takes 2 s to create a collection.
        """
        declared: Mapping[str, FieldType] = {"n": "int"} if fields is None else fields
        name = f"empty_{'_'.join(f'{field}_{kind}' for field, kind in declared.items())}"
        self.kept.setdefault((self.url, self.token), set()).add(name)
        collection = self.store.create(name, Schema(4, index=Index("flat"), fields=declared))
        if collection.count():
            raise AssertionError("an earlier test wrote rows into the shared empty collection")
        return collection

    def add_fields(self, name: str, fields: Mapping[str, FieldType]) -> Collection:
        """Declare further fields of a collection; see `VectorBackend.add_fields`."""
        return self.store.add_fields(name, fields)

    def foreign(self, *, dim: int = 4) -> str:
        """Create a collection as another program would, with the rows `FOREIGN`. Returns its name.

        Its metric is L2, and its vectors are unit vectors. On Milvus the key and the vector have
        other names, and there is a dynamic field "note".

        Raises:
            LookupError: `create_foreign` is not set.
        """
        if self.create_foreign is None:
            raise LookupError(f"no other program writes to {self.url}")
        name = self.new_name()
        self.create_foreign(self.store, name, dim)
        return name

    def names(self, **others: str) -> FieldNames:
        """Return the field names of a `foreign` collection, with changes in `others`."""
        milvus = {"id": "pk", "vector": "emb"} if self.name.startswith("milvus") else {}
        return FieldNames(**{**milvus, "path": "file", "label": "class", **others})

    def reopen(self) -> None:
        """Close the store and connect again."""
        self.store.close()
        self.store = connect(self.url, token=self.token)

    def clear(self) -> None:
        """Drop the test's collections and aliases, and close the store."""
        for alias in self.aliases:
            with suppress(CollectionNotFound):
                self.store.drop_alias(alias)
        for name in self.created:
            with suppress(CollectionNotFound):
                self.store.drop(name)
        self.store.close()


def clear_kept() -> None:
    """Drop the collections that tests share; see `Bench.empty`."""
    for (url, token), names in Bench.kept.items():
        with connect(url, token=token) as store:
            for name in names & set(store.names()):
                store.drop(name)
    Bench.kept.clear()


def ids(hits: Iterable[object]) -> list[str]:
    """Return the ids of hits or records, in order."""
    return [hit.id for hit in hits]  # type: ignore[attr-defined]  # hits and records have an id


def nasty_records() -> list[Record]:
    """Return a record for each text in `NASTY`, in the fields ``text`` and ``other``."""
    fields: list[dict[str, Value]] = [
        {"text": text, "other": text, "n": i} for i, text in enumerate(NASTY)
    ]
    return [Record(f"r{i}", vector(1, i, 0, 0), f) for i, f in enumerate(fields)]
