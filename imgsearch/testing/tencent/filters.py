"""The filter language: `(label = "cat" or year >= 2020) and not path in ("a", "b")`.

    or      := and ("or" and)*
    and     := not ("and" not)*
    not     := "not" not | "(" or ")" | condition
    condition := field ("=" | "!=" | "<" | "<=" | ">" | ">=") literal
               | field ("in" | "not in" | "include" | "include all" | "exclude") "(" literal, … ")"

Escaping is a guess: inside quotes, a backslash escapes a quote or a backslash.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from imgsearch.testing.tencent.codes import BAD_PARAMETER, SYNTAX, Refused

Literal = str | int | float
Predicate = Callable[[Mapping[str, Any]], bool]

MAX_DEPTH: Final = 100  # the emulator's own limit, safe for Python's recursion limit
MAX_DIGITS: Final = 400  # the emulator's own limit; doubles need fewer, and Python rejects 4,301
NUMERIC: Final = frozenset({"uint64", "int64", "double"})

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\["\\])*")
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>!=|<=|>=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "include", "exclude", "all"})
_ORDERED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_CONTAINMENT: Final[Mapping[str, Callable[[Any, tuple[Literal, ...]], bool]]] = {
    "in": lambda value, literals: value in literals,
    "not in": lambda value, literals: value not in literals,
    "include": lambda value, literals: any(literal in value for literal in literals),
    "include all": lambda value, literals: all(literal in value for literal in literals),
    "exclude": lambda value, literals: not any(literal in value for literal in literals),
}


class Token(NamedTuple):
    """A token. `kind` is text, number, field, sign (including keywords) or end."""

    kind: str
    value: Literal


def parse(text: str, types: Mapping[str, str]) -> Predicate:
    """Parse a filter on fields with declared `types`, and return it as a predicate.

    A document that does not have a condition's field does not match the condition.

    Raises:
        Refused: 15000, `text` has a syntax error; 14100, a field is not declared or is compared
            with a literal of another type.
    """
    parser = _Parser(_tokens(text), types)
    predicate = parser.disjunction(0)
    if parser.next().kind != "end":
        raise Refused(SYNTAX, f"filter has text after its end: {text[:200]!r}")
    return predicate


def _tokens(text: str) -> list[Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if not match:
            raise Refused(SYNTAX, f"filter is invalid from character {at}: {text[at:][:80]!r}")
        tokens.append(_token(match))
        at = match.end()
    return [*tokens, Token("end", "")]


def _token(match: re.Match[str]) -> Token:
    text = match[match.lastgroup or ""]
    match match.lastgroup:
        case "text":
            return Token("text", re.sub(r"\\(.)", r"\1", text[1:-1]))
        case "number" if len(text) > MAX_DIGITS:
            raise Refused(SYNTAX, f"filter has a number of {len(text)} digits")
        case "number":
            return Token("number", int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text))
        case "word" if text.lower() in _WORDS:
            return Token("sign", text.lower())
        case "word":
            return Token("field", text)
    return Token("sign", text)


class _Parser:
    """A recursive-descent parser with one method for each rule of the grammar."""

    def __init__(self, tokens: list[Token], types: Mapping[str, str]) -> None:
        self.tokens, self.types, self.at = tokens, types, 0

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def accept(self, sign: str) -> bool:
        accepted = self.tokens[self.at] == Token("sign", sign)
        self.at += accepted
        return accepted

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise Refused(SYNTAX, f"filter has {self.next().value!r}, expected {sign!r}")

    def disjunction(self, depth: int) -> Predicate:
        if depth > MAX_DEPTH:
            raise Refused(SYNTAX, f"filter is nested more than {MAX_DEPTH} deep")
        parts = [self.conjunction(depth)]
        while self.accept("or"):
            parts.append(self.conjunction(depth))
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def conjunction(self, depth: int) -> Predicate:
        parts = [self.negation(depth)]
        while self.accept("and"):
            parts.append(self.negation(depth))
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def negation(self, depth: int) -> Predicate:
        negated = False
        while self.accept("not"):
            negated = not negated
        if self.accept("("):
            inner = self.disjunction(depth + 1)
            self.expect(")")
        else:
            inner = self.condition()
        return (lambda row: not inner(row)) if negated else inner

    def condition(self) -> Predicate:
        token = self.next()
        if token.kind != "field":
            raise Refused(SYNTAX, f"filter has {token.value!r}, expected a field")
        field, sign = str(token.value), self.sign()
        if field not in self.types:
            raise Refused(BAD_PARAMETER, f"field {field!r} has no filter index")
        if sign in _CONTAINMENT:
            literals, contained = self.literals(field, sign), _CONTAINMENT[sign]
            return lambda row: field in row and contained(row[field], literals)
        literal, ordered = self.literal(field, sign), _ORDERED[sign]
        return lambda row: field in row and ordered(row[field], literal)

    def sign(self) -> str:
        token = self.next()
        sign = str(token.value) if token.kind == "sign" else ""
        if sign == "not":
            self.expect("in")
            return "not in"
        if sign == "include" and self.accept("all"):
            return "include all"
        if sign in _CONTAINMENT or sign in _ORDERED:
            return sign
        raise Refused(SYNTAX, f"filter has {token.value!r}, expected an operator")

    def literals(self, field: str, sign: str) -> tuple[Literal, ...]:
        self.expect("(")
        literals = [self.literal(field, sign)]
        while self.accept(","):
            literals.append(self.literal(field, sign))
        self.expect(")")
        return tuple(literals)

    def literal(self, field: str, sign: str) -> Literal:
        token, type_ = self.next(), self.types[field]
        if token.kind not in ("text", "number"):
            raise Refused(SYNTAX, f"filter has {token.value!r}, expected a value")
        if (type_ == "array") != (sign in ("include", "include all", "exclude")):
            raise Refused(BAD_PARAMETER, f"operator {sign!r} does not support type {type_}")
        if (token.kind == "number") != (type_ in NUMERIC):
            raise Refused(
                BAD_PARAMETER, f"field {field!r} of type {type_} is compared with {token.value!r}"
            )
        return token.value
