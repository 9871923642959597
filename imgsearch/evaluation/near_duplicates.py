"""How near is a near-duplicate: a threshold from changes of a collection's own images.

Right pairs are an original and each of its 14 changes, wrong ones an original and the nearest other
images of the collection. Among these may be real copies, and a pair that is right must not count as
wrong: so pixels, which the encoder has no part in, are asked first. Whatever looks like the
original, or like a change of it, or has a change that the original looks like, is left out.

Half of the originals choose the threshold, the others tell its figures. Of an original that
chooses, wrong pairs with one that tells are left out, since they are that one's pairs, too.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from imgsearch.evaluation.pool import Judgement, Pool
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.regions import WHOLE, has_regions
from imgsearch.types import Hit, Pixels, Record, Value, Vector

SAMPLE: Final = 200  # originals: 100 that choose, 100 that tell, whose interval is some 0.02 wide
NEIGHBOURS: Final = 5  # wrong pairs of an original: it is the nearest that a threshold lets in
RARE: Final = 0.1  # the share of copied images for which precision is told, beside 1

_ASKED: Final = 16  # hits looked at for these: as many copies of one image are passed over
_EDGE: Final = 400  # pixels; the transforms' figures are stated for pictures of that size
_SMALL: Final = 64  # pixels of what is changed to be looked at; what is seen of it is less
_LOOK: Final = 16  # pixels a side of a look
_ALIKE: Final = 0.95  # correlation of two looks; the docstring of `alike` has what it was tried on

Looks = npt.NDArray[np.float64]
"""Grey looks, (n, 256), each of mean 0 and length 1, or 0 where a picture is of one grey."""


@dataclass(frozen=True)
class Calibration:
    """A threshold, and how it does on originals that had no part in choosing it.

    `checked` is of a library in which each image has one changed copy, `rare` of one in which one
    in ten has; `chosen` is what it did where it was chosen. `copies` were left out of the wrong
    pairs as their pixels are alike, `unread` files could not be read.
    """

    threshold: float
    wanted: float
    chosen: Judgement
    checked: Judgement
    rare: Judgement
    copies: int
    unread: int

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "threshold": self.threshold,
            "wanted": self.wanted,
            **{name: getattr(self, name).to_dict() for name in ("chosen", "checked", "rare")},
            "copies": self.copies,
            "unread": self.unread,
        }


@dataclass(frozen=True)
class Original:
    """An image of the sample: the scores of its changes, and its nearest others, which are wrong.

    `copies` is how many of the nearest were left out.
    """

    id: str
    changes: Sequence[float]
    others: Sequence[Hit]
    copies: int


def calibrate(
    collection: Collection,
    encoder: Encoder,
    *,
    precision: float = 0.99,
    sample: int = SAMPLE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Return the lowest threshold that tells changed copies from other images so precisely.

    The precision is that of a library in which each image has one copy, by a change drawn from the
    14: of a pair at the threshold or above, the chance that it is an image and its copy.

    Raises:
        PrecisionUnreached: no threshold does.
        DatasetError: fewer than four images can be read, or none has another beside it.
        EncoderMismatch: the encoder is not the collection's.
    """
    collection.require(encoder.fingerprint)
    found: list[Original] = []
    unread = 0
    records = _sample(collection, sample)
    for done, record in enumerate(records, 1):
        one = _original(collection, encoder, record)
        if one is None:
            unread += 1
        else:
            found.append(one)
        if on_progress:
            on_progress(done, len(records))
    if len(found) < 4 or not any(each.others for each in found):
        raise DatasetError(
            f"{len(found)} of {len(records)} images could be read and compared with others: too "
            "few for a threshold; give it by hand"
        )
    choosing, telling = pools(found)
    threshold = choosing.lowest(precision)
    return Calibration(
        threshold,
        precision,
        choosing.judge(threshold),
        telling.judge(threshold),
        telling.judge(threshold, share=RARE),
        sum(each.copies for each in found),
        unread,
    )


