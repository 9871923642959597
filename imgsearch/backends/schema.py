"""Collection schemas: dimension, metric, index, declared fields and encoder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, cast

from imgsearch.errors import ConfigError, EncoderRemoved, SchemaMismatch
from imgsearch.fields import ZEROS, FieldType, check_field_name
from imgsearch.text import did_you_mean, load_json, removal_advice
from imgsearch.types import Fingerprint

Metric = Literal["cosine", "ip", "l2", "hamming"]

METRICS: Final[tuple[Metric, ...]] = ("cosine", "ip", "l2", "hamming")
"""The metrics. "hamming" compares bits: a component above 0 is 1, any other is 0."""
FLOAT_METRICS: Final[frozenset[Metric]] = frozenset({"cosine", "ip", "l2"})
INDEXES: Final[Mapping[str, Mapping[str, int]]] = {
    "flat": {},
    "ivf_flat": {"nlist": 128},
    "ivf_sq8": {"nlist": 128},
    "ivf_pq": {"nlist": 128, "M": 8},  # M is the number of subvectors, a byte each
    "hnsw": {"M": 16, "efConstruction": 200},  # as in Tencent's examples
    "hnsw_sq": {"M": 16, "efConstruction": 200, "bits": 8},
    "ivf_rabitq": {"nlist": 128, "refine_bits": 8},
    "diskann": {},
    "gpu_cagra": {"intermediate_graph_degree": 64, "graph_degree": 32},
}
"""The index kinds, with default build parameters.

Of a number of a vector, `hnsw_sq` keeps `bits` bits: 6, 8 or 16. `ivf_rabitq` keeps one, and beside
it `refine_bits` (6, 8, 16 or 32) to order the nearest rows.
"""

BITS: Final[Mapping[str, frozenset[int]]] = {
    "bits": frozenset({6, 8, 16}),
    "refine_bits": frozenset({6, 8, 16, 32}),
}
"""The values of parameters that count bits."""

COMMON_INDEXES: Final = frozenset({"flat", "ivf_flat", "ivf_sq8", "ivf_pq", "hnsw"})
"""The kinds that each store builds which builds any."""

METRIC_NAMES: Final[Mapping[str, Metric]] = {metric.upper(): metric for metric in METRICS}
"""Maps the metric names of Milvus and Tencent VectorDB to imgsearch's."""

PARTITION_TYPES: Final[frozenset[FieldType]] = frozenset({"str", "int"})
"""The types of a field whose values divide the rows."""

_MAX_EF: Final = 32_768  # the limit of Milvus and of Tencent's SDK
_MAX_LIST: Final = 65_535  # the limit of Milvus


