"""Near-duplicates in a collection: groups of similar images, and hits without near-duplicates.

Two images are near if their score reaches a threshold. This is not transitive: every member of a
group is near the kept image, but two other members may not be near.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from imgsearch.backends.checks import can_compare
from imgsearch.backends.collection import Collection
from imgsearch.backends.regions import WHOLE, has_regions, image_id, search_images
from imgsearch.backends.schema import Metric
from imgsearch.filters import Filter
from imgsearch.query import SearchOptions
from imgsearch.types import MAX_K, Hit, Matrix, Record, Value, Vector

_BATCH: Final = 256  # queries in one search: 2 MB at 2,048 dimensions
_NEAR: Final = 16  # neighbors fetched at first, because most images have no duplicate
_MORE: Final = 4  # growth factor of the next fetch if there were too few
_FAILURES: Final = 8  # a comparison ends after 8 different pictures in a row: copies are nearest


@dataclass(frozen=True, slots=True)
class Member:
    """An image in a group, with its score to the kept image; the kept image's own score is 1.

    `verified`: a `SecondLook` compared both files and found the same picture.
    """

    id: str
    score: float
    fields: Mapping[str, Value]
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A kept image, and `others`: the images near it, nearest first."""

    kept: Member
    others: Sequence[Member]


class SecondLook(Protocol):
    """A closer comparison of two images whose score suggests that they are near-duplicates."""

    def __call__(self, kept: Member, other: Member, *, near: bool) -> bool | None:
        """Return whether both show the same picture. Returns None if a file cannot be read.

        `near`: the score reaches the threshold; otherwise the pair is a candidate below it.
        """

    def pass_over(self, pairs: int) -> None:
        """Record the number of near pairs that are not compared."""


def groups(
    collection: Collection,
    threshold: float,
    *,
    candidates: float | None = None,
    second_look: SecondLook | None = None,
    unread: bool = False,
    apart: AbstractSet[frozenset[str]] = frozenset(),
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Group]:
    """Return groups of images whose score reaches `threshold`, the largest group first.

    No image is in two groups. The image with the most near images is kept; ties go to the shortest
    path. The remaining images are grouped in the same way. Each image is searched for in the
    collection, and memory grows with the number of near pairs. Regions are left out. `on_progress`
    is called with the number of images searched for and the total.

    With a `second_look` a group holds only images that show the same picture as the kept one. With
    `unread` it also holds near images whose files cannot be read. The nearest images are compared
    first. After 8 different pictures in a row the remaining ones are not compared. Pairs whose
    score reaches `candidates` but not `threshold` are compared, too, and grouped if they show the
    same picture. No group has two images that are a pair of ids in `apart`.

    Raises:
        BackendError: the store failed.
    """
    where = WHOLE if has_regions(collection) else None
    lowest = threshold if candidates is None or second_look is None else candidates
    total, done = collection.count(where), 0
    near: dict[str, dict[str, float]] = defaultdict(dict)
    records = collection.iterate(where=where)
    while batch := list(islice(records, _BATCH)):
        for record, hits in zip(batch, _near_hits(collection, batch, where, lowest), strict=True):
            for other in hits:
                if other.id != record.id and frozenset((record.id, other.id)) not in apart:
                    # an approximate index may find a pair from one side only
                    score = max(other.score, near[record.id].get(other.id, other.score))
                    near[record.id][other.id] = near[other.id][record.id] = score
        done += len(batch)
        if on_progress:
            on_progress(done, max(total, done))
    if on_progress:
        on_progress(done, done)  # the store's count may have been wrong
    comparisons = _Comparisons(second_look, threshold, unread=unread) if second_look else None
    records_by_id = collection.get(sorted(near))
    star_groups = _star_groups(near, records_by_id, threshold, comparisons, apart)
    if comparisons:
        comparisons.finish()
    return star_groups


def search_distinct(
    collection: Collection,
    vector: Vector,
    options: SearchOptions,
    *,
    threshold: float,
    apart: AbstractSet[frozenset[str]] = frozenset(),
    search: Callable[..., list[Hit]] | None = None,
) -> list[Hit]:
    """Return at most `options.k` hits without near-duplicates, nearest first.

    Like `regions.search_images`, but if the score of two images reaches `threshold`, only the image
    nearer to the query is returned, unless their ids are a pair in `apart`. Fetches more hits until
    there are enough, at most 16,384.

    Raises:
        ConfigError, FieldInvalid, DimensionMismatch, VectorInvalid: as for `Collection.search`.
    """
    wanted = fetched = options.k + options.offset
    while True:
        hits = search_images(collection, vector, replace(options, k=fetched, offset=0), search)
        distinct_hits = distinct(collection, hits, threshold=threshold, apart=apart, most=wanted)
        if len(distinct_hits) == wanted or len(hits) < fetched or fetched == MAX_K:
            return distinct_hits[options.offset :]
        fetched = min(fetched * _MORE, MAX_K)


