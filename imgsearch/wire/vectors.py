"""Requests for vectors and their responses: of queries, and of stored images."""

import base64
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from pydantic import ConfigDict, Field

from imgsearch.types import Matrix
from imgsearch.wire.requests import QueryBody
from imgsearch.wire.responses import unexpected_response
from imgsearch.wire.values import (
    CAT,
    MAX_EMBED,
    MAX_IDS,
    CollectionName,
    Id,
    RequestBody,
    ResponseBody,
)

Encoding = Literal["float", "base64"]
_FORM: Final = np.dtype("<f4")  # float32, little-endian

_ENCODING: Final = "lists of numbers, or base64 of float32 values, little-endian"


class EmbedRequest(RequestBody):
    """Queries whose vectors are returned: texts, images, stored images, or sums of these."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"items": [{"text": "a dog"}]}]}
    )
    items: list[QueryBody] = Field(max_length=MAX_EMBED)
    collection: CollectionName = "images"
    encoding: Encoding = Field("float", description=_ENCODING)


class VectorsRequest(RequestBody):
    """Request for the vectors of stored images, by their ids."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": [CAT]}]})
    ids: list[Id] = Field(min_length=1, max_length=MAX_IDS)
    encoding: Encoding = Field("float", description=_ENCODING)


class Vectors(ResponseBody):
    """Vectors in the order of the request: float32, of unit length unless the metric is "ip".

    A stored image without a vector has null.
    """

    vectors: list[list[float] | str | None]
    dim: int = Field(examples=[384])
    warnings: list[str] = Field([], description="parts of a text that the encoder does not know")


def encoded(vectors: Matrix, encoding: Encoding) -> list[list[float] | str]:
    """Return vectors, float32 (n, d), in the form of a response."""
    if encoding == "float":
        return [list(map(float, vector)) for vector in vectors]
    rows = np.ascontiguousarray(vectors, dtype=_FORM)
    return [base64.b64encode(row.tobytes()).decode() for row in rows]


def decoded(vectors: Sequence[list[float] | str | None], dim: int) -> list[Matrix | None]:
    """Return the vectors of a response, each float32 (d,), or None where there is none.

    Raises:
        BackendError: a vector is invalid.
    """
    try:
        rows = [None if vector is None else _decoded(vector) for vector in vectors]
    except ValueError as error:
        raise unexpected_response("a vector is not base64") from error
    if any(row is not None and row.shape != (dim,) for row in rows):
        raise unexpected_response(f"a vector has not {dim} numbers")
    return rows


def _decoded(vector: list[float] | str) -> Matrix:
    if isinstance(vector, str):
        data = base64.b64decode(vector, validate=True)
        return np.frombuffer(data, dtype=_FORM).astype(np.float32)
    return np.asarray(vector, dtype=np.float32)
