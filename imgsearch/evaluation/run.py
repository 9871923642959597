"""A run: a dataset through the insert pipeline into a store, and out of the search pipeline."""

import hashlib
import platform
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from time import monotonic
from typing import Any, Final

from imgsearch import backends
from imgsearch.backends import Collection
from imgsearch.encoders import Encoder, Recipe, load
from imgsearch.errors import DatasetError
from imgsearch.evaluation.datasets import Dataset, Item
from imgsearch.evaluation.metrics import Measures, Ranking, interval, measure
from imgsearch.evaluation.questions import Question, questions, vectors
from imgsearch.pipelines import insert_pipeline, search_pipeline
from imgsearch.seam import Pipeline, Row
from imgsearch.sources import content_id, read
from imgsearch.types import Fingerprint, Hit

SEED: Final = 2026  # of the intervals' resampling
_SLICE: Final = 256  # images between two reports of progress
_PACKAGES: Final = tuple(
    "imgsearch towhee pymilvus milvus-lite numpy pillow onnxruntime torch timm".split()  # noqa: SIM905
)
_SEEN: Final = re.compile(r"n\d{8}_\d+\.")  # how ImageNet names its training images

OnProgress = Callable[[str, int, int], None]
"""Called with the stage ("index" or "search"), how many images are done, and of how many."""


@dataclass(frozen=True)
class Run:
    """What was measured, on what, with what.

    `asked`: what the queries were, as "images". `hits`: for each scored query's path or name, what
    was found, nearest first, the query itself left
    out. `seconds`: of indexing and of searching, files included.
    """

    dataset: Dataset
    encoder: Fingerprint
    asked: str
    collection: str
    url: str
    measures: Measures
    intervals: Mapping[str, tuple[float, float]]
    hits: Mapping[str, Sequence[Hit]]
    labels: Mapping[str, frozenset[str]]
    seconds: Mapping[str, float]
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the hits, ready for JSON."""
        return {
            "dataset": {
                "name": self.dataset.name,
                "manifest": self.dataset.manifest_hash,
                "gallery": len(self.dataset.gallery),
                "queries": len(self.dataset.queries),
                "held_out": self.dataset.held_out,
            },
            "asked": self.asked,
            "encoder": asdict(self.encoder),
            "store": {"url": self.url, "collection": self.collection},
            "metrics": dict(self.measures.metrics),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "scored": self.measures.queries,
            "left_out": self.measures.left_out,
            "notes": list(self.notes),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "versions": _versions(),
        }


def evaluate(
    dataset: Dataset,
    *,
    model: str = "mini",
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    url: str | None = None,
    collection: str | None = None,
    index: str = "flat",
    metric: str = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    queries: str = "images",
    on_progress: OnProgress | None = None,
) -> Run:
    """Return how well an encoder finds images of the query's class, or what `queries` names.

    `queries`: "images", the dataset's own; or "names", "captions" and "changes", as
    `imgsearch.evaluation.questions` has them.

    Without `url` the search is exact and in memory. With one, the gallery goes into a `collection`
    of that store, by default one named after dataset and encoder, and is left there; `index` and
    `metric` are the collection's. A query in the gallery is taken out of its own hits.

    Raises:
        DatasetError: no image could be used, or the collection holds other images than the
            gallery, or there are no captions.
        TextUnsupported: the queries are texts, and the encoder takes images only.
        EncoderError, BackendError: the encoder or the store failed.
    """
    recipe = Recipe.of(model, weights, options)
    place = url or f"memory://evaluate-{uuid.uuid4().hex}"
    name = collection or _collection_name(dataset, recipe, index, metric)
    target = {"collection": name, **recipe.config()}
    tell = on_progress or (lambda _stage, _done, _total: None)
    with backends.connect(place) as store:
        inserting = insert_pipeline(place, **target, index=index, metric=metric)
        gallery, skipped, indexing = _walk(inserting, dataset.gallery, "index", tell)
        labels: dict[str, set[str]] = defaultdict(set)
        for item, row in gallery:
            labels[row["id"]].add(item.label)
        stored = store.open(name)
        stored.flush()
        if stored.count() != len(labels):
            raise DatasetError(
                f"collection {name!r} of {place} holds {stored.count()} images, the gallery "
                f"{len(labels)}; evaluate in another collection or store"
            )
        inserting.close()
        known = {id_: frozenset(names) for id_, names in labels.items()}
        leaks = 0
        if queries == "images":
            searching = search_pipeline(place, **target, k=max(ks) + 1)
            found, lost, seconds = _walk(searching, dataset.queries, "search", tell)
            searching.close()
            rankings, hits, leaks = _rankings(dataset, found, gallery, known, max(ks))
        else:
            ids = {str(item.path): str(row["id"]) for item, row in gallery}
            asked = questions(dataset, queries)
            started = monotonic()
            encoder = load(**recipe.config())
            rankings, hits, lost = _asked(asked, encoder, stored, ids, known, max(ks), tell)
            seconds = monotonic() - started
        if url is None:
            store.drop(name)
    measures = measure(rankings, ks=ks)
    return Run(
        dataset=dataset,
        encoder=load(**recipe.config()).fingerprint,
        asked=queries,
        collection=name,
        url=url or "memory://",
        measures=measures,
        intervals={
            metric_name: interval(values, rng=SEED)
            for metric_name, values in measures.per_query.items()
        },
        hits=hits,
        labels=known,
        seconds={"index": indexing, "search": seconds},
        notes=[
            *dataset.notes,
            *measures.notes,
            *_notes(dataset, model, skipped + lost, len(gallery) - len(known), leaks),
        ],
    )


def _walk(
    pipeline: Pipeline, items: Sequence[Item], stage: str, tell: OnProgress
) -> tuple[list[tuple[Item, Row]], list[str], float]:
    """Run the items through; return the well ones with their rows, the others' errors, seconds."""
    started = monotonic()
    well: list[tuple[Item, Row]] = []
    failed: list[str] = []
    tell(stage, 0, len(items))
    for start in range(0, len(items), _SLICE):
        part = items[start : start + _SLICE]
        rows = pipeline.stream([[str(item.path) for item in part]])
        for item, row in zip(part, rows, strict=True):
            if row["error"] is None:
                well.append((item, row))
            else:
                failed.append(str(row["error"]))
        tell(stage, min(start + _SLICE, len(items)), len(items))
    if not well:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {failed[:1]}")
    return well, failed, monotonic() - started


