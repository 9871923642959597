"""Filters that match texts in both Unicode forms, composed (NFC) and decomposed (NFD)."""

import unicodedata
from functools import reduce
from itertools import product
from math import prod
from typing import Final

from imgsearch.filters.tree import Compare, Filter, In, Leaf, Not, Or, StartsWith, with_leaves
from imgsearch.types import Value

_MOST_FORMS: Final = 64  # limit for one text: 2 ** 6, a path with six non-ASCII parts


def composed(text: str) -> str:
    """Return a text in composed form (NFC). macOS stores é decomposed, as e and an accent (NFD)."""
    return unicodedata.normalize("NFC", text)


def in_any_form(where: Filter) -> Filter:
    """Return a filter that also matches texts stored in the other Unicode form (NFC or NFD).

    Labels are stored in NFC. Paths keep the form that the file system uses, and older collections
    hold labels in either form. ``<``, ``<=``, ``>`` and ``>=`` do not change.
    """
    return with_leaves(where, _in_any_form)


def _in_any_form(leaf: Leaf) -> Filter:
    match leaf:
        case In(name, values):
            return In(name, tuple(form for value in values for form in forms(value)))
        case StartsWith(name, prefix):
            prefixes: list[Filter] = [StartsWith(name, str(form)) for form in forms(prefix)]
            return reduce(Or, prefixes)
        case Compare(name, "==" | "!=" as operation, value) if len(forms(value)) > 1:
            equal = In(name, tuple(forms(value)))
            return equal if operation == "==" else Not(equal)
    return leaf


def forms(value: Value) -> list[Value]:
    """Return a value; for a text, also its composed and decomposed forms (NFC and NFD).

    Each folder or file name in a path may have its own form, so all combinations are returned. A
    path with more than 64 combinations is converted as a whole.
    """
    if not isinstance(value, str) or value.isascii():
        return [value]
    parts = [_both(part) for part in value.split("/")]
    if prod(map(len, parts)) > _MOST_FORMS:
        parts = [_both(value)]
    return list(dict.fromkeys((value, *map("/".join, product(*parts)))))


def _both(text: str) -> list[str]:
    return list({unicodedata.normalize(form, text): None for form in ("NFC", "NFD")})
