"""A sample of a collection's images, with scores of their changes and of their nearest images.

An image and its change are a right pair, two images a wrong pair. The nearest images may be real
copies, which must not count as wrong. So pixels are compared, without an encoder: signatures first,
and full detail if the signatures are similar. A pair that shows the same picture counts as a copy
and is left out. A pair that pixels cannot decide is unclear, neither right nor wrong.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch import images
from imgsearch.backends import Collection
from imgsearch.backends.regions import WHOLE, has_regions
from imgsearch.encoders import Encoder
from imgsearch.errors import DatasetError, ImageError, SourceError
from imgsearch.evaluation.copy_detection import compare_copies
from imgsearch.evaluation.pixel_similarity import Verdict
from imgsearch.evaluation.signatures import SMALL, Signatures, are_similar, signatures
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.images import sources
from imgsearch.library.duplicates import scores
from imgsearch.types import Hit, Pixels, Record, Value

SAMPLE: Final = 200  # images changed in 14 ways, which takes half a minute on two cores

_OTHERS: Final = 5  # times as many images are used for wrong pairs, because these are rarer
_NEIGHBORS: Final = 5  # wrong pairs of an image, the nearest ones, as they pass a threshold first
_HITS: Final = 16  # hits fetched to get 5 neighbors, so up to 11 may be copies
_BATCH: Final = 64  # queries in one search
_EDGE: Final = 400  # pixels; the published figures of the transforms are for this size
_FLOOR: Final = 0.1  # quantile of the right scores below which a hit is wrong without a comparison
_CACHED_PIXELS: Final = 64  # images of 0.5 MB
_CACHED_SIGNATURES: Final = 1_000  # images of 15 kB; an image may be a neighbor of several

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, the number of images done, and the total."""


@dataclass(frozen=True)
class Original:
    """An image of the sample, the scores of its changes, and its nearest other images.

    `changes` is empty for an unchanged image. `others` are the hits that form wrong pairs. `copies`
    is the number of nearest images that are copies, which are left out. `unclear` are near images
    that may be copies.
    """

    id: str
    changes: Sequence[float]
    others: Sequence[Hit]
    copies: int = 0
    unclear: Sequence[Hit] = ()


def originals(
    collection: Collection,
    encoder: Encoder,
    *,
    sample: int = SAMPLE,
    on_progress: OnProgress | None = None,
) -> tuple[list[Original], int]:
    """Return a sample of the collection's images, and the number of files that cannot be read.

    `sample` images are changed, and five times as many are compared with their neighbors. The
    sample does not depend on the order of the records.

    Raises:
        DatasetError: fewer than four images can be read, or the collection has a single image.
        EncoderMismatch: `encoder` is not the collection's encoder.
    """
    collection.require(encoder.fingerprint)
    report = on_progress or (lambda _stage, _done, _total: None)
    records = _sample(collection, sample * _OTHERS)
    changes = _changes(collection, encoder, records, sample, report)
    if len(changes) < 4:  # two in each half
        raise DatasetError(
            f"cannot choose a threshold: {len(changes)} of {len(records)} images could be read. "
            "Give the threshold as a number."
        )
    floor = float(np.quantile(np.concatenate(list(changes.values())), _FLOOR))
    sampled = list(_neighbors(collection, records, changes, floor, report))
    if not any(original.others or original.unclear for original in sampled):
        raise DatasetError(
            "cannot choose a threshold: no image has another image to compare with. Give the "
            "threshold as a number."
        )
    return sampled, len(records) - len(sampled)


