"""Id, vector and fields → row in a collection."""

from collections.abc import Mapping
from os.path import lexists
from typing import Any

from imgsearch.backends import Index, Schema, VectorBackend, connect, versions
from imgsearch.encoders import DEFAULT, Recipe, load
from imgsearch.encoders.embedding import Chunk
from imgsearch.fields import FieldType
from imgsearch.images.sources import is_content_id, label_text, printable
from imgsearch.towhee import BatchOperator
from imgsearch.types import Record, Value


class VectorInsert(BatchOperator):
    """Write vectors from the encoder `model` into a collection, which is created if necessary.

    Without a `url` it writes chunks, which know where to.
    """

    def __init__(
        self,
        url: str | None = None,
        collection: str = "images",
        *,
        model: str = DEFAULT,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
        index: str = "hnsw",
        metric: Any = "cosine",
        fields: tuple[str, ...] = ("path", "label"),
        types: Mapping[str, FieldType] | None = None,
    ) -> None:
        self._names = fields
        self._backend: VectorBackend | None = None
        if url is None:
            return
        encoder = load(model, weights=weights, options=options).fingerprint
        recipe = Recipe.of(model, weights, options)
        schema = Schema(
            encoder.dim,
            metric,
            Index.parse(index),
            {name: (types or {}).get(name, "str") for name in fields},
            encoder,
            recipe.to_json(),
        )
        self._backend = connect(url)
        try:
            self._collection = versions.create(self._backend, collection, schema)
        except BaseException:
            self._backend.close()
            raise

    def __call__(self, ids: list[Any], vectors: list[Any], *fields: list[Any]) -> list[Any]:
        """Write the rows, replacing rows with the same id; return the ids, which are searchable.

        In place of ids there may be chunks, and record batches in place of vectors; the result is
        then what the chunks' `write` returns.

        If an id is a content hash, the first file with that content is kept, as in a library: a row
        for another file is not written while the first file exists.
        """
        if isinstance(ids[0], Chunk):
            return [chunk.write(rows) for chunk, rows in zip(ids, vectors, strict=True)]
        columns = zip(self._names, fields, strict=True)
        texts = [[_stored(name, value) for value in column] for name, column in columns]
        records: dict[str, Record] = {}
        for id_, vector, *row in zip(ids, vectors, *texts, strict=True):
            if not (id_ in records and is_content_id(id_)):
                records[id_] = Record(id_, vector, dict(zip(self._names, row, strict=True)))
        self._collection.upsert(self._firsts(records))
        return ids

    def _firsts(self, records: Mapping[str, Record]) -> list[Record]:
        """Return the records except copies of stored files that still exist."""
        if "path" not in self._names:
            return list(records.values())
        known = self._collection.get([id_ for id_ in records if is_content_id(id_)])
        paths = {id_: str(record.fields.get("path", "")) for id_, record in known.items()}
        copies = {
            id_
            for id_, path in paths.items()
            if records[id_].fields["path"] != path and lexists(path)
        }
        return [record for id_, record in records.items() if id_ not in copies]

    def close(self) -> None:
        """Close the store."""
        if self._backend is not None:
            self._backend.close()


def _stored(name: str, value: Value) -> Value:
    """Return a value in its stored form. Labels are NFC-normalized."""
    if not isinstance(value, str):
        return value
    return label_text(value) if name == "label" else printable(value)


vector_insert = VectorInsert  # the name that Towhee looks for
