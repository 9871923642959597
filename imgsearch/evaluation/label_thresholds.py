"""Score thresholds from labeled images, separate for image queries and text queries.

Image queries are labeled images; text queries are label names. A hit is right if it has the query's
label; hits without a label are ignored. A threshold must also reject queries whose label has no
images in the library.

Half of the queries are for calibration, the other half for validation. A pair with one query from
each half counts for validation only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from imgsearch.backends import Collection
from imgsearch.backends.regions import WHOLE, has_regions, image_id, search_images
from imgsearch.datasets.dataset import Dataset
from imgsearch.encoders import Encoder, unit
from imgsearch.encoders.embedding import model_input
from imgsearch.errors import (
    DatasetError,
    ImageError,
    PrecisionUnreached,
    TextUnknown,
)
from imgsearch.evaluation import no_match
from imgsearch.evaluation.candidate_pool import LEAST, Judgment, Pool, confirm
from imgsearch.evaluation.no_match import Judged, NoMatch
from imgsearch.filters import composed
from imgsearch.images import sources
from imgsearch.query import SearchOptions
from imgsearch.types import Vector

Kind: TypeAlias = Literal["image", "text"]
OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the stage, the number of queries done, and the total."""

MOST: Final = 1_000  # image queries: they take seconds and give an interval of about 0.02
DEPTH: Final = 100  # judged hits per query
_LEAST: Final = 4  # queries, because an interval needs two in each half


@dataclass(frozen=True, slots=True)
class LabeledQuery:
    """A query and its labeled hits, nearest first, without the query itself.

    `id` is an image id or a label. A hit is (id, score, whether it has the query's label).
    """

    id: str
    hits: Judged


