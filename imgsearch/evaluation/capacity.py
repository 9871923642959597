"""The needs of a large collection: storage, time, memory and machines, by arithmetic alone.

docs/capacity.md has the tables of these estimates. Decimal units: 1 GB is 1e9 bytes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Final, Literal

from imgsearch.errors import ConfigError
from imgsearch.evaluation.index.candidates import row_bytes

Worker = Literal["core", "GPU"]
SHARD: Final = 16_384
"""Images in a shard of `imgsearch embed`."""

SAMPLE: Final = 64
"""Images that a dry run embeds."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A figure with its unit, and the command that measured it or the page that states it."""

    value: float
    unit: str
    source: str


CONSTANTS: Final[Mapping[str, Constant]] = {
    "image": Constant(
        115_000,
        "bytes of an original",
        "138 GiB of 1,281,167 images: https://image-net.org/challenges/LSVRC/2012/2012-downloads",
    ),
    "row": Constant(
        37.3, "bytes of a shard's row beside its vector", "`python -m tests.benchmarks.scale`"
    ),
    "float": Constant(3.70, "bytes of a number in a shard", "`python -m tests.benchmarks.scale`"),
    "write": Constant(
        24e6,
        "bytes of vectors that one writer upserts in a second",
        "11,681 rows/s of 512-d into Milvus 2.3.5: `python -m tests.benchmarks.index`",
    ),
    "segment": Constant(
        512 * 2**20,
        "bytes of vectors in a segment, which has an index of its own",
        "`dataCoord.segment.maxSize` in milvus.yaml of Milvus 2.3.5",
    ),
    "build": Constant(
        1.9e-3 / 512,
        "seconds of a core for each row and dimension of an HNSW graph",
        "0.88 ms a row of 12,500 x 512, 1.12 of 25,000; 0.24 more for each doubling up to the "
        "262,144 of a segment: `python -m tests.benchmarks.scale`",
    ),
    "search": Constant(
        2.2e-3 / 512,
        "seconds of a core for each search, segment and dimension, with ef 256",
        "1.15 ms in 12,500 x 512, 1.39 in 25,000; continued in the same way",
    ),
}
"""The measured and cited figures of every estimate."""


@dataclass(frozen=True, slots=True)
class EncoderSpeed:
    """Images that a worker embeds in a second, from files, and where that was measured."""

    rate: float
    worker: Worker
    source: str


_THROUGHPUT: Final = "of two cores: `python -m tests.benchmarks.throughput`"
SPEEDS: Final[Mapping[str, EncoderSpeed]] = {
    "lite": EncoderSpeed(119 / 2, "core", f"119 images/s {_THROUGHPUT}"),
    "resnet50": EncoderSpeed(81.3 / 2, "core", f"81.3 images/s {_THROUGHPUT}"),
    "clip_vit_base_patch32": EncoderSpeed(
        1_500, "GPU", "1,500 samples/s on a 3080: https://pypi.org/project/clip-retrieval/2.10.0/"
    ),
}
"""The speeds of models that were measured or published. Others are measured by a dry run."""

