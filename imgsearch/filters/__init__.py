"""Filters on collection fields, in three forms: an expression, a text or a dictionary.

    Field("label").isin(["cat", "dog"]) & (Field("year") >= 2019)
    "label in ('cat', 'dog') and year >= 2019"
    {"label": ["cat", "dog"], "year": {">=": 2019}}

Each backend translates the expression tree; `text` and `mapping` describe the other two forms. Only
fields that the collection's schema declares can be filtered on.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from imgsearch.errors import FieldInvalid
from imgsearch.filters.forms import composed, forms, in_any_form
from imgsearch.filters.tree import (
    And,
    Compare,
    Field,
    Filter,
    Glob,
    In,
    IsNull,
    Leaf,
    Not,
    Operation,
    Or,
    StartsWith,
    Under,
    comparisons,
    leaves,
    matches,
    matches_sparse,
    renamed,
    with_leaves,
)

Where: TypeAlias = Filter | str | Mapping[str, Any]
"""A filter in one of its three forms."""

__all__ = [
    "And",
    "Compare",
    "Field",
    "Filter",
    "Glob",
    "In",
    "IsNull",
    "Leaf",
    "Not",
    "Operation",
    "Or",
    "StartsWith",
    "Under",
    "Where",
    "comparisons",
    "composed",
    "forms",
    "in_any_form",
    "leaves",
    "matches",
    "matches_sparse",
    "renamed",
    "to_filter",
    "with_leaves",
]


def to_filter(where: Where) -> Filter:
    """Return a filter as an expression. A text that begins with "{" is JSON.

    >>> to_filter("label = cat") == to_filter({"label": "cat"}) == (Field("label") == "cat")
    True

    Raises:
        FieldInvalid: `where` is not a filter. The message has the column of a text, or the JSON
            pointer (RFC 6901) of a dictionary.
    """
    if isinstance(where, Filter):
        return where
    if isinstance(where, str) and not where.lstrip().startswith("{"):
        from imgsearch.filters.text import parse

        return parse(where)
    if isinstance(where, str | Mapping):
        from imgsearch.filters.mapping import from_json

        return from_json(where)
    example = 'where="label = \'cat\'", where={"label": "cat"} or where=Field("label") == "cat"'
    kind = type(where).__name__
    raise FieldInvalid(f"a filter is an expression, a text or a dict, not {kind}: {example}")
