"""Formats and parses text: counts with nouns, spelling suggestions, URLs, JSON."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

_REMOVED = {"mini": "lite"}  # encoder of an earlier version → its successor
_USER = re.compile(r"(?<=://)[^/?#\s]*@")  # user and password of a URL
_AFTER_ES = ("s", "x", "z", "ch", "sh")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 image", "1,000 images", "2 queries".

    Give an irregular `plural`, as in `counted(n, "file is", "files are")`.
    """
    return f"{number:,} {noun if number == 1 else plural or _plural(noun)}"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "; did you mean A or B?" with `known` names similar to `word`, or ""."""
    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(str(word).strip().casefold(), names)
    return f"; did you mean {' or '.join(names[name] for name in near)}?" if near else ""


def without_password(text: str) -> str:
    """Return a text whose URLs have no user and password.

    >>> without_password("http://ada:secret@example.org/a.jpg")
    'http://example.org/a.jpg'
    """
    return _USER.sub("", text)


def removal_advice(model: str) -> str:
    """Return a line of advice if `model` is an encoder that was removed, otherwise ""."""
    name = model.strip().casefold()
    if name not in _REMOVED:
        return ""
    return (
        f"the encoder {name!r} was removed from imgsearch. Add the images again to a new "
        f"collection, which {_REMOVED[name]} embeds: imgsearch add SOURCE --collection NAME. "
        "Searches by vectors still work."
    )


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(_AFTER_ES) else f"{noun}s"


def load_json(text: str | bytes) -> Any:
    """Parse a JSON text, like `json.loads`.

    Raises:
        ValueError: the text is not JSON, or is nested too deeply. `json.loads` raises
            RecursionError for deep nesting.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
