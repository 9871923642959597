"""Parsers for option values: numbers, scores and filters."""

import math
from functools import reduce
from operator import and_
from typing import Any, Literal

import click
from typing_extensions import override

from imgsearch.errors import FieldInvalid
from imgsearch.filters import Filter, to_filter


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
    """Parse filters into one that requires all of them, or None if there are none.

    Raises:
        click.BadParameter: an argument is not a filter.
    """
    try:
        return reduce(and_, map(to_filter, words)) if words else None
    except FieldInvalid as error:
        raise click.BadParameter(str(error), param_hint="--where") from error


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
