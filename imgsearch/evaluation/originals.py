"""A sample of a collection's images: the scores of their changes, and their nearest others.

A change of an image and the image are a right pair, an image and another one a wrong pair. The
nearest others may include real copies, which must not count as wrong. So pixels are compared, in
which no encoder takes part: signatures of all, and at full detail the pairs whose signatures are
similar. A pair that shows the same picture is left out and counted as a copy. A pair on which
pixels cannot decide is unclear: it is neither right nor wrong.
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
from imgsearch.evaluation.copies import compare_copies
from imgsearch.evaluation.pixel_similarity import Verdict
from imgsearch.evaluation.signatures import SMALL, Signatures, signatures, similar
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.images import sources
from imgsearch.library.duplicates import scores
from imgsearch.types import Hit, Pixels, Record, Value

SAMPLE: Final = 200  # images that are changed in 14 ways: half a minute of two cores

_OTHERS: Final = 5  # images with wrong pairs for each changed one, because wrong pairs are rarer
_NEIGHBOURS: Final = 5  # wrong pairs of an image: a threshold lets the nearest in first
_HITS: Final = 16  # hits fetched for these, so that up to 11 copies may be among them
_BATCH: Final = 64  # images searched for at once
_EDGE: Final = 400  # pixels; the transforms' figures are stated for pictures of that size
_FLOOR: Final = 0.1  # quantile of the right scores below which a hit is wrong without a comparison
_CACHED_PIXELS: Final = 64  # images, 0.5 MB each
_CACHED_SIGNATURES: Final = 1_000  # images, 15 kB each: one is a neighbour of several

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, the number of images done, and the number of all."""


@dataclass(frozen=True)
class Original:
    """An image of the sample: the scores of its changes, and its nearest others, which are wrong.

    Not all are changed: `changes` may be empty. `copies` is the number of copies among the nearest,
    which are left out. `unclear` are near images that may be copies or not.
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

    `sample` images are changed, and the neighbours of five times as many are compared. The same
    collection gives the same sample, in whatever order its records come.

    Raises:
        DatasetError: fewer than four images can be read, or none has another beside it.
        EncoderMismatch: the encoder is not the collection's.
    """
    collection.require(encoder.fingerprint)
    report = on_progress or (lambda _stage, _done, _total: None)
    records = _sample(collection, sample * _OTHERS)
    changes = _changes(collection, encoder, records, sample, report)
    if len(changes) < 4:  # two in each half
        raise DatasetError(
            f"{len(changes)} of {len(records)} images could be read: too few for a threshold. "
            "Give the threshold as a number."
        )
    floor = float(np.quantile(np.concatenate(list(changes.values())), _FLOOR))
    found = list(_neighbours(collection, records, changes, floor, report))
    if not any(original.others or original.unclear for original in found):
        raise DatasetError(
            "no image has another one beside it, so copies cannot be told from other images. Give "
            "the threshold as a number."
        )
    return found, len(records) - len(found)


def _changes(
    collection: Collection,
    encoder: Encoder,
    records: Sequence[Record],
    number: int,
    report: OnProgress,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores to its changes, (14,), of each of the first `number` readable images."""
    found: dict[str, npt.NDArray[np.float64]] = {}
    for record in records:
        if len(found) == number:
            break
        image = _image(record.fields, at_least=_EDGE)
        if image is not None and record.vector is not None:
            vectors = encoder.encode([change(image) for change in TRANSFORMS.values()])
            found[record.id] = scores(collection.schema.metric, vectors, record.vector)
            report("changing", len(found), min(number, len(records)))
    report("changing", len(found), len(found))  # fewer may be readable than were wanted
    return found


def _neighbours(
    collection: Collection,
    records: Sequence[Record],
    changes: Mapping[str, npt.NDArray[np.float64]],
    floor: float,
    report: OnProgress,
) -> Iterator[Original]:
    """Yield each record whose file can be read, with its nearest others."""
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
                yield _judged(record.id, path, changes.get(record.id, ()), others, floor, pixels)
        report("comparing", min(start + _BATCH, len(records)), len(records))


def _judged(
    id_: str,
    path: str,
    changes: Iterable[float],
    hits: Iterable[Hit],
    floor: float,
    pixels: "_Pixels",
) -> Original:
    """Return an original with the nearest images that are no copies by their pixels."""
    others: list[Hit] = []
    unclear: list[Hit] = []
    copies = 0
    for hit in hits:
        if len(others) == _NEIGHBOURS:
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
    """The pixels of a collection's files, at most 400 a side, and their comparison."""

    def __init__(self) -> None:
        self.signatures = lru_cache(_CACHED_SIGNATURES)(self._signatures)
        self._pixels = lru_cache(_CACHED_PIXELS)(self._read)
        self._verdicts: dict[frozenset[str], Verdict | None] = {}

    def verdict(self, one: str, other: str) -> Verdict | None:
        """Return whether two files show the same picture; None if one cannot be read.

        Files whose signatures are not similar are different without a closer comparison.
        """
        mine, theirs = self.signatures(one), self.signatures(other)
        if mine is None or theirs is None:
            return None
        if not similar(mine, theirs):
            return "different"
        pair = frozenset((one, other))  # most pairs are neighbours from both sides
        if pair not in self._verdicts:
            self._verdicts[pair] = self._compared(one, other, (mine, theirs))
        return self._verdicts[pair]

    def _compared(
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
    """Return `number` records, those with the smallest hashes, so that their order has no part."""
    where = WHOLE if has_regions(collection) else None
    records = collection.iterate(where=where, vectors=False)
    ids = [record.id for record in heapq.nsmallest(number, records, key=lambda row: _drawn(row.id))]
    stored = collection.get(ids, vectors=True)
    return [stored[id_] for id_ in ids if id_ in stored]


def _drawn(id_: str) -> str:
    return sha256(f"near-duplicates {id_}".encode()).hexdigest()  # the text is the seed


def _image(fields: Mapping[str, Value], *, at_least: int) -> Pixels | None:
    """Return an image of at most 400 pixels a side, or None if its file cannot be read."""
    path = str(fields.get("path", ""))
    try:
        picture = images.picture(sources.read(path), path=path, at_least=at_least)
    except (ImageError, SourceError):
        return None
    picture.thumbnail((_EDGE, _EDGE))
    return np.array(picture)
