"""How near is a near-duplicate: a threshold from changes of a collection's own images.

Right pairs are an original and each of its 14 changes, wrong ones an original and the nearest other
images of the collection. Among these may be real copies, which must not count as wrong. So pixels,
which the encoder has no part in, are compared first: coarsely, and where they look alike finely.
Only a pair that is the same in both looks is left out, and counted as a copy. A pair that the fine
look cannot tell counts as wrong, and is counted beside.

Half of the originals choose the threshold, the others tell its figures. Of an original that
chooses, wrong pairs with one that tells are left out, since they are that one's pairs, too.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch import images, sources
from imgsearch.backends import Collection
from imgsearch.duplicates import scores
from imgsearch.encoders import Encoder
from imgsearch.errors import DatasetError, ImageError, SourceError
from imgsearch.evaluation.pixel_similarity import (
    SMALL,
    Looks,
    Verdict,
    alike,
    compare,
    covered,
    looks,
)
from imgsearch.evaluation.pool import Judgement, Pool, confirm
from imgsearch.evaluation.transforms import TRANSFORMS, text_bars
from imgsearch.regions import WHOLE, has_regions
from imgsearch.types import Hit, Pixels, Record, Value

SAMPLE: Final = 200  # originals that are changed in 14 ways: half a minute's work of two cores
RARE: Final = 0.1  # the share of copied images for which precision is told, beside 1

_OTHERS: Final = 5  # originals with wrong pairs for each changed one: wrong pairs are rarer
_NEIGHBOURS: Final = 5  # wrong pairs of an original: it is the nearest that a threshold lets in
_ASKED: Final = 16  # hits looked at for these: as many copies of one image are passed over
_BATCH: Final = 64  # originals searched for at once
_EDGE: Final = 400  # pixels; the transforms' figures are stated for pictures of that size
_FLOOR: Final = 0.1  # of the right scores lie so low; what is lower is wrong without a look
_AT_HAND: Final = 64  # images whose pixels are kept, 0.5 MB each
_KEPT: Final = 1_000  # images whose looks are kept, 15 kB each: one is a neighbour of several

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, how many images are done, and of how many."""


@dataclass(frozen=True)
class Calibration:
    """A threshold, and how it does on originals that had no part in choosing it.

    `checked` is of a library in which each image has one changed copy, `rare` of one in which one
    in ten has; `chosen` is what it did where it was chosen. Of the originals in both halves
    `changed` were changed. `copies` pairs were left out of the wrong ones as their pixels are the
    same; `unclear` pairs count as wrong though pixels cannot tell. `unread` files could not be
    read.
    """

    threshold: float
    wanted: float
    chosen: Judgement
    checked: Judgement
    rare: Judgement
    changed: int
    copies: int
    unread: int
    unclear: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "threshold": self.threshold,
            "wanted": self.wanted,
            **{name: getattr(self, name).to_dict() for name in ("chosen", "checked", "rare")},
            "changed": self.changed,
            "copies": self.copies,
            "unclear": self.unclear,
            "unread": self.unread,
        }


@dataclass(frozen=True)
class Original:
    """An image of the sample: the scores of its changes, and its nearest others, which are wrong.

    Not all are changed: `changes` may be empty. `copies` is how many of the nearest were left out,
    `unclear` how many of `others` may be copies.
    """

    id: str
    changes: Sequence[float]
    others: Sequence[Hit]
    copies: int = 0
    unclear: int = 0


