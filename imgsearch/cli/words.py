"""Words of the command line → values: conditions, scores and other numbers."""

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
    """A finite number in a range; click's own ranges let NaN through."""

    name = "number"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return float(number)


def filtered(words: tuple[str, ...]) -> Filter | None:
    """Return ``FIELD=TEXT`` and ``FIELD!=TEXT`` words as one filter: all must hold.

    ``==`` is ``=``, and spaces around the sign do not count. Quotes around the text are taken off,
    so a text may begin or end with a space, with ``=`` or with a quote.

    Raises:
        click.BadParameter: a word is something else.
    """
    where: Filter | None = None
    for word in words:
        condition = _condition(word)
        where = condition if where is None else where & condition
    return where


def typed(where: Filter | None, fields: Mapping[str, str]) -> Filter | None:
    """Return a filter whose texts are values of the types that a collection declares.

    Raises:
        click.BadParameter: a text is no value of its field's type.
    """
    match where:
        case And(left, right):
            return typed(left, fields) & typed(right, fields)  # type: ignore[operator]  # filters
        case Compare(name, operation, str(text)) if fields.get(name) in _TYPES:
            try:
                return Compare(name, operation, _TYPES[fields[name]](text))
            except (ValueError, KeyError):
                raise click.BadParameter(
                    f"{text!r} is no {fields[name]}, which the field {name!r} holds",
                    param_hint="--where",
                ) from None
    return where


def _condition(word: str) -> Filter:
    match = _CONDITION.fullmatch(word)
    if match is None or match[3].startswith("="):
        raise click.BadParameter(
            f"{word!r} is not FIELD=TEXT or FIELD!=TEXT, as in label=cat; a text that begins with "
            "= goes in quotes: label='\"=cat\"'",
            param_hint="--where",
        )
    field, text = Field(match[1]), match[3]
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1]
    return field != text if match[2] == "!=" else field == text


def score(
    _context: click.Context, _option: click.Parameter, word: str | None
) -> float | Literal["auto"] | None:
    """Return a word as a finite score, or "auto"; click's callback.

    Raises:
        click.BadParameter: it is neither.
    """
    if word is None or word == "auto":
        return word  # type: ignore[return-value]  # mypy 2 does not narrow str by ==
    try:
        number = float(word)
    except ValueError as error:
        raise click.BadParameter(f"{word!r} is no number, nor auto") from error
    if not math.isfinite(number):
        raise click.BadParameter(f"{word!r} is no finite number")
    return number