def distinct(
    collection: Collection,
    hits: Sequence[Hit],
    *,
    threshold: float,
    apart: AbstractSet[frozenset[str]] = frozenset(),
    most: int = MAX_K,
) -> list[Hit]:
    """Return up to `most` of `hits` in order, without hits that are near an earlier one.

    Images whose ids are a pair in `apart` are not near. Whole images are compared, even if a hit is
    a region of one. A hit that was removed after the search is left out.
    """
    metric = collection.schema.metric
    vectors = np.empty((min(most, len(hits)), collection.schema.dim), dtype=np.float32)
    chosen: list[Hit] = []
    ids: list[str] = []
    remaining = iter(hits)
    while len(chosen) < most and (part := list(islice(remaining, _BATCH))):
        records = collection.get([image_id(collection, hit) for hit in part], vectors=True)
        for hit in part:
            record = records.get(image_id(collection, hit))
            if len(chosen) == most or record is None or record.vector is None:
                continue
            near = scores(metric, vectors[: len(chosen)], record.vector) >= threshold
            if all(frozenset((ids[place], record.id)) in apart for place in np.flatnonzero(near)):
                vectors[len(chosen)] = record.vector
                chosen.append(hit)
                ids.append(record.id)
    return chosen


def scores(metric: Metric, vectors: Matrix, vector: Vector) -> npt.NDArray[np.float64]:
    """Return the scores, as in `Hit`, of `vector` to each of `vectors` (n, d), float64 (n,)."""
    one: npt.NDArray[np.float64] = vector.astype(np.float64)
    others: npt.NDArray[np.float64] = vectors.astype(np.float64)
    if metric == "l2":
        return np.asarray(1 - ((others - one) ** 2).sum(axis=1) / 2)
    products: npt.NDArray[np.float64] = others @ one
    if metric == "cosine":
        products /= np.linalg.norm(others, axis=1) * np.linalg.norm(one)
    return products


def _near_hits(
    collection: Collection, batch: Sequence[Record], where: Filter | None, threshold: float
) -> Iterator[list[Hit]]:
    """Yield each record's hits with a score of at least `threshold`, including the record itself.

    A record has at most `MAX_K` hits.
    """
    pending = {
        position: row.vector for position, row in enumerate(batch) if can_compare(row.vector)
    }
    near: dict[int, list[Hit]] = {}
    fetched = _NEAR
    while pending:
        queries = np.stack(list(pending.values()))
        results = collection.search(queries, k=fetched, where=where, min_score=threshold)
        for position, hits in zip(list(pending), results, strict=True):
            if len(hits) < fetched or fetched == MAX_K:
                near[position] = hits
                del pending[position]
        fetched = min(fetched * _MORE, MAX_K)
    return (near.get(position, []) for position in range(len(batch)))


class _Comparisons:
    """Runs a `SecondLook` at most once per pair, and keeps the results."""

    def __init__(self, second_look: SecondLook, threshold: float, *, unread: bool) -> None:
        self._second_look, self._threshold, self._unread = second_look, threshold, unread
        self._results: dict[frozenset[str], bool | None] = {}
        self._skipped: set[frozenset[str]] = set()

    def passing(self, kept: Member, others: Sequence[Member]) -> list[Member]:
        """Return the members of `others`, sorted nearest first, that may be grouped with `kept`."""
        passed: list[Member] = []
        failures = 0
        for position, other in enumerate(others):
            pair, near = frozenset((kept.id, other.id)), other.score >= self._threshold
            if pair not in self._results:
                self._results[pair] = self._second_look(kept, other, near=near)
            same = self._results[pair]
            if same or (same is None and near and self._unread):
                passed.append(replace(other, verified=bool(same)))
            failures = failures + 1 if same is False else 0
            if failures == _FAILURES:
                rest = [other for other in others[position + 1 :] if other.score >= self._threshold]
                self._skipped |= {frozenset((kept.id, other.id)) for other in rest}
                break
        return passed

    def finish(self) -> None:
        """Report the number of pairs that were not compared in either direction."""
        self._second_look.pass_over(len(self._skipped - self._results.keys()))


def _together(others: Sequence[Member], apart: AbstractSet[frozenset[str]]) -> list[Member]:
    """Return the members in order, without members that are kept apart from an earlier one."""
    if not apart:
        return list(others)
    chosen: list[Member] = []
    for other in others:
        if not any(frozenset((other.id, one.id)) in apart for one in chosen):
            chosen.append(other)
    return chosen


def _star_groups(
    near: Mapping[str, Mapping[str, float]],
    records: Mapping[str, Record],
    threshold: float,
    comparisons: _Comparisons | None,
    apart: AbstractSet[frozenset[str]],
) -> list[Group]:
    """Return groups: repeatedly take the image with the most near images, and these images.

    Candidates below the threshold do not affect the order.

    Source: Aslam, Pelekhov, Rus, The Star Clustering Algorithm, JGAA 8(1), 2004; here an image
    belongs to its first star only.
    """

    def rank(id_: str) -> tuple[int, int, str, str]:
        path = str(records[id_].fields.get("path", ""))
        number = sum(score >= threshold for score in near[id_].values())
        return -number, len(path), path, id_

    grouped_ids: set[str] = set()
    star_groups: list[Group] = []
    for id_ in sorted(near.keys() & records.keys(), key=rank):
        if id_ in grouped_ids:
            continue
        kept = Member(id_, 1.0, records[id_].fields)
        others = [
            Member(other, score, records[other].fields)
            for other, score in sorted(near[id_].items(), key=lambda item: (-item[1], item[0]))
            if other not in grouped_ids and other in records
        ]
        if comparisons:
            others = comparisons.passing(kept, others)
        others = _together(others, apart)
        if others:
            grouped_ids |= {id_, *(other.id for other in others)}
            star_groups.append(Group(kept, others))
    return sorted(star_groups, key=lambda group: (-len(group.others), group.kept.id))