def calibrate(
    collection: Collection,
    encoder: Encoder,
    *,
    precision: float = 0.99,
    sample: int = SAMPLE,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Return the lowest threshold that tells changed copies from other images so precisely.

    As `chosen` of the `originals`. A threshold that its own check denies is never returned.

    Raises:
        PrecisionUnreached, DatasetError, EncoderMismatch: as these do.
    """
    return chosen(
        *originals(collection, encoder, sample=sample, on_progress=on_progress),
        precision=precision,
    )


def originals(
    collection: Collection,
    encoder: Encoder,
    *,
    sample: int = SAMPLE,
    on_progress: OnProgress | None = None,
) -> tuple[list[Original], int]:
    """Return a sample of the collection's images, and how many files could not be read.

    `sample` images are changed, and the neighbours of five times as many are looked at. The same
    collection gives the same ones, whatever order its records come in.

    Raises:
        DatasetError: fewer than four images can be read, or none has another beside it.
        EncoderMismatch: the encoder is not the collection's.
    """
    collection.require(encoder.fingerprint)
    tell = on_progress or (lambda _stage, _done, _total: None)
    records = _sample(collection, sample * _OTHERS)
    changes = _changes(collection, encoder, records, sample, tell)
    if len(changes) < 4:  # two in each half
        raise DatasetError(
            f"{len(changes)} of {len(records)} images could be read: too few for a threshold; "
            "give it by hand"
        )
    floor = float(np.quantile(np.concatenate(list(changes.values())), _FLOOR))
    found = list(_neighbours(collection, records, changes, floor, tell))
    if not any(each.others for each in found):
        raise DatasetError(
            "no image has another one beside it: nothing to tell copies from; give the threshold "
            "by hand"
        )
    return found, len(records) - len(found)


def chosen(found: Sequence[Original], unread: int = 0, *, precision: float) -> Calibration:
    """Return the lowest threshold that is so precise on one half of the originals.

    The precision is that of a library in which each image has one copy, by a change drawn from the
    14: of a pair at the threshold or above, the chance that it is an image and its copy.

    Raises:
        PrecisionUnreached: no threshold is, or the other half denies the one that is, as
            `pool.confirm` says.
    """
    choosing, telling = pools(found)
    threshold = choosing.lowest(precision)
    checked = telling.judge(threshold)
    confirm(precision, checked)
    return Calibration(
        threshold,
        precision,
        choosing.judge(threshold),
        checked,
        telling.judge(threshold, share=RARE),
        sum(bool(each.changes) for each in found),
        sum(each.copies for each in found),
        unread,
        sum(each.unclear for each in found),
    )


def pools(found: Sequence[Original]) -> tuple[Pool, Pool]:
    """Return the pool that chooses the threshold and the one that tells its figures.

    They have no pair in common. In each, right pairs weigh as if all originals had been changed,
    in one way each; a wrong one weighs 1, and where some of an original's were left out, as the
    other pool's, the rest weighs as much as all.
    """
    changed = [each for each in found if each.changes]
    same = [each for each in found if not each.changes]
    choosing, telling = [*changed[::2], *same[::2]], [*changed[1::2], *same[1::2]]
    theirs = {each.id for each in telling}
    return _pool(choosing, without=theirs), _pool(telling, without=frozenset())


def _pool(originals: Sequence[Original], *, without: AbstractSet[str]) -> Pool:
    changed = sum(bool(each.changes) for each in originals)
    rows = []
    for each in originals:
        others = [hit for hit in each.others if hit.id not in without]
        share = len(each.others) / len(others) if others else 0.0
        weight = len(originals) / (changed * len(each.changes)) if each.changes else 0.0
        right = [(score, True, weight) for score in each.changes]
        rows.append([*right, *((hit.score, False, share) for hit in others)])
    return Pool.of(rows)


def _changes(
    collection: Collection,
    encoder: Encoder,
    records: Sequence[Record],
    number: int,
    tell: OnProgress,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores to its changes, (14,), of each of the first `number` that can be read."""
    found: dict[str, npt.NDArray[np.float64]] = {}
    for record in records:
        if len(found) == number:
            break
        image = _image(record.fields, at_least=_EDGE)
        if image is not None and record.vector is not None:
            vectors = encoder.encode([change(image) for change in TRANSFORMS.values()])
            found[record.id] = scores(collection.schema.metric, vectors, record.vector)
            tell("changing", len(found), min(number, len(records)))
    tell("changing", len(found), len(found))  # fewer may be readable than were wanted
    return found


def _neighbours(
    collection: Collection,
    records: Sequence[Record],
    changes: Mapping[str, npt.NDArray[np.float64]],
    floor: float,
    tell: OnProgress,
) -> Iterator[Original]:
    """Yield each record with its nearest others; those whose files cannot be read are left out."""
    where = WHOLE if has_regions(collection) else None
    pixels = _Pixels()
    for start in range(0, len(records), _BATCH):
        batch = [record for record in records[start : start + _BATCH] if record.vector is not None]
        vectors = np.stack([record.vector for record in batch if record.vector is not None])
        answers = collection.search(vectors, k=_ASKED + 1, where=where)
        for record, hits in zip(batch, answers, strict=True):
            path = str(record.fields.get("path", ""))
            if pixels.looks(path) is not None:
                others = (hit for hit in hits if hit.id != record.id)
                yield _judged(record.id, path, changes.get(record.id, ()), others, floor, pixels)
        tell("comparing", min(start + _BATCH, len(records)), len(records))


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
    copies = unclear = 0
    for hit in hits:
        if len(others) == _NEIGHBOURS:
            break
        verdict: Verdict | None = "different"
        if hit.score >= floor:
            verdict = pixels.verdict(path, str(hit.fields.get("path", "")))
        if verdict == "same":
            copies += 1
        elif verdict is not None:
            others.append(hit)
            unclear += verdict == "unclear"
    return Original(id_, list(changes), others, copies, unclear)


class _Pixels:
    """The pixels of a collection's files, at most 400 a side, and their comparison."""

    def __init__(self) -> None:
        self.looks = lru_cache(_KEPT)(self._looks)
        self._pixels = lru_cache(_AT_HAND)(self._read)
        self._verdicts: dict[frozenset[str], Verdict | None] = {}

    def verdict(self, one: str, other: str) -> Verdict | None:
        """Return whether two files show the same picture; None where the other cannot be read.

        The fine look is asked of what is alike coarsely: all else is different.
        """
        mine, theirs = self.looks(one), self.looks(other)
        if mine is None or theirs is None:
            return None
        if not alike(mine, theirs):
            return "different"
        pair = frozenset((one, other))  # most pairs are neighbours from both sides
        if pair not in self._verdicts:
            self._verdicts[pair] = self._fine(one, other, bars=covered(mine, theirs))
        return self._verdicts[pair]

    def _fine(self, one: str, other: str, *, bars: bool) -> Verdict | None:
        first, second = self._pixels(one), self._pixels(other)
        if first is None or second is None:
            return None
        found = _compared(first, second)
        if found == "different" and bars:
            pairs = ((text_bars(first), second), (first, text_bars(second)))
            return "same" if "same" in {_compared(*pair) for pair in pairs} else found
        return found

    def _looks(self, path: str) -> Looks | None:
        image = _image({"path": path}, at_least=SMALL)
        return None if image is None else looks(image)

    def _read(self, path: str) -> Pixels | None:
        return _image({"path": path}, at_least=_EDGE)


def _compared(one: Pixels, other: Pixels) -> Verdict:
    return compare(Image.fromarray(one), Image.fromarray(other)).verdict


def _sample(collection: Collection, number: int) -> list[Record]:
    """Return so many records, whatever order they come in: those of the smallest hashes."""
    where = WHOLE if has_regions(collection) else None
    records = collection.iterate(where=where, vectors=False)
    chosen = heapq.nsmallest(number, records, key=lambda record: _drawn(record.id))
    there = collection.get([record.id for record in chosen], vectors=True)
    return [there[record.id] for record in chosen if record.id in there]


def _drawn(id_: str) -> str:
    return sha256(f"near-duplicates {id_}".encode()).hexdigest()  # the text is the seed


def _image(fields: Mapping[str, Value], *, at_least: int) -> Pixels | None:
    """Return an image of at most 400 pixels a side; None where its file cannot be read."""
    path = str(fields.get("path", ""))
    try:
        picture = images.picture(sources.read(path), path=path, at_least=at_least)
    except (ImageError, SourceError):
        return None
    picture.thumbnail((_EDGE, _EDGE))
    return np.array(picture)
