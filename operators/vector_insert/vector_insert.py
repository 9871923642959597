"""id, vector and fields → a collection."""

from collections.abc import Mapping
from typing import Any

from imgsearch.backends import Index, Schema, connect
from imgsearch.encoders import Recipe, load
from imgsearch.seam import BatchOperator
from imgsearch.sources import printable
from imgsearch.types import Record, Vector


class VectorInsert(BatchOperator):
    """Write vectors of the encoder `model` into a collection, created if there is none."""

    def __init__(
        self,
        url: str,
        collection: str = "images",
        *,
        model: str = "mini",
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
        index: str = "hnsw",
        metric: Any = "cosine",
        fields: tuple[str, ...] = ("path", "label"),
    ) -> None:
        encoder = load(model, weights=weights, options=options).fingerprint
        recipe = Recipe.of(model, weights, options)
        self._names = fields
        schema = Schema(
            encoder.dim,
            metric,
            Index.parse(index),
            dict.fromkeys(fields, "str"),
            encoder,
            recipe.to_json(),
        )
        self._backend = connect(url)
        try:
            self._collection = self._backend.create(collection, schema)
        except BaseException:
            self._backend.close()
            raise

    def __call__(self, ids: list[str], vectors: list[Vector], *fields: list[str]) -> list[str]:
        """Write the rows, replacing those of the same id; return the ids, searchable now."""
        texts = [[printable(text) for text in column] for column in fields]
        rows = zip(ids, vectors, *texts, strict=True)
        self._collection.upsert(
            [
                Record(id_, vector, dict(zip(self._names, row, strict=True)))
                for id_, vector, *row in rows
            ]
        )
        return ids

    def close(self) -> None:
        """Let go of the store."""
        self._backend.close()
