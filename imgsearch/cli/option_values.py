"""Parsers for option values: numbers, scores and --where conditions."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import click
from typing_extensions import override

from imgsearch.filters import And, Compare, Field, Filter
from imgsearch.types import Value

_CONDITION: Final = re.compile(r"\s*([^\s=!<>]+)\s*(==|!=|=)\s*(.*?)\s*", re.DOTALL)
_TYPES: Final[Mapping[str, Callable[[str], Value]]] = {
    "int": int,
    "float": float,
    "bool": {"true": True, "false": False}.__getitem__,
}
_QUOTES: Final = ("'", '"')


class Number(click.FloatRange):
    """A finite number in a range. `click.FloatRange` would accept NaN."""

    name = "number"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return float(number)


def parse_where(words: tuple[str, ...]) -> Filter | None:
    """Parse ``FIELD=TEXT`` and ``FIELD!=TEXT`` arguments into one filter, or None if empty.

    A record has to meet all conditions. ``==`` means ``=``, and whitespace around the operator is
    ignored. Quotes around the text are removed, so a text in quotes may start or end with a space,
    ``=`` or a quote.

    Raises:
        click.BadParameter: an argument has another form.
    """
    where: Filter | None = None
    for word in words:
        condition = _condition(word)
        where = condition if where is None else where & condition
    return where


def with_types(where: Filter | None, fields: Mapping[str, str]) -> Filter | None:
    """Return a filter with its values converted to the types of the collection's fields.

    Raises:
        click.BadParameter: a value does not fit its field's type.
    """
    return None if where is None else _converted(where, fields)


def _converted(where: Filter, fields: Mapping[str, str]) -> Filter:
    match where:
        case And(left, right):
            return And(_converted(left, fields), _converted(right, fields))
        case Compare(name, operation, str(text)) if fields.get(name) in _TYPES:
            try:
                return Compare(name, operation, _TYPES[fields[name]](text))
            except (ValueError, KeyError):
                raise click.BadParameter(
                    f"the field {name!r} holds {fields[name]}, not {text!r}",
                    param_hint="--where",
                ) from None
    return where


def _condition(word: str) -> Filter:
    match = _CONDITION.fullmatch(word)
    if match is None or match[3].startswith("="):
        raise click.BadParameter(
            f"{word!r} is not FIELD=TEXT or FIELD!=TEXT, e.g. label=cat. Quote a text that begins "
            "with =, e.g. label='\"=cat\"'.",
            param_hint="--where",
        )
    field, text = Field(match[1]), match[3]
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1]
    return field != text if match[2] == "!=" else field == text


def score(
    _context: click.Context, _option: click.Parameter, word: str | None
) -> float | Literal["auto"] | None:
    """Parse a finite score or "auto"; a click callback.

    Raises:
        click.BadParameter: `word` is neither.
    """
    if word is None or word == "auto":
        return word  # type: ignore[return-value]  # mypy 2 does not narrow str by ==
    try:
        number = float(word)
    except ValueError as error:
        raise click.BadParameter(f"{word!r} is not a number or auto") from error
    if not math.isfinite(number):
        raise click.BadParameter(f"{word!r} is not a finite number")
    return number
