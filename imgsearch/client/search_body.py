"""Search request bodies. Image files are sent unchanged, pixel arrays as PNG."""

import base64
import io
import json
from os import PathLike, fsdecode
from typing import Any, Final, Literal

import numpy as np

from imgsearch import images
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter
from imgsearch.images import sources
from imgsearch.query import Example, Query, Term
from imgsearch.types import check_breadth, check_score
from imgsearch.wire import filters

_QUERIES: Final = 32  # per request, the limit of services
_BYTES: Final = 12 * 2**20  # of base64 per request; services accept 16 MB of JSON


def options_to_json(
    *,
    k: int,
    offset: int,
    where: Filter | None,
    min_score: float | Literal["auto"] | None,
    hide_duplicates: bool | float,
) -> dict[str, Any]:
    """Return search options as JSON values.

    Raises:
        ConfigError: a number is out of range or not finite.
        FieldInvalid: the filter is larger than services accept.
    """
    check_breadth(k, offset)
    if not isinstance(hide_duplicates, bool):
        check_score("hide_duplicates", hide_duplicates)
    if min_score not in (None, "auto"):
        check_score("min_score", min_score)
    options: dict[str, Any] = {"k": k, "offset": offset, "hide_duplicates": hide_duplicates}
    if where is not None:
        options["where"] = filters.to_json(where)
    if min_score is not None:
        options["min_score"] = min_score
    return options


def request_body(query: Query | Example, options: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of `Connection.json` for a search: a form for a single image, else JSON.

    Raises:
        SourceError: an image cannot be read.
        ImageError: an array is not an image.
        ConfigError: the query is empty, or contains a vector.
    """
    whole = query if isinstance(query, Query) else Query(query)
    first, *others = whole.terms
    if first.kind != "image" or others or first.weight < 0:
        return {"json": to_json(whole, options)}
    form = {name: value if name == "collection" else json.dumps(value)
            for name, value in options.items()}  # fmt: skip
    if options.get("min_score") == "auto":
        form["min_score"] = "auto"
    return {"files": {"file": ("query", _bytes(first))}, "data": form}


def to_json(query: Query, options: dict[str, Any]) -> dict[str, Any]:
    """Return a search as JSON values. Raises the errors of `request_body`."""
    return {**options, "terms": [_term(term) for term in query.terms]}


def batches(queries: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Split searches into lists that fit into one request each."""
    parts: list[list[dict[str, Any]]] = []
    size = 0
    for query in queries:
        large = sum(len(term.get("image", "")) for term in query["terms"])
        if not parts or len(parts[-1]) >= _QUERIES or size + large > _BYTES:
            parts.append([])
            size = 0
        parts[-1].append(query)
        size += large
    return parts


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
