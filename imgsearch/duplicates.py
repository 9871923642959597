"""Near-duplicates in a collection: groups of images that are alike, and hits without repetition.

Near are two images whose score reaches a threshold. That does not chain: each member of a group is
near the image that is kept of it, though perhaps not near each other member.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from imgsearch.backends.checks import can_compare
from imgsearch.backends.collection import MAX_K, Collection
from imgsearch.backends.schema import Metric
from imgsearch.filters import Filter
from imgsearch.regions import WHOLE, has_regions, image_id, search_images
from imgsearch.types import Hit, Matrix, Record, Value, Vector

_BATCH: Final = 256  # queries at once: of 2,048 dimensions 2 MB
_NEAR: Final = 16  # neighbours fetched at first; most images have no duplicate at all
_FAILURES: Final = 8  # second looks on end that find another picture: copies are the nearest
_MORE: Final = 4  # times as many fetched where those were not enough


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a group; `score` is the one to the image that is kept, its own 1.

    `verified`: a second look at both files found the same picture.
    """

    id: str
    score: float
    fields: Mapping[str, Value]
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """An image that is kept, and `others` that are near it, nearest first."""

    kept: Member
    others: Sequence[Member]


class SecondLook(Protocol):
    """A closer look at two images that are near by their score."""

    def __call__(self, kept: Member, other: Member) -> bool | None:
        """Return whether they show the same picture; None where one cannot be read."""

    def pass_over(self, pairs: int) -> None:
        """Take note of how many near pairs were not looked at."""


def groups(
    collection: Collection,
    threshold: float,
    *,
    second_look: SecondLook | None = None,
    unread: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Group]:
    """Return the groups of images whose score reaches `threshold`, the largest first.

    No image is in two of them. Kept is the image with the most near ones, of these the one with
    the shortest path; then of what is left. So of a chain of which only neighbours are near, the
    middle is kept, and its ends stay with it or on their own. Each image is searched for in the
    collection; memory is as the number of near pairs. Regions of images are passed over.
    `on_progress` is called with the number of images searched for and of all.

    With a `second_look` a group holds only images that it finds to be the same picture as the kept
    one, and with `unread` those that it cannot read. It looks at the nearest of each image first,
    and passes over the rest after 8 different ones on end.

    Raises:
        BackendError: the store failed.
    """
    where = WHOLE if has_regions(collection) else None
    total, done = collection.count(where), 0
    near: dict[str, dict[str, float]] = defaultdict(dict)
    records = collection.iterate(where=where)
    while batch := list(islice(records, _BATCH)):
        for record, hits in zip(batch, _near(collection, batch, where, threshold), strict=True):
            for other in hits:
                if other.id != record.id:  # an index may find a pair from one side only
                    score = max(other.score, near[record.id].get(other.id, other.score))
                    near[record.id][other.id] = near[other.id][record.id] = score
        done += len(batch)
        if on_progress:
            on_progress(done, max(total, done))
    if on_progress:
        on_progress(done, done)  # the store's count may differ from the records that it has
    look = _Looks(second_look, unread=unread) if second_look else None
    stars = _stars(near, collection.get(sorted(near)), look)
    if look:
        look.finish()
    return stars


def search_distinct(
    collection: Collection,
    vector: Vector,
    *,
    threshold: float,
    k: int = 10,
    offset: int = 0,
    where: Filter | None = None,
    min_score: float | None = None,
    effort: int | None = None,
) -> list[Hit]:
    """Return at most `k` hits, none of them near a hit before it, nearest first, after `offset`.

    As `regions.search_images`, but that of images whose score to each other reaches `threshold`
    the nearest to the query alone counts. More are fetched until there are enough, up to 16,384.

    Raises:
        ConfigError, FieldInvalid, DimensionMismatch, VectorInvalid: as `Collection.search`.
    """
    told: dict[str, Any] = {"where": where, "min_score": min_score, "effort": effort}
    if k < 1 or offset < 0 or k + offset > MAX_K:
        return search_images(collection, vector, k=k, offset=offset, **told)  # which says why
    wanted = fetched = k + offset
    while True:
        hits = search_images(collection, vector, k=fetched, **told)
        shown = distinct(collection, hits, threshold=threshold, most=wanted)
        if len(shown) == wanted or len(hits) < fetched or fetched == MAX_K:
            return shown[offset:]
        fetched = min(fetched * _MORE, MAX_K)


