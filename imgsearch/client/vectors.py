"""Vectors of a service: of texts and images, and of the images in a collection."""

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
from typing_extensions import override

from imgsearch.client import search_body
from imgsearch.client.contents import ServiceContents
from imgsearch.errors import BackendError
from imgsearch.library.query_downloads import all_downloaded
from imgsearch.query import Example, Query
from imgsearch.types import Matrix, Record
from imgsearch.wire.requests import to_json
from imgsearch.wire.responses import Image
from imgsearch.wire.values import MAX_EMBED
from imgsearch.wire.vectors import EmbedRequest, Vectors, VectorsRequest, decoded


class ServiceVectors(ServiceContents):
    """The part of a client that receives vectors."""

    @override
    def embed(
        self, items: Sequence[Query | Example], *, url_hosts: Sequence[str] | None = ()
    ) -> Matrix:
        """Return the vectors of images and texts, float32 (n, d); see `Library.embed`.

        The service embeds the items, in few requests, and keeps none of them.

        Raises:
            SourceError, ImageError: an image cannot be read; nothing is returned.
            TextUnsupported: an item is a text, and the encoder takes images only.
            ConfigError: an item is invalid, or has a vector.
        """
        bodies = [search_body.query_body(item) for item in all_downloaded(items, url_hosts)]
        parts = search_body.batches(bodies, most=MAX_EMBED) or [[]]
        return np.concatenate([self._embed(part) for part in parts])

    @override
    def to_parquet(self, file: str | PathLike[str]) -> int:
        """Write ids, vectors and fields to a parquet file; see `Library.to_parquet`.

        The images are read in pages of 500, twice. Each has a row, so images with the same bytes
        have equal vectors. Their `path` is the name. Images that are added meanwhile may be
        missing.

        Raises:
            CollectionNotFound: nothing was added yet.
            SourceError: the file cannot be written.
        """
        from imgsearch.library.exports import to_parquet  # loads pyarrow.parquet

        about = self._info()

        def read(*, vectors: bool) -> Iterator[Record]:
            for page in self._pages(state="ready"):
                rows: Sequence[Any] = [np.empty(0, np.float32)] * len(page)
                if vectors:
                    rows = self._vectors(page)
                for image, vector in zip(page, rows, strict=True):
                    if vector is not None:
                        fields = {**image.fields, "path": image.name, "label": image.label}
                        yield Record(image.id, vector, fields)

        return to_parquet(file, read, name=self.name, about=about.model_dump())

    def _vectors(self, images: Sequence[Image]) -> list[Matrix | None]:
        """Return the vectors of a page of images, None for one without a vector."""
        if not images:
            return []
        body = to_json(VectorsRequest, ids=[image.id for image in images], encoding="base64")
        result = self._connection.json(
            Vectors, "POST", "/v1/images/vectors", repeat=True, json=body
        )
        return decoded(result.vectors, result.dim)

    def _embed(self, items: Sequence[dict[str, Any]]) -> Matrix:
        body = to_json(EmbedRequest, items=items, collection=self.name, encoding="base64")
        result = self._connection.json(Vectors, "POST", "/v1/embed", repeat=True, json=body)
        rows = [row for row in decoded(result.vectors, result.dim) if row is not None]
        if len(rows) != len(items):
            raise BackendError(f"the service returned {len(rows)} vectors for {len(items)} items")
        return np.array(rows, np.float32).reshape(-1, result.dim)