def _changes(
    collection: Collection,
    encoder: Encoder,
    records: Sequence[Record],
    number: int,
    report: OnProgress,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores (14,) of the changes of the first `number` readable images, by id."""
    scores_by_id: dict[str, npt.NDArray[np.float64]] = {}
    for record in records:
        if len(scores_by_id) == number:
            break
        image = _image(record.fields, at_least=_EDGE)
        if image is not None and record.vector is not None:
            vectors = encoder.encode([change(image) for change in TRANSFORMS.values()])
            scores_by_id[record.id] = scores(collection.schema.metric, vectors, record.vector)
            report("changing", len(scores_by_id), min(number, len(records)))
    report("changing", len(scores_by_id), len(scores_by_id))  # fewer may be readable
    return scores_by_id


def _neighbors(
    collection: Collection,
    records: Sequence[Record],
    changes: Mapping[str, npt.NDArray[np.float64]],
    floor: float,
    report: OnProgress,
) -> Iterator[Original]:
    """Yield each record that has a readable file, with its nearest other images."""
    where = WHOLE if has_regions(collection) else None
    pixels = _Pixels()
    for start in range(0, len(records), _BATCH):
        batch = [record for record in records[start : start + _BATCH] if record.vector is not None]
        vectors = np.stack([record.vector for record in batch if record.vector is not None])
        results = collection.search(vectors, k=_HITS + 1, where=where)
        for record, hits in zip(batch, results, strict=True):
            path = str(record.fields.get("path", ""))
            if pixels.signatures(path) is not None:
                others = (hit for hit in hits if hit.id != record.id)
                yield _judge(record.id, path, changes.get(record.id, ()), others, floor, pixels)
        report("comparing", min(start + _BATCH, len(records)), len(records))


def _judge(
    id_: str,
    path: str,
    changes: Iterable[float],
    hits: Iterable[Hit],
    floor: float,
    pixels: "_Pixels",
) -> Original:
    """Return an original; a pixel comparison divides its hits into other, copied and unclear."""
    others: list[Hit] = []
    unclear: list[Hit] = []
    copies = 0
    for hit in hits:
        if len(others) == _NEIGHBORS:
            break
        verdict: Verdict | None = "different"
        if hit.score >= floor:
            verdict = pixels.verdict(path, str(hit.fields.get("path", "")))
        if verdict == "same":
            copies += 1
        elif verdict is not None:
            (unclear if verdict == "unclear" else others).append(hit)
    return Original(id_, list(changes), others, copies, unclear)


class _Pixels:
    """Reads and compares the pixels of a collection's files, at most 400 pixels a side."""

    def __init__(self) -> None:
        self.signatures = lru_cache(_CACHED_SIGNATURES)(self._signatures)
        self._pixels = lru_cache(_CACHED_PIXELS)(self._read)
        self._verdicts: dict[frozenset[str], Verdict | None] = {}

    def verdict(self, one: str, other: str) -> Verdict | None:
        """Return the verdict on two files, or None if one is unreadable.

        If the signatures are not similar, the files are "different" without a closer comparison.
        """
        mine, theirs = self.signatures(one), self.signatures(other)
        if mine is None or theirs is None:
            return None
        if not are_similar(mine, theirs):
            return "different"
        pair = frozenset((one, other))  # most pairs are neighbors in both directions
        if pair not in self._verdicts:
            self._verdicts[pair] = self._compare(one, other, (mine, theirs))
        return self._verdicts[pair]

    def _compare(
        self, one: str, other: str, known: tuple[Signatures, Signatures]
    ) -> Verdict | None:
        first, second = self._pixels(one), self._pixels(other)
        if first is None or second is None:
            return None
        return compare_copies(Image.fromarray(first), Image.fromarray(second), known).verdict

    def _signatures(self, path: str) -> Signatures | None:
        image = _image({"path": path}, at_least=SMALL)
        return None if image is None else signatures(image)

    def _read(self, path: str) -> Pixels | None:
        return _image({"path": path}, at_least=_EDGE)


def _sample(collection: Collection, number: int) -> list[Record]:
    """Return the `number` records with the smallest hashes, so record order does not matter."""
    where = WHOLE if has_regions(collection) else None
    records = collection.iterate(where=where, vectors=False)
    ids = [record.id for record in heapq.nsmallest(number, records, key=lambda row: _hash(row.id))]
    stored = collection.get(ids, vectors=True)
    return [stored[id_] for id_ in ids if id_ in stored]


def _hash(id_: str) -> str:
    return sha256(f"near-duplicates {id_}".encode()).hexdigest()  # the text is the seed


def _image(fields: Mapping[str, Value], *, at_least: int) -> Pixels | None:
    """Return an image of at most 400 pixels a side, or None if its file is unreadable."""
    path = str(fields.get("path", ""))
    try:
        picture = images.picture(sources.read(path), path=path, at_least=at_least)
    except (ImageError, SourceError):
        return None
    picture.thumbnail((_EDGE, _EDGE))
    return np.array(picture)