def distinct(
    collection: Collection, hits: Sequence[Hit], *, threshold: float, most: int = MAX_K
) -> list[Hit]:
    """Return the first `most` of `hits` that are near none of those returned before them.

    Whole images are compared, of which hits may be regions. A hit that was removed meanwhile is
    left out.
    """
    metric = collection.schema.metric
    vectors = np.empty((min(most, len(hits)), collection.schema.dim), dtype=np.float32)
    shown: list[Hit] = []
    places = iter(hits)
    while len(shown) < most and (part := list(islice(places, _BATCH))):
        there = collection.get([image_id(collection, each) for each in part], vectors=True)
        for each in part:
            record = there.get(image_id(collection, each))
            if len(shown) == most or record is None or record.vector is None:
                continue
            if (scores(metric, vectors[: len(shown)], record.vector) < threshold).all():
                vectors[len(shown)] = record.vector
                shown.append(each)
    return shown


def scores(metric: Metric, vectors: Matrix, vector: Vector) -> npt.NDArray[np.float64]:
    """Return what `Hit.score` would be of `vector` to each of `vectors` (n, d), float64 (n,)."""
    one: npt.NDArray[np.float64] = vector.astype(np.float64)
    others: npt.NDArray[np.float64] = vectors.astype(np.float64)
    if metric == "l2":
        return np.asarray(1 - ((others - one) ** 2).sum(axis=1) / 2)
    products: npt.NDArray[np.float64] = others @ one
    if metric == "cosine":
        products /= np.linalg.norm(others, axis=1) * np.linalg.norm(one)
    return products


def _near(
    collection: Collection, batch: Sequence[Record], where: Filter | None, threshold: float
) -> Iterator[list[Hit]]:
    """Yield for each record all hits of `threshold` or more, itself among them."""
    left = {place: each.vector for place, each in enumerate(batch) if can_compare(each.vector)}
    found: dict[int, list[Hit]] = {}
    fetched = _NEAR
    while left:
        asked = np.stack(list(left.values()))
        answers = collection.search(asked, k=fetched, where=where, min_score=threshold)
        for place, hits in zip(list(left), answers, strict=True):
            if len(hits) < fetched or fetched == MAX_K:
                found[place] = hits
                del left[place]
        fetched = min(fetched * _MORE, MAX_K)
    return (found.get(place, []) for place in range(len(batch)))


class _Looks:
    """A second look at each pair once, however often it is asked for."""

    def __init__(self, look: SecondLook, *, unread: bool) -> None:
        self._look, self._unread = look, unread
        self._seen: dict[frozenset[str], bool | None] = {}
        self._passed_over: set[frozenset[str]] = set()

    def passing(self, kept: Member, others: Sequence[Member]) -> list[Member]:
        """Return those of `others`, nearest first, that may be grouped with `kept`."""
        passed: list[Member] = []
        failures = 0
        for place, other in enumerate(others):
            pair = frozenset((kept.id, other.id))
            if pair not in self._seen:
                self._seen[pair] = self._look(kept, other)
            same = self._seen[pair]
            if same or (same is None and self._unread):
                passed.append(replace(other, verified=bool(same)))
            failures = failures + 1 if same is False else 0
            if failures == _FAILURES:
                rest = others[place + 1 :]
                self._passed_over |= {frozenset((kept.id, each.id)) for each in rest}
                break
        return passed

    def finish(self) -> None:
        """Report the pairs that were passed over and never looked at from the other side."""
        self._look.pass_over(len(self._passed_over - self._seen.keys()))


def _stars(
    near: Mapping[str, Mapping[str, float]], records: Mapping[str, Record], look: _Looks | None
) -> list[Group]:
    """Return the groups: again and again the image with the most near ones, and these.

    Source: Aslam, Pelekhov, Rus, The Star Clustering Algorithm, JGAA 8(1), 2004; here each image
    goes to the first star alone.
    """

    def rank(id_: str) -> tuple[int, int, str, str]:
        path = str(records[id_].fields.get("path", ""))
        return -len(near[id_]), len(path), path, id_

    taken: set[str] = set()
    stars: list[Group] = []
    for id_ in sorted(near.keys() & records.keys(), key=rank):
        if id_ in taken:
            continue
        kept = Member(id_, 1.0, records[id_].fields)
        others = [
            Member(other, score, records[other].fields)
            for other, score in sorted(near[id_].items(), key=lambda each: (-each[1], each[0]))
            if other not in taken and other in records
        ]
        if look:
            others = look.passing(kept, others)
        if others:
            taken |= {id_, *(other.id for other in others)}
            stars.append(Group(kept, others))
    return sorted(stars, key=lambda group: (-len(group.others), group.kept.id))
