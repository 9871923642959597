"""Search request bodies. Image files are sent unchanged, pixel arrays as PNG."""

import base64
import io
from collections.abc import Sequence
from os import PathLike, fsdecode
from typing import Any, Final

import numpy as np

from imgsearch import images
from imgsearch.errors import ConfigError
from imgsearch.images import sources
from imgsearch.query import Example, Query, SearchOptions, Term
from imgsearch.wire.requests import (
    QueryBody,
    SearchForm,
    SearchParameters,
    SearchQuery,
    build,
    to_json,
)
from imgsearch.wire.values import MAX_QUERIES

_BYTES: Final = 12 * 2**20  # of base64 per request; services accept 16 MB of JSON


def request_body(
    query: Query | Example, options: SearchOptions, *, collection: str
) -> dict[str, Any]:
    """Return arguments of `Connection.json` for a search: a form for a single image, else JSON.

    Raises:
        SourceError: an image cannot be read.
        ImageError: an array is not an image.
        ConfigError: the query is empty, contains a vector, or exceeds a limit of services.
        FieldInvalid: the filter is larger than services accept.
    """
    whole = query if isinstance(query, Query) else Query(query)
    first, *others = whole.terms
    if first.kind != "image" or others or first.weight < 0:
        return {"json": search_query(whole, options, collection=collection)}
    form = build(SearchForm, **_parameters(options, collection)).form()
    return {"files": {"file": ("query", _bytes(first))}, "data": form}


def search_query(
    query: Query | Example, options: SearchOptions, *, collection: str
) -> dict[str, Any]:
    """Return a search as JSON values. Raises the errors of `request_body`."""
    whole = query if isinstance(query, Query) else Query(query)
    terms = [_term(term) for term in whole.terms]
    return to_json(SearchQuery, **_parameters(options, collection), terms=terms)


def query_body(query: Query | Example) -> dict[str, Any]:
    """Return a query without options as JSON values. Raises the errors of `request_body`."""
    whole = query if isinstance(query, Query) else Query(query)
    return to_json(QueryBody, terms=[_term(term) for term in whole.terms])


def similar_query(id_: str, options: SearchOptions, *, collection: str) -> dict[str, Any]:
    """Return the search for images like a stored one as JSON values.

    Raises:
        ConfigError, FieldInvalid: as for `request_body`.
    """
    return to_json(SearchQuery, **_parameters(options, collection), id=id_)


def compared(image: Example) -> bytes:
    """Return an image to compare as file bytes. Raises the errors of `request_body`."""
    return _bytes(Query.image(image).terms[0])


def batches(
    queries: Sequence[dict[str, Any]], *, most: int = MAX_QUERIES
) -> list[list[dict[str, Any]]]:
    """Split queries into lists that fit into one request each, of at most `most`."""
    parts: list[list[dict[str, Any]]] = []
    size = 0
    for query in queries:
        large = sum(len(term.get("image", "")) for term in query["terms"])
        if not parts or len(parts[-1]) >= most or size + large > _BYTES:
            parts.append([])
            size = 0
        parts[-1].append(query)
        size += large
    return parts


def _parameters(options: SearchOptions, collection: str) -> dict[str, Any]:
    return {"collection": collection, **SearchParameters.values_of(options)}


def _term(term: Term) -> dict[str, Any]:
    if term.kind == "text":
        return {"text": term.value, "weight": term.weight}
    return {"image": base64.b64encode(_bytes(term)).decode(), "weight": term.weight}


def _bytes(term: Term) -> bytes:
    """Return an image term as file bytes; an array is encoded as PNG."""
    match term.value:
        case bytes():
            return term.value
        case str() | PathLike():
            return sources.read(fsdecode(term.value))
        case np.ndarray() if term.kind == "image":
            return _png(term.value)
    raise ConfigError("services accept no vectors. Send the image or the text instead.")


def _png(pixels: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(images.checked(pixels)).save(file, "PNG", compress_level=1)
    return file.getvalue()
