"""Filters as texts: ``year >= 2019 and label in ('cat', 'dog')``.

    any       := all ("or" all)*
    all       := one ("and" one)*
    one       := "not" one | "(" any ")" | condition
    condition := field ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") value
               | field ["not"] "in" "(" [value ("," value)*] ")"
               | field ["not"] ("startswith" | "contains" | "under" | "like" | "glob") text
               | field "is" ["not"] "null"
    value     := text | number | "true" | "false"
    text      := 'in quotes' | "in quotes" | word

Keywords ignore case, and lists may have square brackets. A word needs no quotes if it has no space,
quote, bracket, comma or sign of a comparison, and is neither a keyword nor a number. In quotes, a
backslash before a quote or a backslash makes it plain.
"""

import re
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, NoReturn, cast

from imgsearch.errors import FieldInvalid
from imgsearch.filters.mapping import DEEPEST, joined, to_json
from imgsearch.filters.tree import (
    And,
    Compare,
    Field,
    Filter,
    In,
    IsNull,
    Not,
    Operation,
    Or,
)
from imgsearch.types import Value

LONGEST: Final = 65_536  # characters; a thousand listed ids of 64 letters fit
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<sign>==|!=|<>|<=|>=|[=<>()\[\],])
      | (?P<word>[^\s()\[\],=<>!'"]+)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_INTEGER: Final = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_OPERATIONS: Final[dict[str, Operation]] = {
    "=": "==", "==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip
_TEXTS: Final = ("startswith", "contains", "under", "like", "glob")
_KEYWORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", *_TEXTS})
_OPERATORS: Final = "=, !=, <, <=, >, >=, in, startswith, contains, under, like, glob or is"
_CLOSING: Final = {"(": ")", "[": "]"}


def parse(text: str) -> Filter:
    """Parse a filter.

    >>> parse("year >= 2019 and not label in ('cat', 'dog')")  # doctest: +ELLIPSIS
    And(left=Compare(field='year', operation='>=', value=2019), right=Not(inner=In(...

    Raises:
        FieldInvalid: the text is not a filter, or exceeds a limit: 65,536 characters, 16 levels,
            1,000 conditions and listed values. The message has the column of the fault, from 1.
    """
    if len(text) > LONGEST:
        raise FieldInvalid(f"filter: {len(text):,} characters, above {LONGEST:,}")
    parser = _Parser(_tokens(text))
    where = parser.any(1)
    parser.end()
    to_json(where)  # its limits hold for texts, too
    return where


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["text", "sign", "word", "keyword", "end"]
    value: str
    column: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return repr(self.value if len(self.value) <= 40 else f"{self.value[:40]}…")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            quote = text[at] in "'\""
            why = f"the quote {text[at]} is not closed" if quote else f"{text[at]!r} is unexpected"
            raise _fault(at + 1, why)
        kind, at = match.lastgroup or "", match.end()
        value, column = match[kind], match.start(kind) + 1
        if kind == "word" and value.lower() in _KEYWORDS:
            kind, value = "keyword", value.lower()
        if kind == "text":
            value = re.sub(r"""\\(['"\\])""", r"\1", value[1:-1])
        tokens.append(_Token(cast(Literal["word"], kind), value, column))
    return tokens


class _Parser:
    """A recursive-descent parser with one method for each rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _accept(self, kind: str, *values: str) -> str:
        """Return the token's value and go on if it is one of `values`, otherwise ""."""
        token = self._token
        if token.kind != kind or token.value not in values:
            return ""
        self._at += 1
        return token.value

    def _refuse(self, expected: str) -> NoReturn:
        raise _fault(self._token.column, f"{expected} is expected, not {self._token}")

    def end(self) -> None:
        if self._token.kind != "end":
            self._refuse("and, or or the end")

    def any(self, depth: int) -> Filter:
        parts = [self._all(depth)]
        while self._accept("keyword", "or"):
            parts.append(self._all(depth))
        return joined(Or, parts)

    def _all(self, depth: int) -> Filter:
        parts = [self._one(depth)]
        while self._accept("keyword", "and"):
            parts.append(self._one(depth))
        return joined(And, parts)

    def _one(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise _fault(self._token.column, f"filters are nested {DEEPEST} deep at most")
        if self._accept("keyword", "not"):
            return Not(self._one(depth + 1))
        if self._accept("sign", "("):
            inner = self.any(depth + 1)
            if not self._accept("sign", ")"):
                self._refuse("and, or or )")
            return inner
        return self._condition()

    def _condition(self) -> Filter:
        if self._token.kind != "word":
            self._refuse("a field")
        name = self._token.value
        self._at += 1
        if sign := self._accept("sign", *_OPERATIONS):
            return Compare(name, _OPERATIONS[sign], self._value())
        if self._accept("keyword", "is"):
            negated = bool(self._accept("keyword", "not"))
            if not self._accept("keyword", "null"):
                self._refuse("null")
            return Not(IsNull(name)) if negated else IsNull(name)
        negated = bool(self._accept("keyword", "not"))
        condition = self._membership(name)
        return Not(condition) if negated else condition

    def _membership(self, name: str) -> Filter:
        if self._accept("keyword", "in"):
            return In(name, self._values())
        operator = self._accept("keyword", *_TEXTS)
        if not operator:
            self._refuse(_OPERATORS)
        column = self._token.column
        text = self._value(words_only=True)
        if not isinstance(text, str):
            raise _fault(column, f"a text is expected after {operator}")
        condition: Filter = getattr(Field(name), operator)(text)
        return condition

    def _values(self) -> tuple[Value, ...]:
        opening = self._accept("sign", *_CLOSING)
        if not opening:
            self._refuse("a list in brackets")
        closing, values = _CLOSING[opening], list[Value]()
        while not self._accept("sign", closing):
            if values and not self._accept("sign", ","):
                self._refuse(f", or {closing}")
            values.append(self._value())
        return tuple(values)

    def _value(self, *, words_only: bool = False) -> Value:
        token = self._token
        if token.kind == "keyword" and token.value == "null":
            raise _fault(token.column, "null is not a value: write `is null` or `is not null`")
        if token.kind not in ("text", "word"):
            self._refuse("a value")
        self._at += 1
        return token.value if token.kind == "text" or words_only else _word(token)


def _word(token: _Token) -> Value:
    """Return the value of a word without quotes: a boolean, a number or a text."""
    word = token.value
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if _INTEGER.fullmatch(word):
        return int(word)
    if not _NUMBER.fullmatch(word):
        return word
    if not isfinite(number := float(word)):
        raise _fault(token.column, f"the number {token} is too large")
    return number


def _fault(column: int, why: str) -> FieldInvalid:
    return FieldInvalid(f"filter, column {column}: {why}")