@dataclass(frozen=True, slots=True)
class Index:
    """An index kind and its build parameters. Missing parameters get their defaults.

    Raises:
        ConfigError: the kind or a parameter is unknown, or a parameter is below 1.
    """

    kind: str = "hnsw"
    params: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in INDEXES:
            raise ConfigError(
                f"unknown index {self.kind!r}. Use one of {', '.join(INDEXES)}"
                + did_you_mean(self.kind, INDEXES)
            )
        known = INDEXES[self.kind]
        for name, value in self.params.items():
            if name not in known:
                raise ConfigError(
                    f"index {self.kind} has no parameter {name!r}, only "
                    f"{', '.join(known) or 'none'}" + did_you_mean(name, known)
                )
            if value < 1:
                raise ConfigError(f"index {self.kind}: {name} must be at least 1, not {value}")
            if name in BITS and value not in BITS[name]:
                allowed = ", ".join(map(str, sorted(BITS[name])))
                raise ConfigError(
                    f"index {self.kind}: {name} must be one of {allowed}, not {value}"
                )
        object.__setattr__(self, "params", {**known, **self.params})

    @classmethod
    def parse(cls, text: str) -> "Index":
        """Parse ``hnsw`` or ``hnsw:M=32,efConstruction=400``.

        Raises:
            ConfigError: as for the class; or a parameter is not ``name=number``, or occurs twice.
        """
        if not isinstance(text, str):
            raise ConfigError(f"index {text!r} is invalid. Pass a text such as 'hnsw:M=16'.")
        kind, _, rest = text.partition(":")
        params: dict[str, int] = {}
        for part in filter(None, rest.split(",")):
            name, equals, number = part.partition("=")
            if not equals or not number.strip().isdecimal():
                raise ConfigError(f"index {text!r} is invalid: {part!r} is not NAME=NUMBER")
            if name.strip() in params:
                raise ConfigError(f"index {text!r} is invalid: {name.strip()} occurs twice")
            params[name.strip()] = int(number)
        return cls(kind.strip().lower(), params)

    @classmethod
    def of_store(cls, kind: str, params: Mapping[str, Any]) -> "Index":
        """Convert a store's description of an index. Unknown and empty parameters are ignored."""
        return cls(kind, {name: int(params[name]) for name in INDEXES[kind] if params.get(name)})

    def search_params(self, k: int, effort: int | None) -> dict[str, int]:
        """Return the search parameters for `k` hits. `effort` is the breadth, as ef or nprobe.

        Defaults favor recall, because a missed neighbor costs a user more than a millisecond.
        HNSW: ef = 2 k, at least 256; search_list of DiskANN and itopk_size of CAGRA likewise. An
        `effort` below k is raised to k, because Milvus rejects it; Tencent's own default is 10.
        IVF: nprobe = a quarter of the cells, at least 16.

        Recall@10 with the default parameters on milvus-lite 3.2.2, 10,000 rows of 128 dimensions,
        100 queries: 1.00 for vectors around 200 centers (IVF_SQ8 0.96); for Gaussian noise, which
        is unlike any embedding, 0.97 with HNSW and 0.63 with IVF. On Milvus 2.3.5 with 50,000 x 512
        around 1,000 centers: 0.999 with ef 256; 0.984 with ef 128 in one run of five.
        """
        breadth = max(effort or max(256, 2 * k), k)
        match self.kind:
            case "hnsw" | "hnsw_sq":
                return {"ef": min(breadth, _MAX_EF)}
            case "diskann":
                return {"search_list": min(breadth, _MAX_LIST)}
            case "gpu_cagra":  # whose lists have a multiple of 32 entries
                return {"itopk_size": -(-breadth // 32) * 32}
            case "flat":
                return {}
            case _:
                nlist = self.params["nlist"]
                return {"nprobe": min(effort or max(16, nlist // 4), nlist)}

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return (
            self.kind
            + ":" * bool(self.params)
            + ",".join(f"{name}={value}" for name, value in self.params.items())
        )


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of a collection, fixed at creation.

    Filters can use only the declared `fields`; records may also have undeclared fields. `encoder`
    is None if it is unknown which encoder made the vectors. `partition` is the declared field, a
    text or an integer, by whose values the store divides the rows, "" for none: a search with
    ``Field(partition) == value`` then reads one part of them.

    Raises:
        ConfigError: the metric or a field type is unknown, the dimension is below 1, or it is not a
            multiple of 8 and the metric is "hamming"; or `partition` is not a declared text or
            integer.
    """

    dim: int
    metric: Metric = "cosine"
    index: Index = field(default_factory=Index)
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    encoder: Fingerprint | None = None
    note: str = ""
    partition: str = ""

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"dimension must be at least 1, not {self.dim}")
        check_metric(self.metric)
        if self.is_binary and self.dim % 8:
            raise ConfigError(f"the metric hamming needs a multiple of 8 bits, not {self.dim}.")
        for name, kind in self.fields.items():
            if kind not in ZEROS:
                raise ConfigError(
                    f"field {name!r} has unknown type {kind!r}. Use one of {', '.join(ZEROS)}."
                )
            check_field_name(name)
        check_partition(self.partition, self.fields)

    @property
    def is_binary(self) -> bool:
        """Whether vectors are stored as bits."""
        return self.metric == "hamming"

    def require_current_encoder(self) -> None:
        """Check that the vectors' encoder was not removed from imgsearch.

        Raises:
            EncoderRemoved: the encoder was removed.
        """
        if self.encoder and (advice := removal_advice(self.encoder.model)):
            raise EncoderRemoved(advice)

    def to_json(self) -> str:
        """Return the schema as JSON text, which stores save with the collection."""
        data = {"imgsearch": 1, **asdict(self)}
        if not self.partition:  # versions before 0.2 do not know the name
            del data["partition"]
        return json.dumps(data, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Parse the output of `to_json`.

        Raises:
            SchemaMismatch: another program or a newer imgsearch wrote the text.
        """
        try:
            data = cast(dict[str, object], load_json(text))
            if data.pop("imgsearch") != 1:
                raise SchemaMismatch("a newer imgsearch created the collection. Upgrade imgsearch.")
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
                f"the collection's description was not written by imgsearch: {text[:80]!r}"
            ) from error

    def differences(
        self, other: "Schema", *, mine: str = "there", theirs: str = "asked for"
    ) -> list[str]:
        """Return one line for each difference from `other`. `note` is not compared.

        `mine` and `theirs` label this schema and `other` in the output.
        """
        parts: list[tuple[str, object, object]] = [
            ("dimension", self.dim, other.dim),
            ("metric", self.metric, other.metric),
            ("index", str(self.index), str(other.index)),
            ("fields", dict(self.fields), dict(other.fields)),
            ("partition field", self.partition or "none", other.partition or "none"),
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


def default_index(metric: Metric) -> str:
    """Return the index kind of a new collection: HNSW, or "flat" for bits."""
    return "flat" if metric == "hamming" else "hnsw"


def check_partition(name: str | None, fields: Mapping[str, FieldType]) -> None:
    """Check that `name`, if any, is a field that can divide the rows.

    Raises:
        ConfigError: it is not declared, or neither a text nor an integer.
    """
    if name and (kind := fields.get(name)) not in PARTITION_TYPES:
        raise ConfigError(
            f"the partition field {name!r} is {kind or 'not declared'}. Declare it as a text (str) "
            "or an integer (int)."
        )


def check_metric(metric: object) -> None:
    """Check that a metric is known.

    Raises:
        ConfigError: `metric` is not in `METRICS`.
    """
    if metric not in METRICS:
        known = ", ".join(METRICS)
        raise ConfigError(
            f"unknown metric {metric!r}. Use one of {known}{did_you_mean(metric, METRICS)}"
        )
