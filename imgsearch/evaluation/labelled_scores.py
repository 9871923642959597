"""The least score of right hits: thresholds from labelled images, by kind of query.

Each labelled image searches for the others of its label, and each label, as a text, for its images.
Texts and images have separate thresholds, because their scores differ. A hit is right if it has the
query's label; hits without a label are ignored. A threshold must also reject queries whose label's
images are left out of the library.

Half of the queries choose a threshold, and the others check it. A pair of a query that chooses with
one that checks counts in the check only.
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
from imgsearch.errors import (
    DatasetError,
    ImageError,
    PrecisionUnreached,
    TextUnknown,
)
from imgsearch.evaluation import no_match
from imgsearch.evaluation.candidate_pool import LEAST, Judgement, Pool, confirm
from imgsearch.evaluation.no_match import Judged, NoMatch
from imgsearch.filters import composed
from imgsearch.images import sources
from imgsearch.library.embedding import model_input
from imgsearch.types import Vector

Kind: TypeAlias = Literal["image", "text"]
OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the stage, how many queries are done, and of how many."""

MOST: Final = 1_000  # image queries: an interval of some 0.02, and seconds
DEPTH: Final = 100  # hits of a query: as far as anyone looks
_LEAST: Final = 4  # queries, two in each half: an interval needs two


@dataclass(frozen=True, slots=True)
class Asked:
    """One query and its hits that have a label, nearest first, itself not among them.

    `id` is an image's, or a label; `hits` are (id, score, whether it has the query's label).
    """

    id: str
    hits: Judged


@dataclass(frozen=True)
class Threshold:
    """A threshold for a kind of query, and its figures on queries that did not choose it.

    The recall is the share of right hits among the 100 nearest. `no_match` has the figures of
    queries whose label's images are left out of the library.
    """

    kind: Kind
    threshold: float
    wanted: float
    chosen: Judgement
    checked: Judgement
    no_match: NoMatch

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
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
    """Return a threshold for each kind of query, and the reasons why other kinds have none.

    The queries are the images of `dataset`, or its held-out images if it has any. Without one the
    labelled images of the collection are the queries. A hit's label is the dataset's label of its
    content, else its own. Label names are queries, too, if the encoder takes texts. `precision` is
    the share of right pairs among those at the threshold or above.

    Raises:
        PrecisionUnreached: no kind of query reaches it; the error has the best precision reached.
        DatasetError: there are fewer than four labelled images to search for, or the labels do not
            fit the scores: there is one label, each label has one image, or images of one label
            score no higher than others.
        EncoderMismatch: the encoder is not the collection's.
        SourceError: an image of the dataset cannot be read.
    """
    collection.require(encoder.fingerprint)
    tell = on_progress or (lambda _stage, _done, _total: None)
    labels = _Labels.of(collection, dataset)
    found: dict[Kind, Threshold] = {}
    missing: dict[Kind, str] = {}
    errors: list[PrecisionUnreached] = []
    asked: dict[Kind, list[Asked]] = {
        "image": _images(collection, encoder, dataset, labels, tell),
        "text": _texts(collection, encoder, labels, tell),
    }
    if len(asked["image"]) < _LEAST:
        raise DatasetError(
            f"{len(asked['image'])} labelled images to look for others of their label: too few; "
            "name a labelled dataset whose images the library holds"
        )
    _require_meaning(asked["image"])
    for kind, each in asked.items():
        if len(each) < _LEAST:
            missing[kind] = f"{len(each)} {kind} queries: too few"
            continue
        try:
            found[kind] = chosen(kind, each, precision=precision)
        except PrecisionUnreached as error:
            missing[kind] = str(error)
            errors.append(error)
    if not found:
        raise max(errors, key=lambda error: error.best)
    return found, missing


def chosen(kind: Kind, asked: Sequence[Asked], *, precision: float) -> Threshold:
    """Return the threshold that one half of the queries chooses, checked by the other half.

    It is the lowest at which both precisions are reached: of pairs, and of queries with hits where
    every second query has no answer in the library.

    Raises:
        PrecisionUnreached: no threshold reaches it, or the other half denies the one that does.
    """
    choosing, checking = _halves(asked)
    pool = _pool(choosing)
    least = min(LEAST, len(choosing))
    lowest = max(pool.lowest(precision), no_match.pool(choosing).lowest(precision, least=least))
    checked = _pool(checking).judge(lowest)
    confirm(precision, checked)
    confirm(precision, no_match.pool(checking).judge(lowest))
    return Threshold(
        kind, lowest, precision, pool.judge(lowest), checked, no_match.judge(checking, lowest)
    )


def pools(asked: Sequence[Asked]) -> tuple[Pool, Pool]:
    """Return the pool that chooses a threshold and the one that checks it; no pair is in both."""
    choosing, checking = _halves(asked)
    return _pool(choosing), _pool(checking)


def _halves(asked: Sequence[Asked]) -> tuple[Sequence[Judged], Sequence[Judged]]:
    """Return the hits of the queries that choose and of those that check."""
    ordered = sorted(asked, key=lambda query: _drawn(query.id))
    half = len(ordered) // 2
    checking_ids = {query.id for query in ordered[half:]}
    choosing = [
        [hit for hit in query.hits if hit[0] not in checking_ids] for query in ordered[:half]
    ]
    return choosing, [query.hits for query in ordered[half:]]


def _pool(queries: Sequence[Judged]) -> Pool:
    return Pool.of([[(score, right, 1.0) for _, score, right in hits] for hits in queries])