INDEXES: Final[Mapping[str, Mapping[str, int]]] = {
    "flat": {},
    "hnsw": {"M": 16},
    "hnsw_sq": {"M": 16, "bits": 8},
    "ivf_sq8": {},
    "ivf_rabitq": {"refine_bits": 0},
    "ivf_rabitq+refine": {"refine_bits": 8},
}
"""The indexes whose memory is estimated, by name, with their parameters."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The estimates for `images` vectors of `dim` numbers.

    `rate` are the images that one worker embeds in a second, None if unknown; `workers` are cores
    or GPUs, as `worker` says. `cores` build the index and serve searches. `speed_source` and
    `image_source` say where the figures come from.

    >>> plan = Capacity(100_000_000, 512, rate=1500.0, worker="GPU", workers=1)
    >>> plan.shards, round(plan.originals / 1e12, 1), round(plan.memory["hnsw"] / 1e9)
    (6104, 11.5, 218)

    Raises:
        ConfigError: a figure is not positive, or too large.
    """

    images: int
    dim: int
    image_bytes: float = CONSTANTS["image"].value
    rate: float | None = None
    worker: Worker = "core"
    workers: int = 16
    cores: int = 16
    shard: int = SHARD
    model: str = ""
    image_source: str = CONSTANTS["image"].source
    speed_source: str = ""

    def __post_init__(self) -> None:
        limits = {"images": 1e15, "dim": 1e6, "image_bytes": 1e12, "workers": 1e9, "cores": 1e9}
        for name, most in (limits | {"rate": 1e12, "shard": 1e9}).items():
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise ConfigError(f"{name} is invalid: {value}. Pass a number in 1 to {most:,.0f}.")

    @property
    def originals(self) -> float:
        """Bytes of the original files."""
        return self.images * self.image_bytes

    @property
    def embedding(self) -> float | None:
        """Seconds of embedding by all workers, None if their speed is unknown."""
        return None if self.rate is None else self.images / (self.rate * self.workers)

    @property
    def reading(self) -> float | None:
        """Bytes of files that the workers read in a second, None if their speed is unknown."""
        return None if self.rate is None else self.rate * self.workers * self.image_bytes

    @property
    def shards(self) -> int:
        """Shards, each a parquet file of vectors."""
        return ceil(self.images / self.shard)

    @property
    def vectors(self) -> float:
        """Bytes of the parquet files."""
        return self.images * (CONSTANTS["row"].value + CONSTANTS["float"].value * self.dim)

    @property
    def writing(self) -> float:
        """Seconds of one writer that upserts the vectors into a server."""
        return 4.0 * self.dim * self.images / CONSTANTS["write"].value

    @property
    def segments(self) -> int:
        """Segments of the server, each with a graph of its own."""
        return ceil(4.0 * self.dim * self.images / CONSTANTS["segment"].value)

    @property
    def indexing(self) -> float:
        """Seconds of building the HNSW graphs on all cores."""
        return self.images * self.dim * CONSTANTS["build"].value / self.cores

    @property
    def memory(self) -> dict[str, float]:
        """Bytes of memory of each kind of index, without fields and the server itself."""
        return {
            name: self.images * row_bytes(name.partition("+")[0], self.dim, params)
            for name, params in INDEXES.items()
        }

    @property
    def search(self) -> float:
        """Seconds of one core for a search of all HNSW graphs."""
        return self.segments * self.dim * CONSTANTS["search"].value

    @property
    def searches(self) -> float:
        """Searches a second on all cores."""
        return self.cores / self.search

    def to_dict(self) -> dict[str, Any]:
        """Return the figures and estimates as plain values; sizes in bytes, times in seconds."""
        estimates = (
            *("originals", "embedding", "reading", "shards", "vectors", "writing", "segments"),
            *("indexing", "memory", "search", "searches"),
        )
        constants = {name: asdict(constant) for name, constant in CONSTANTS.items()}
        return (
            asdict(self)
            | {name: getattr(self, name) for name in estimates}
            | {"constants": constants}
        )

    def rows(self) -> list[tuple[str, str]]:
        """Return the estimates as texts: what, and how much."""
        count = f"{self.workers} {self.worker}{'s' * (self.workers > 1)}"
        unknown = "unknown: name a SOURCE to measure it"
        rows = [
            ("originals", size(self.originals)),
            (f"embedding, {count}", unknown if self.embedding is None else time(self.embedding)),
            ("reading files", unknown if self.reading is None else f"{size(self.reading)}/s"),
            ("vectors in parquet", f"{size(self.vectors)} in {self.shards:,} shards"),
            ("writing to a server, one writer", time(self.writing)),
            (f"HNSW index, {self.cores} cores", time(self.indexing)),
        ]
        rows += [(f"memory, {kind}", size(self.memory[kind])) for kind in INDEXES]
        searching = f"{self.searches:,.1f} searches/s, {time(self.search)} of a core each"
        return [*rows, (f"serving HNSW, {self.cores} cores", searching)]


def size(number: float) -> str:
    """Return a number of bytes in decimal units, in three digits.

    >>> size(11.54e12), size(950)
    ('11.5 TB', '950 B')
    """
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f} B"


def time(seconds: float) -> str:
    """Return a duration in the largest unit that fits, in three digits.

    >>> time(90_000), time(0.25)
    ('25 hours', '250 ms')
    """
    for unit, factor in (("days", 2 * 86_400), ("hours", 2 * 3_600), ("minutes", 120)):
        if seconds >= factor:
            return f"{seconds / {'days': 86_400, 'hours': 3_600, 'minutes': 60}[unit]:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def markdown(plans: Mapping[str, Capacity]) -> str:
    """Return the estimates of several plans side by side, as a Markdown table."""
    lines = [f"| | {' | '.join(plans)} |", f"|---|{'---|' * len(plans)}"]
    columns = [[("dimensions", f"{plan.dim:,}"), *plan.rows()] for plan in plans.values()]
    for cells in zip(*columns, strict=True):
        names = [name for name, _ in cells]
        name = names[0] if len(set(names)) == 1 else names[0].partition(",")[0]
        values = [
            value if len(set(names)) == 1 else f"{value} ({cell.partition(', ')[2]})"
            for cell, value in cells
        ]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def constants_markdown() -> str:
    """Return the constants with their sources, as a Markdown table."""
    rows = [
        (f"{_number(constant.value)} {constant.unit}", constant.source)
        for constant in CONSTANTS.values()
    ]
    rows += [
        (f"{speed.rate:,.4g} images/s of one {speed.worker}, {model}", speed.source)
        for model, speed in SPEEDS.items()
    ]
    return "\n".join(["| constant | source |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10_000 else f"{value:.3g}"
