"""The filter language: `(label = "cat" or year >= 2020) and not path in ("a", "b")`.

    or      := and ("or" and)*
    and     := not ("and" not)*
    not     := "not" not | "(" or ")" | condition
    condition := field ("=" | "!=" | "<" | "<=" | ">" | ">=") literal
               | field ("in" | "not in" | "include" | "include all" | "exclude") "(" literal, … ")"

What a backslash does within quotes is a guess: it keeps the meaning of a quote or a backslash.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from imgsearch.testing.tencent.codes import BAD_PARAMETER, SYNTAX, Refused

Literal = str | int | float
Predicate = Callable[[Mapping[str, Any]], bool]

MAX_DEPTH: Final = 100  # ours: nesting that Python's stack surely bears
MAX_DIGITS: Final = 400  # ours; no double needs more, and Python reads no integer of 4,301
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
_AMONG: Final[Mapping[str, Callable[[Any, tuple[Literal, ...]], bool]]] = {
    "in": lambda value, given: value in given,
    "not in": lambda value, given: value not in given,
    "include": lambda value, given: any(each in value for each in given),
    "include all": lambda value, given: all(each in value for each in given),
    "exclude": lambda value, given: not any(each in value for each in given),
}


class Token(NamedTuple):
    """A word of the language: `kind` is text, number, field, sign (keywords too) or end."""

    kind: str
    value: Literal


def parse(text: str, types: Mapping[str, str]) -> Predicate:
    """Return the condition that `text` states, over fields whose `types` are declared.

    A field that a document lacks meets no condition.

    Raises:
        Refused: 15000, `text` is not of the language; 14100, a field is not declared or is
            compared with a literal of another type.
    """
    parser = _Parser(_tokens(text), types)
    predicate = parser.disjunction(0)
    if parser.next().kind != "end":
        raise Refused(SYNTAX, f"filter goes on after its end: {text[:200]!r}")
    return predicate


def _tokens(text: str) -> list[Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if not match:
            raise Refused(SYNTAX, f"filter cannot be read from character {at}: {text[at:][:80]!r}")
        tokens.append(_token(match))
        at = match.end()
    return [*tokens, Token("end", "")]


def _token(match: re.Match[str]) -> Token:
    found = match[match.lastgroup or ""]
    match match.lastgroup:
        case "text":
            return Token("text", re.sub(r"\\(.)", r"\1", found[1:-1]))
        case "number" if len(found) > MAX_DIGITS:
            raise Refused(SYNTAX, f"filter has a number of {len(found)} digits")
        case "number":
            return Token("number", int(found) if re.fullmatch(r"[+-]?\d+", found) else float(found))
        case "word" if found.lower() in _WORDS:
            return Token("sign", found.lower())
        case "word":
            return Token("field", found)
    return Token("sign", found)


class _Parser:
    """Recursive descent over the tokens; one method for each rule of the grammar above."""

    def __init__(self, tokens: list[Token], types: Mapping[str, str]) -> None:
        self.tokens, self.types, self.at = tokens, types, 0

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def accept(self, sign: str) -> bool:
        found = self.tokens[self.at] == Token("sign", sign)
        self.at += found
        return found

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise Refused(SYNTAX, f"filter has {self.next().value!r} where {sign!r} belongs")

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
            raise Refused(SYNTAX, f"filter has {token.value!r} where a field belongs")
        field, sign = str(token.value), self.sign()
        if field not in self.types:
            raise Refused(BAD_PARAMETER, f"field {field!r} has no filter index")
        if sign in _AMONG:
            given, among = self.literals(field, sign), _AMONG[sign]
            return lambda row: field in row and among(row[field], given)
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
        if sign in _AMONG or sign in _ORDERED:
            return sign
        raise Refused(SYNTAX, f"filter has {token.value!r} where an operator belongs")

    def literals(self, field: str, sign: str) -> tuple[Literal, ...]:
        self.expect("(")
        given = [self.literal(field, sign)]
        while self.accept(","):
            given.append(self.literal(field, sign))
        self.expect(")")
        return tuple(given)

    def literal(self, field: str, sign: str) -> Literal:
        token, type_ = self.next(), self.types[field]
        if token.kind not in ("text", "number"):
            raise Refused(SYNTAX, f"filter has {token.value!r} where a value belongs")
        if (type_ == "array") != (sign in ("include", "include all", "exclude")):
            raise Refused(BAD_PARAMETER, f"operator {sign!r} is not for a field of type {type_}")
        if (token.kind == "number") != (type_ in NUMERIC):
            raise Refused(
                BAD_PARAMETER, f"field {field!r} of type {type_} is compared with {token.value!r}"
            )
        return token.value