def pools(found: Sequence[Original]) -> tuple[Pool, Pool]:
    """Return the pool that chooses the threshold and the one that tells its figures.

    They have no pair in common. An original's right pairs weigh 1 together, each wrong one weighs
    1; where some of these were left out as the other pool's, the rest weighs as much as all.
    """
    half = found[: len(found) // 2]
    telling = {each.id for each in found[len(half) :]}
    rows = [_row(each, [hit for hit in each.others if hit.id not in telling]) for each in half]
    return Pool.of(rows), Pool.of([_row(each, each.others) for each in found[len(half) :]])


def alike(one: Pixels, other: Pixels) -> bool:
    """Tell from pixels alone whether one image looks like another, or like a change of it.

    Grey looks of 16 x 16 pixels are compared, of both images and of their 14 changes. It is meant
    to miss copies rather than to see one where there is none.
    """
    mine, theirs = _looks(one), _looks(other)
    return bool(max((mine @ theirs[0]).max(), (theirs @ mine[0]).max()) >= _ALIKE)


def _row(original: Original, others: Sequence[Hit]) -> list[tuple[float, bool, float]]:
    share = len(original.others) / len(others) if others else 0.0
    right = [(score, True, 1 / len(original.changes)) for score in original.changes]
    return [*right, *((hit.score, False, share) for hit in others)]


def _sample(collection: Collection, number: int) -> list[Record]:
    """Return so many records, whatever order they come in: those of the smallest hashes."""
    where = WHOLE if has_regions(collection) else None
    records = collection.iterate(where=where, vectors=False)
    chosen = heapq.nsmallest(number, records, key=lambda record: _drawn(record.id))
    there = collection.get([record.id for record in chosen], vectors=True)
    return [there[record.id] for record in chosen if record.id in there]


def _drawn(id_: str) -> str:
    return sha256(f"near-duplicates {id_}".encode()).hexdigest()  # the text is the seed


def _original(collection: Collection, encoder: Encoder, record: Record) -> Original | None:
    """Return what is known of one image; None where its file cannot be read any more."""
    image = _image(record.fields)
    if image is None or record.vector is None:
        return None
    vectors = encoder.encode([change(image) for change in TRANSFORMS.values()])
    others, copies = _others(collection, record.id, record.vector, image)
    changes = scores(collection.schema.metric, vectors, record.vector)
    return Original(record.id, changes.tolist(), others, copies)


def _others(
    collection: Collection, id_: str, vector: Vector, image: Pixels
) -> tuple[list[Hit], int]:
    """Return the nearest images that are no copies by their pixels, and how many were."""
    where = WHOLE if has_regions(collection) else None
    hits = collection.search(vector[None], k=_ASKED + 1, where=where)[0]
    others: list[Hit] = []
    copies = 0
    for hit in (each for each in hits if each.id != id_):
        if len(others) == NEIGHBOURS:
            break
        picture = _image(hit.fields)
        if picture is not None and alike(image, picture):
            copies += 1
        elif picture is not None:
            others.append(hit)
    return others, copies


def _image(fields: Mapping[str, Value]) -> Pixels | None:
    path = str(fields.get("path", ""))
    try:
        small = Image.fromarray(images.decode(sources.read(path), path=path))
    except (ImageError, SourceError):
        return None
    small.thumbnail((_EDGE, _EDGE))
    return np.array(small)


def _looks(image: Pixels) -> Looks:
    """Return the looks of an image, first its own, then those of its changes, (15, 256)."""
    picture = Image.fromarray(image)
    picture.thumbnail((_SMALL, _SMALL))
    small: Pixels = np.array(picture)
    return np.stack([_look(small), *(_look(change(small)) for change in TRANSFORMS.values())])


def _look(image: Pixels) -> npt.NDArray[np.float64]:
    grey = Image.fromarray(image).convert("L").resize((_LOOK, _LOOK), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.float64).ravel()
    values -= values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length else values