@dataclass(frozen=True)
class Threshold:
    """A threshold for one kind of query, with its figures.

    `wanted` is the requested precision. `chosen` has the figures on the calibration half, `checked`
    those on the validation half. Recall counts right hits among the 100 nearest. `no_match` has the
    figures for queries with and without a match in the library.
    """

    kind: Kind
    threshold: float
    wanted: float
    chosen: Judgment
    checked: Judgment
    no_match: NoMatch

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-serializable values."""
        return {
            "threshold": self.threshold,
            "wanted": self.wanted,
            "chosen": self.chosen.to_dict(),
            "checked": self.checked.to_dict(),
            "no_match": self.no_match.to_dict(),
        }


def thresholds(
    collection: Collection,
    encoder: Encoder,
    dataset: Dataset | None = None,
    *,
    precision: float = 0.9,
    on_progress: OnProgress | None = None,
) -> tuple[dict[Kind, Threshold], dict[Kind, str]]:
    """Return thresholds by kind of query, and reasons for the kinds without a threshold.

    The queries are the held-out images of `dataset`, or all its images if it has none held out.
    Without a dataset they are the labeled images of the collection. A hit's label is the dataset's
    label for its content; if there is none, the collection's label. Label names are queries, too,
    if the encoder takes texts. `precision` is the share of right pairs among all pairs at or above
    the threshold.

    Raises:
        PrecisionUnreached: no kind of query reaches `precision`; `best` is the highest precision.
        DatasetError: fewer than four labeled images are queries, or the labels do not fit the
            scores: there is only one label, each label has one image, or images with the same label
            score no higher than others.
        EncoderMismatch: `encoder` is not the collection's encoder.
        SourceError: an image of the dataset cannot be read.
    """
    collection.require(encoder.fingerprint)
    report = on_progress or (lambda _stage, _done, _total: None)
    labels = _Labels.of(collection, dataset)
    results: dict[Kind, Threshold] = {}
    missing: dict[Kind, str] = {}
    errors: list[PrecisionUnreached] = []
    queries: dict[Kind, list[LabeledQuery]] = {
        "image": _search_images(collection, encoder, dataset, labels, report),
        "text": _search_texts(collection, encoder, labels, report),
    }
    if len(queries["image"]) < _LEAST:
        raise DatasetError(
            f"cannot choose a threshold: {len(queries['image'])} labeled images are too few. Name "
            "a labeled dataset whose images the library holds."
        )
    _require_meaningful_labels(queries["image"])
    for kind, of_kind in queries.items():
        if len(of_kind) < _LEAST:
            missing[kind] = f"{len(of_kind)} {kind} queries are too few"
            continue
        try:
            results[kind] = choose_threshold(kind, of_kind, precision=precision)
        except PrecisionUnreached as error:
            missing[kind] = str(error)
            errors.append(error)
    if not results:
        raise max(errors, key=lambda error: error.best)
    return results, missing


def choose_threshold(kind: Kind, queries: Sequence[LabeledQuery], *, precision: float) -> Threshold:
    """Calibrate a threshold on one half of the queries, and validate it on the other half.

    The threshold is the lowest that reaches `precision` in two ways: among pairs, and among queries
    with hits if every second query has no match in the library.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`, or the validation does not confirm it.
    """
    choosing, checking = _halves(queries)
    pool = _pool(choosing)
    least = min(LEAST, len(choosing))
    lowest = max(pool.lowest(precision), no_match.pool(choosing).lowest(precision, least=least))
    checked = _pool(checking).judge(lowest)
    confirm(precision, checked)
    confirm(precision, no_match.pool(checking).judge(lowest))
    return Threshold(
        kind, lowest, precision, pool.judge(lowest), checked, no_match.judge(checking, lowest)
    )


def pools(queries: Sequence[LabeledQuery]) -> tuple[Pool, Pool]:
    """Return a calibration and a validation pool. No pair is in both."""
    choosing, checking = _halves(queries)
    return _pool(choosing), _pool(checking)


def _halves(queries: Sequence[LabeledQuery]) -> tuple[Sequence[Judged], Sequence[Judged]]:
    """Return the hits of the calibration queries and of the validation queries."""
    ordered = sorted(queries, key=lambda query: _random_key(query.id))
    half = len(ordered) // 2
    checking_ids = {query.id for query in ordered[half:]}
    choosing = [
        [hit for hit in query.hits if hit[0] not in checking_ids] for query in ordered[:half]
    ]
    return choosing, [query.hits for query in ordered[half:]]


def _pool(queries: Sequence[Judged]) -> Pool:
    return Pool.of([[(score, right, 1.0) for _, score, right in hits] for hits in queries])


def _require_meaningful_labels(queries: Sequence[LabeledQuery]) -> None:
    """Reject labels that do not describe the images, such as folders by date.

    Raises:
        DatasetError: there is only one label, each label has one image, or images with the same
            label score no higher than others.
    """
    remedy = "Name a dataset with one folder for each subject of its images."
    pairs = [right for query in queries for _, _, right in query.hits]
    if pairs and all(pairs):
        raise DatasetError(
            f"the labels do not separate images: all {len(queries)} labeled images have the same "
            f"label, so no hit can be wrong. {remedy}"
        )
    if not any(pairs):
        raise DatasetError(
            f"the labels do not join images: none of {len(queries)} labeled images finds another "
            f"one of its label. {remedy}"
        )
    shares = [share for query in queries if (share := _right_higher(query)) is not None]
    if len(shares) < _LEAST:
        return
    mean, half = float(np.mean(shares)), 1.96 * float(np.std(shares)) / len(shares) ** 0.5
    if mean - half <= 0.5:  # no better than chance
        raise DatasetError(
            f"the labels do not fit the images: an image of the same label scores higher than "
            f"another in {mean:.0%} of pairs (95 % interval {mean - half:.0%} to "
            f"{mean + half:.0%}), and chance gives 50 %. Folders by date or place are not labels. "
            f"{remedy}"
        )


def _right_higher(query: LabeledQuery) -> float | None:
    """Return the share of pairs in which a right hit scores higher than a wrong one.

    Returns None if right or wrong hits are missing.
    """
    right = np.array([score for _, score, is_right in query.hits if is_right])
    wrong = np.array([score for _, score, is_right in query.hits if not is_right])
    if not (right.size and wrong.size):
        return None
    difference = right[:, None] - wrong[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


class _Labels:
    """Labels by image id. A dataset's label takes precedence over the collection's label."""

    def __init__(self, dataset: Mapping[str, str], collection: Mapping[str, str]) -> None:
        self.dataset, self.collection = dataset, collection

    @classmethod
    def of(cls, collection: Collection, dataset: Dataset | None) -> "_Labels":
        where = WHOLE if has_regions(collection) else None
        own = {
            record.id: composed(str(record.fields.get("label", "")))
            for record in collection.iterate(where=where, vectors=False)
        }
        by_content: dict[str, str] = {}
        for item in dataset.gallery if dataset else ():
            by_content.setdefault(sources.content_id(sources.read(item.path)), item.label)
        return cls(by_content, own)

    def __getitem__(self, id_: str) -> str:
        return self.dataset.get(id_) or self.collection.get(id_, "")

    def names(self) -> list[str]:
        """Return the labels of the collection's images, sorted."""
        return sorted({self[id_] for id_ in self.collection} - {""})


def _search_images(
    collection: Collection,
    encoder: Encoder,
    dataset: Dataset | None,
    labels: _Labels,
    report: OnProgress,
) -> list[LabeledQuery]:
    """Search for each dataset query or, without a dataset, for each labeled image."""
    if dataset:
        images, total = _dataset_images(encoder, dataset), min(MOST, len(dataset.queries))
    else:
        ids = sorted((id_ for id_ in labels.collection if labels[id_]), key=_random_key)[:MOST]
        images, total = _collection_images(collection, ids, labels), len(ids)
    queries = []
    for done, (id_, label, vector) in enumerate(images, 1):
        queries.append(_search(collection, id_, label, vector, labels))
        report("images", done, total)
    report("images", total, total)  # includes undecodable images
    return queries


def _search_texts(
    collection: Collection, encoder: Encoder, labels: _Labels, report: OnProgress
) -> list[LabeledQuery]:
    """Search for each label name that the encoder knows. Underscores are replaced by spaces."""
    names = labels.names() if encoder.languages else []
    queries = []
    for done, name in enumerate(names, 1):
        try:
            vector = encoder.encode_texts([name.replace("_", " ")])[0]
        except TextUnknown:
            continue
        queries.append(_search(collection, name, name, vector, labels))
        report("texts", done, len(names))
    if names:
        report("texts", len(names), len(names))  # includes names that the encoder does not know
    return queries


def _collection_images(
    collection: Collection, ids: Sequence[str], labels: _Labels
) -> Iterator[tuple[str, str, Vector]]:
    for id_, record in collection.get(ids, vectors=True).items():
        if record.vector is not None:
            yield id_, labels[id_], record.vector


def _dataset_images(encoder: Encoder, dataset: Dataset) -> Iterator[tuple[str, str, Vector]]:
    """Yield the (id, label, vector) of each query of the dataset. Skips undecodable images."""
    items = sorted(dataset.queries, key=lambda item: _random_key(f"{item.label}/{item.path.name}"))
    for item in items[:MOST]:
        data = sources.read(item.path)
        try:
            prepared = model_input(encoder, data, str(item.path))
        except ImageError:
            continue
        vector = np.ascontiguousarray(unit(encoder.features([prepared]))[0])
        yield sources.content_id(data), item.label, vector


def _search(
    collection: Collection, id_: str, label: str, vector: Vector, labels: _Labels
) -> LabeledQuery:
    hits = search_images(collection, vector, SearchOptions(k=DEPTH + 1))
    others = [(image_id(collection, hit), hit.score) for hit in hits]
    judged = [
        (other, score, labels[other] == label)
        for other, score in others
        if other != id_ and labels[other]
    ]
    return LabeledQuery(id_, judged[:DEPTH])


def _random_key(name: str) -> str:
    return sha256(f"labelled-scores {name}".encode("utf-8", "backslashreplace")).hexdigest()