def _require_meaning(asked: Sequence[Asked]) -> None:
    """Refuse names that do not label the images, such as folders by date.

    Raises:
        DatasetError: there is one label, each label has one image, or images of one label score no
            higher than others.
    """
    remedy = "Name a dataset with one folder for each subject of its images."
    pairs = [right for query in asked for _, _, right in query.hits]
    if pairs and all(pairs):
        raise DatasetError(
            f"the labels do not separate images: all {len(asked)} labelled images have the same "
            f"label, so no hit can be wrong. {remedy}"
        )
    if not any(pairs):
        raise DatasetError(
            f"the labels do not join images: none of {len(asked)} labelled images finds another "
            f"one of its label. {remedy}"
        )
    shares = [share for query in asked if (share := _higher(query)) is not None]
    if len(shares) < _LEAST:
        return
    mean, half = float(np.mean(shares)), 1.96 * float(np.std(shares)) / len(shares) ** 0.5
    if mean - half <= 0.5:  # what chance gives
        raise DatasetError(
            f"the labels do not fit the images: an image of the same label scores higher than "
            f"another in {mean:.0%} of pairs (95 % interval {mean - half:.0%} to "
            f"{mean + half:.0%}), and chance gives 50 %. Folders by date or place are not labels. "
            f"{remedy}"
        )


def _higher(query: Asked) -> float | None:
    """Return how often a right hit scores higher than a wrong one, None if either is missing."""
    right = np.array([score for _, score, is_right in query.hits if is_right])
    wrong = np.array([score for _, score, is_right in query.hits if not is_right])
    if not (right.size and wrong.size):
        return None
    difference = right[:, None] - wrong[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


class _Labels:
    """Labels by image id: those of a dataset's contents, else those of the collection."""

    def __init__(self, known: Mapping[str, str], collection: Mapping[str, str]) -> None:
        self.known, self.own = known, collection

    @classmethod
    def of(cls, collection: Collection, dataset: Dataset | None) -> "_Labels":
        where = WHOLE if has_regions(collection) else None
        told = {
            record.id: composed(str(record.fields.get("label", "")))
            for record in collection.iterate(where=where, vectors=False)
        }
        known: dict[str, str] = {}
        for item in dataset.gallery if dataset else ():
            known.setdefault(sources.content_id(sources.read(item.path)), item.label)
        return cls(known, told)

    def __getitem__(self, id_: str) -> str:
        return self.known.get(id_) or self.own.get(id_, "")

    def names(self) -> list[str]:
        """Return the labels of the collection's images, sorted."""
        return sorted({self[id_] for id_ in self.own} - {""})


def _images(
    collection: Collection,
    encoder: Encoder,
    dataset: Dataset | None,
    labels: _Labels,
    tell: OnProgress,
) -> list[Asked]:
    """Ask for each image of the dataset, or each of the collection that has a label."""
    if dataset:
        queries, total = _of_dataset(encoder, dataset), min(MOST, len(dataset.queries))
    else:
        ids = sorted((id_ for id_ in labels.own if labels[id_]), key=_drawn)[:MOST]
        queries, total = _of_collection(collection, ids, labels), len(ids)
    asked = []
    for done, (id_, label, vector) in enumerate(queries, 1):
        asked.append(_asked(collection, id_, label, vector, labels))
        tell("images", done, total)
    tell("images", total, total)  # counts images that cannot be decoded
    return asked


def _texts(
    collection: Collection, encoder: Encoder, labels: _Labels, tell: OnProgress
) -> list[Asked]:
    """Ask for each label by its name, its underscores as spaces, that the encoder knows."""
    names = labels.names() if encoder.languages else []
    asked = []
    for done, name in enumerate(names, 1):
        try:
            vector = encoder.encode_texts([name.replace("_", " ")])[0]
        except TextUnknown:
            continue
        asked.append(_asked(collection, name, name, vector, labels))
        tell("texts", done, len(names))
    if names:
        tell("texts", len(names), len(names))  # counts names that the encoder does not know
    return asked


def _of_collection(
    collection: Collection, ids: Sequence[str], labels: _Labels
) -> Iterator[tuple[str, str, Vector]]:
    for id_, record in collection.get(ids, vectors=True).items():
        if record.vector is not None:
            yield id_, labels[id_], record.vector


def _of_dataset(encoder: Encoder, dataset: Dataset) -> Iterator[tuple[str, str, Vector]]:
    """Yield the dataset's queries; an image that cannot be decoded is passed over."""
    items = sorted(dataset.queries, key=lambda item: _drawn(f"{item.label}/{item.path.name}"))
    for item in items[:MOST]:
        data = sources.read(item.path)
        try:
            ready = model_input(encoder, data, str(item.path))
        except ImageError:
            continue
        vector = np.ascontiguousarray(unit(encoder.features([ready]))[0])
        yield sources.content_id(data), item.label, vector


def _asked(collection: Collection, id_: str, label: str, vector: Vector, labels: _Labels) -> Asked:
    hits = search_images(collection, vector, k=DEPTH + 1)
    others = [(image_id(collection, hit), hit.score) for hit in hits]
    judged = [
        (other, score, labels[other] == label)
        for other, score in others
        if other != id_ and labels[other]
    ]
    return Asked(id_, judged[:DEPTH])


def _drawn(name: str) -> str:
    return sha256(f"labelled-scores {name}".encode("utf-8", "backslashreplace")).hexdigest()
