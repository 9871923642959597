"""What a collection is: dimension, metric, index, declared fields, and whose vectors it holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal, cast

from imgsearch import safe_json
from imgsearch.errors import ConfigError, EncoderRemoved, FieldInvalid, SchemaMismatch
from imgsearch.types import Fingerprint, Value
from imgsearch.wording import did_you_mean, removal_advice

Metric = Literal["cosine", "ip", "l2"]
FieldType = Literal["str", "int", "float", "bool"]

METRICS: Final[tuple[Metric, ...]] = ("cosine", "ip", "l2")
ZEROS: Final[Mapping[FieldType, Value]] = {"str": "", "int": 0, "float": 0.0, "bool": False}
"""What a declared field holds in a record that was written without it."""

INDEXES: Final[Mapping[str, Mapping[str, int]]] = {
    "flat": {},
    "ivf_flat": {"nlist": 128},
    "ivf_sq8": {"nlist": 128},
    "ivf_pq": {"nlist": 128, "M": 8},  # Tencent only; M is how many parts a vector is cut into
    "hnsw": {"M": 16, "efConstruction": 200},  # what Tencent's own examples use, too
}
"""Each index kind with its parameters' defaults."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index kind and its build parameters; parameters left out take their defaults.

    Raises:
        ConfigError: an unknown kind or parameter, or a parameter below 1.
    """

    kind: str = "hnsw"
    params: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in INDEXES:
            raise ConfigError(
                f"unknown index {self.kind!r}; known: {', '.join(INDEXES)}"
                + did_you_mean(self.kind, INDEXES)
            )
        known = INDEXES[self.kind]
        for name, value in self.params.items():
            if name not in known:
                raise ConfigError(
                    f"{self.kind} has no parameter {name!r}; known: {', '.join(known) or 'none'}"
                    + did_you_mean(name, known)
                )
            if value < 1:
                raise ConfigError(f"{self.kind}: {name} must be at least 1, not {value}")
        object.__setattr__(self, "params", {**known, **self.params})

    @classmethod
    def parse(cls, text: str) -> "Index":
        """Read ``hnsw`` or ``hnsw:M=32,efConstruction=400``.

        Raises:
            ConfigError: as for the class, and where a parameter is not ``name=number``.
        """
        if not isinstance(text, str):
            raise ConfigError(f"an index is a text, as 'hnsw:M=16', not {text!r}")
        kind, _, rest = text.partition(":")
        params: dict[str, int] = {}
        for part in filter(None, rest.split(",")):
            name, equals, number = part.partition("=")
            if not equals or not number.strip().isdecimal():
                raise ConfigError(f"index {text!r}: {part!r} is not NAME=NUMBER")
            if name.strip() in params:
                raise ConfigError(f"index {text!r}: {name.strip()} is given twice")
            params[name.strip()] = int(number)
        return cls(kind.strip().lower(), params)

    def __str__(self) -> str:
        """Return what `parse` reads."""
        return (
            self.kind
            + ":" * bool(self.params)
            + ",".join(f"{name}={value}" for name, value in self.params.items())
        )


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of a collection, fixed when it is created.

    `fields` are those that filters may name; a record may carry others beside them.
    `encoder` is None where nobody said whose vectors these are.

    Raises:
        ConfigError: an unknown metric or field type, or a dimension below 1.
    """

    dim: int
    metric: Metric = "cosine"
    index: Index = field(default_factory=Index)
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    encoder: Fingerprint | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"a vector has at least 1 dimension, not {self.dim}")
        check_metric(self.metric)
        for name, kind in self.fields.items():
            if kind not in ZEROS:
                raise ConfigError(f"field {name!r}: unknown type {kind!r}; known: {list(ZEROS)}")
            check_field_name(name)

    def require_current_encoder(self) -> None:
        """Refuse vectors of an encoder that was removed, for which no image or text is embedded.

        Raises:
            EncoderRemoved: such an encoder made the vectors.
        """
        if self.encoder and (advice := removal_advice(self.encoder.model)):
            raise EncoderRemoved(advice)

    def to_json(self) -> str:
        """Return the text that stores keep beside a collection, for `from_json`."""
        return json.dumps({"imgsearch": 1, **asdict(self)}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Read what `to_json` wrote.

        Raises:
            SchemaMismatch: the text is not of this library, or of a newer version of it.
        """
        try:
            data = cast(dict[str, object], safe_json.loads(text))
            if data.pop("imgsearch") != 1:
                raise SchemaMismatch("the collection was written by a newer imgsearch; upgrade it")
            index, encoder = data.pop("index"), data.pop("encoder")
            return cls(
                index=Index(**index),  # type: ignore[arg-type]  # checked by Index itself
                encoder=Fingerprint(**encoder) if encoder else None,  # type: ignore[arg-type]
                **data,  # type: ignore[arg-type]  # checked by __post_init__
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, SchemaMismatch):
                raise
            raise SchemaMismatch(
                f"the collection's description is not ours: {text[:80]!r}"
            ) from error

    def differences(
        self, other: "Schema", *, mine: str = "there", theirs: str = "asked for"
    ) -> list[str]:
        """Return a line for each part in which `other` differs; the note may differ.

        `mine` and `theirs` are the words for the two schemas.
        """
        parts: list[tuple[str, object, object]] = [
            ("dimension", self.dim, other.dim),
            ("metric", self.metric, other.metric),
            ("index", str(self.index), str(other.index)),
            ("fields", dict(self.fields), dict(other.fields)),
        ]
        if self.encoder and other.encoder:
            identity = other.encoder.identity()
            parts += [
                (f"encoder's {part}", value, identity[part])
                for part, value in self.encoder.identity().items()
            ]
        else:
            parts.append(("encoder", _model(self.encoder), _model(other.encoder)))
        return [
            f"{part}: {value} {mine}, {other_value} {theirs}"
            for part, value, other_value in parts
            if value != other_value
        ]


def _model(encoder: Fingerprint | None) -> str:
    return encoder.model if encoder else "none noted"


def check_metric(metric: object) -> None:
    """Check the name of a metric.

    Raises:
        ConfigError: it is not one of `METRICS`.
    """
    if metric not in METRICS:
        known = ", ".join(METRICS)
        raise ConfigError(
            f"unknown metric {metric!r}; known: {known}{did_you_mean(metric, METRICS)}"
        )


def can_filter(name: str) -> bool:
    """Return whether a filter can name a field; other programs may use any name."""
    try:
        check_field_name(name)
    except FieldInvalid:
        return False
    return True


def check_field_name(name: str) -> None:
    """Refuse names that some store would take for something else.

    Raises:
        FieldInvalid: not a plain ASCII identifier of at most 64 letters, or a reserved one.
    """
    if not (name.isidentifier() and name.isascii() and len(name) <= 64):
        raise FieldInvalid(f"field name {name!r} is no ASCII identifier of at most 64 letters")
    if name.lower() in _RESERVED or name.startswith(("$", "_")):
        raise FieldInvalid(f"field name {name!r} is reserved; choose another")


# what the stores use for themselves, and the words of their filter languages
_RESERVED = frozenset({
    "id", "vector", "score", "distance", "in", "not", "and", "or", "like", "exists", "is", "null",
    "true", "false", "array_contains", "json_contains", "include", "exclude", "count",
})  # fmt: skip
