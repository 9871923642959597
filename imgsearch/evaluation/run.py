"""A run: what was measured, on what, with what, as objects, tables and plain values."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from imgsearch.distribution import VERSION
from imgsearch.evaluation import tables
from imgsearch.evaluation.embedding_map import EmbeddingMap
from imgsearch.evaluation.metrics import Measures, interval
from imgsearch.evaluation.results import Answer, Labels
from imgsearch.evaluation.speed import Speed
from imgsearch.images import MAX_PIXELS
from imgsearch.types import Fingerprint, Hit

if TYPE_CHECKING:
    import pandas as pd

SEED: Final = 2026  # of the intervals' resampling
_PACKAGES: Final = tuple(
    "towhee pymilvus milvus-lite numpy pillow onnxruntime torch timm".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Subject:
    """What was measured: its name, the hash of all its contents and labels, and how many.

    `held_out`: the queries are no part of the gallery.
    """

    name: str
    manifest: str
    gallery: int
    queries: int
    held_out: bool


@dataclass(frozen=True)  # no slots: tables are kept once they are made
class Run:
    """A measurement: its figures, its data, its encoder and its store.

    `asked` is the kind of the queries, as "images". `labels` has the gallery's classes by id.
    `seconds` are those of indexing and searching, file access included. `speed` and `map` are None
    unless they were requested. `max_pixels` is the limit under which images were decoded.
    """

    subject: Subject
    encoder: Fingerprint
    asked: str
    collection: str
    url: str
    index: str
    metric: str
    measures: Measures
    answers: Sequence[Answer]
    labels: Labels
    seconds: Mapping[str, float]
    notes: Sequence[str]
    speed: Speed | None = None
    map: EmbeddingMap | None = None
    max_pixels: int = MAX_PIXELS

    @cached_property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The 95 % bootstrap interval of each measure, over the scored queries."""
        return {
            name: interval(values, rng=SEED) for name, values in self.measures.per_query.items()
        }

    @property
    def hits(self) -> Mapping[str, Sequence[Hit]]:
        """What was found, nearest first, by the query's path or name."""
        return {answer.query: answer.hits for answer in self.answers}

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """As `tables.summary`: a row for each measure."""
        return tables.summary(self.measures, self.intervals)

    @cached_property
    def per_query(self) -> "pd.DataFrame":
        """As `tables.per_query`: a row for each scored query."""
        return tables.per_query(self.answers, self.measures)

    @cached_property
    def per_class(self) -> "pd.DataFrame":
        """As `tables.per_class`: a row for each class, the worst first."""
        return tables.per_class(self.answers, self.measures, seed=SEED)

    @cached_property
    def confusion(self) -> "pd.DataFrame":
        """As `tables.confusion`: for the row's class, the share of the column's among the hits."""
        return tables.confusion(self.answers, self.labels)

    def worst(self, most: int = 12) -> list[Answer]:
        """Return the queries that were answered worst."""
        return tables.worst(self.answers, self.measures, most=most)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON; all but `seconds` and `speed` is the same again."""
        return {
            "dataset": asdict(self.subject),
            "asked": self.asked,
            "encoder": asdict(self.encoder),
            "store": {
                "url": self.url,
                "collection": self.collection,
                "index": self.index,
                "metric": self.metric,
            },
            "metrics": dict(self.measures.metrics),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "scored": self.measures.queries,
            "left_out": self.measures.left_out,
            "notes": list(self.notes),
            "seed": SEED,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "speed": None if self.speed is None else asdict(self.speed),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """Return the versions of packages that figures depend on, and the kind of machine."""
    found = {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "imgsearch": VERSION,
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
