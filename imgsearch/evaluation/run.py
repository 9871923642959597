"""An evaluation run: its measures and data, as objects, tables and JSON."""

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
from imgsearch.evaluation.results import Answer, Labels, Subject
from imgsearch.evaluation.speed import Speed
from imgsearch.images import MAX_PIXELS
from imgsearch.text import counted
from imgsearch.types import Fingerprint, Hit

if TYPE_CHECKING:
    import pandas as pd

SEED: Final = 2026  # for resampling the intervals
_PACKAGES: Final = tuple(
    "towhee pymilvus milvus-lite numpy pillow onnxruntime torch timm".split()  # noqa: SIM905
)


@dataclass(frozen=True, repr=False)  # no slots, because tables are cached properties
class Run:
    """The measures of an evaluation, with its dataset, encoder and store.

    `asked` is the kind of query: "images", "names", "captions" or "changes". `labels` maps gallery
    ids to classes. `seconds` has the times of indexing and searching, including file access.
    `speed` and `map` are None unless requested. `max_pixels` limits the decoded pixels of an image.
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

    def __repr__(self) -> str:
        metrics = self.measures.metrics
        depth = max(int(name.partition("@")[2]) for name in metrics if "@" in name)
        means = ", ".join(
            f"{name} {metrics[name]:.3f}"
            for name in (f"hit@{depth}", f"precision@{depth}", f"map@{depth}")
        )
        return (
            f"<Run {self.encoder.model} on {self.subject.name!r}: "
            f"{counted(self.measures.queries, 'query')} ({self.asked}), "
            f"{counted(self.subject.gallery, 'image')}; {means}>"
        )

    @cached_property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The 95 % bootstrap interval of each measure over the scored queries."""
        return {
            name: interval(values, rng=SEED) for name, values in self.measures.per_query.items()
        }

    @property
    def hits(self) -> Mapping[str, Sequence[Hit]]:
        """The hits of each query, nearest first, by the query's path or name."""
        return {answer.query: answer.hits for answer in self.answers}

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """A row for each measure; see `tables.summary`."""
        return tables.summary(self.measures, self.intervals)

    @cached_property
    def per_query(self) -> "pd.DataFrame":
        """A row for each scored query; see `tables.per_query`."""
        return tables.per_query(self.answers, self.measures)

    @cached_property
    def per_class(self) -> "pd.DataFrame":
        """A row for each class, worst first; see `tables.per_class`."""
        return tables.per_class(self.answers, self.measures, seed=SEED)

    @cached_property
    def confusion(self) -> "pd.DataFrame":
        """The shares of classes among the hits, by query class; see `tables.confusion`."""
        return tables.confusion(self.answers, self.labels)

    def worst(self, most: int = 12) -> list[Answer]:
        """Return the `most` queries with the lowest mean average precision at the largest k."""
        return tables.worst(self.answers, self.measures, most=most)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serializable figures. Equal runs differ only in `seconds` and `speed`."""
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
    """Return the machine and the versions of the packages that influence the figures."""
    result = {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "imgsearch": VERSION,
    }
    for package in _PACKAGES:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result