def _rankings(
    dataset: Dataset,
    found: Sequence[tuple[Item, Row]],
    gallery: Sequence[tuple[Item, Row]],
    labels: Mapping[str, frozenset[str]],
    k: int,
) -> tuple[list[Ranking], dict[str, list[Hit]], int]:
    """Judge each query's hits; count the held-out queries that the gallery holds, too."""
    sizes = Counter(label for names in labels.values() for label in names)
    ids = {item.path: row["id"] for item, row in gallery}
    rankings: list[Ranking] = []
    hits: dict[str, list[Hit]] = {}
    leaks = 0
    for item, row in found:
        own = ids.get(item.path) or content_id(read(str(item.path)))
        others = [hit for hit in row["hits"] if hit.id != own][:k]
        there = own in labels
        leaks += there and dataset.held_out
        rankings.append(
            Ranking(
                query=own,
                ids=[hit.id for hit in others],
                scores=[hit.score for hit in others],
                relevance=[item.label in labels[hit.id] for hit in others],
                relevant=sizes[item.label] - (there and item.label in labels[own]),
            )
        )
        hits[str(item.path)] = others
    return rankings, hits, leaks


def _asked(
    asked: Sequence[Question],
    encoder: Encoder,
    collection: Collection,
    ids: Mapping[str, str],
    labels: Mapping[str, frozenset[str]],
    k: int,
    tell: OnProgress,
) -> tuple[list[Ranking], dict[str, list[Hit]], list[str]]:
    """Search for each question; one without a vector finds nothing."""
    of_label: dict[str, set[str]] = defaultdict(set)
    for id_, names in labels.items():
        for name in names:
            of_label[name].add(id_)
    rankings: list[Ranking] = []
    hits: dict[str, list[Hit]] = {}
    lost: list[str] = []
    for place, (question, vector) in enumerate(zip(asked, vectors(asked, encoder), strict=True), 1):
        wanted = (
            of_label[question.label]
            if question.label
            else {ids[path] for path in (question.path,) if path in ids}
        )
        found = [] if vector is None else collection.search(vector, k=k)[0]
        if vector is None:
            lost.append(f"{question.name}: nothing to search by")
        rankings.append(
            Ranking(
                query=question.name,
                ids=[hit.id for hit in found],
                scores=[hit.score for hit in found],
                relevance=[hit.id in wanted for hit in found],
                relevant=len(wanted),
            )
        )
        hits[question.name] = found
        tell("search", place, len(asked))
    return rankings, hits, lost


def _notes(
    dataset: Dataset, model: str, failed: Sequence[str], doubles: int, leaks: int
) -> Iterator[str]:
    if failed:
        yield f"{len(failed)} images could not be used and were left out, the first: {failed[0]}"
    if doubles:
        yield f"{doubles} gallery images have the content of another one and count once."
    if leaks:
        yield f"{leaks} queries are in the gallery, too; each was taken out of its own hits."
    if model == "classic":
        return
    if any(_SEEN.match(item.path.name) for item in dataset.gallery):
        seen = "mini's teacher" if model == "mini" else "an encoder trained on ImageNet"
        yield (
            f"The images bear names of ImageNet's training set: {seen} has very probably seen "
            "them, so its figures are higher than on images new to it."
        )


def _collection_name(dataset: Dataset, recipe: Recipe, index: str, metric: str) -> str:
    what = "\n".join((dataset.manifest_hash, recipe.to_json(), index, metric))
    return f"evaluate_{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.platform()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
