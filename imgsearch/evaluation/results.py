"""A gallery, and the hits of queries in it, judged with the gallery's classes."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from imgsearch.backends import Collection
from imgsearch.datasets.dataset import Dataset
from imgsearch.evaluation.metrics import Ranking
from imgsearch.evaluation.speed import Speed
from imgsearch.types import Fingerprint, Hit

Labels = Mapping[str, frozenset[str]]
"""Classes by gallery id. In a dataset an id has one class, the label of its first file."""


@dataclass(frozen=True)
class Subject:
    """The dataset of a run: its name, the hash of its contents and labels, and its size.

    If `held_out`, the queries are not part of the gallery.
    """

    name: str
    manifest: str
    gallery: int
    queries: int
    held_out: bool

    @classmethod
    def of(cls, dataset: Dataset) -> "Subject":
        """Describe a dataset. Its files are read for the hash."""
        gallery, queries = len(dataset.gallery), len(dataset.queries)
        return cls(dataset.name, dataset.manifest_hash, gallery, queries, dataset.held_out)


@dataclass(frozen=True)  # no slots, because the ids are a cached property
class Gallery:
    """Images to search in: their vectors in a collection, and their classes.

    `url` and `index` are the store and the index for the report. `seconds` has the time of
    indexing, if the vectors are new.
    """

    collection: Collection
    url: str
    index: str
    encoder: Fingerprint
    subject: Subject
    labels: Labels
    seconds: Mapping[str, float]

    def of_class(self, label: str) -> AbstractSet[str]:
        """Return the ids of the images with that label."""
        return self._ids.get(label, frozenset())

    @cached_property
    def _ids(self) -> Mapping[str, AbstractSet[str]]:
        ids: dict[str, set[str]] = defaultdict(set)
        for id_, names in self.labels.items():
            for name in names:
                ids[name].add(id_)
        return ids


@dataclass(frozen=True)
class Answer:
    """A query's path, id or text, its class, and its hits, nearest first.

    `label` is "" if the query has one relevant image instead of a class. The query itself is not
    among the hits.
    """

    query: str
    label: str
    hits: Sequence[Hit]
    ranking: Ranking


@dataclass(frozen=True)
class Answers:
    """The judged hits of all queries.

    `kind` is "images", "names", "captions" or "changes". `total` also counts queries without an
    answer. `notes` describe the data, and `losses` the missing images. `speed` measures the speed;
    it returns None if the queries are stored vectors.
    """

    kind: str
    total: int
    answers: Sequence[Answer]
    notes: Sequence[str]
    losses: Sequence[str] = ()
    speed: Callable[[], Speed | None] = lambda: None


def judge(
    query: str,
    label: str,
    hits: Sequence[Hit],
    relevant: AbstractSet[str],
    *,
    k: int,
    own: str = "",
) -> Answer:
    """Judge the first `k` hits of a query: ids in `relevant` are right.

    `own` is the id of a query image, which is removed from hits and relevant images.
    """
    others = [hit for hit in hits if hit.id != own][:k]
    ranking = Ranking(
        query=own or query,
        ids=[hit.id for hit in others],
        scores=[hit.score for hit in others],
        relevance=[hit.id in relevant for hit in others],
        relevant=len(relevant) - (own in relevant),
    )
    return Answer(query, label, others, ranking)
