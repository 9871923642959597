"""The score from which two images are near-duplicates, measured on a collection's own images.

Right pairs are an original and each of its 14 changes. Wrong pairs are an original and the nearest
other images of the collection. Copies among them are left out, and so are pairs on which pixels
cannot decide. These must be few: the precision that counts them as wrong is limited, too.

Half of the originals choose the threshold, and the other half checks it. A wrong pair of an
original that chooses with one that checks counts in the check only.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

from imgsearch.backends import Collection
from imgsearch.encoders import Encoder
from imgsearch.evaluation.candidate_pool import Judgement, Pool, confirm
from imgsearch.evaluation.originals import SAMPLE, OnProgress, Original, originals

CANDIDATES: Final = 0.5  # precision by score: at least one of two compared pairs is a copy
CAUTIOUS: Final = 0.9  # share of the wanted precision to reach if all unclear pairs are wrong
RARE: Final = 0.1  # share of images with a copy for which precision is reported, beside 1


@dataclass(frozen=True)
class Calibration:
    """A threshold, and its figures on originals that had no part in choosing it.

    `checked` holds for a library in which each image has one changed copy, `rare` for one in which
    every tenth has. `chosen` has the figures on the originals that chose. `changed` originals of
    both halves were changed. `copies` pairs were left out because they show the same picture.
    `unclear` pairs were left out because pixels cannot decide; `cautious` is `checked` with these
    as wrong pairs. `unread` files could not be read.

    The figures are those of scores alone. From the score `candidates` on, at most `threshold`,
    every second pair is right, so it pays to compare their pixels.
    """

    threshold: float
    candidates: float
    wanted: float
    chosen: Judgement
    checked: Judgement
    cautious: Judgement
    rare: Judgement
    changed: int
    copies: int
    unclear: int
    unread: int

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "threshold": self.threshold,
            "candidates": self.candidates,
            "wanted": self.wanted,
            "chosen": self.chosen.to_dict(),
            "checked": self.checked.to_dict(),
            "cautious": self.cautious.to_dict(),
            "rare": self.rare.to_dict(),
            "changed": self.changed,
            "copies": self.copies,
            "unclear": self.unclear,
            "unread": self.unread,
        }


def calibrate(
    collection: Collection,
    encoder: Encoder,
    *,
    precision: float = 0.99,
    sample: int = SAMPLE,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Measure the lowest score that separates changed copies from other images at `precision`.

    The result is `chosen` of the collection's `originals`.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`, or the check denies the one that does.
        DatasetError: fewer than four images can be read, or none has another beside it.
        EncoderMismatch: the encoder is not the collection's.
    """
    return chosen(
        *originals(collection, encoder, sample=sample, on_progress=on_progress),
        precision=precision,
    )


def chosen(found: Sequence[Original], unread: int = 0, *, precision: float) -> Calibration:
    """Return the lowest threshold that reaches `precision` on one half of the originals.

    The precision is that of a library in which each image has one copy, by a change drawn from the
    14: the share of copies among pairs at the threshold or above. If all unclear pairs are wrong,
    it must still be 0.9 times `precision`.

    Raises:
        PrecisionUnreached: no threshold reaches it, or the other half denies the one that does, by
            the rule of `pool.confirm`.
    """
    choosing, checking = pools(found)
    cautious_choosing, cautious_checking = pools([_cautious(original) for original in found])
    threshold = max(choosing.lowest(precision), cautious_choosing.lowest(CAUTIOUS * precision))
    checked, cautious = checking.judge(threshold), cautious_checking.judge(threshold)
    confirm(precision, checked)
    confirm(CAUTIOUS * precision, cautious)
    return Calibration(
        threshold,
        min(threshold, choosing.lowest(min(precision, CANDIDATES))),
        precision,
        choosing.judge(threshold),
        checked,
        cautious,
        checking.judge(threshold, share=RARE),
        changed=sum(bool(original.changes) for original in found),
        copies=sum(original.copies for original in found),
        unclear=sum(len(original.unclear) for original in found),
        unread=unread,
    )


def _cautious(original: Original) -> Original:
    """Return an original whose unclear pairs are wrong ones."""
    return replace(original, others=[*original.others, *original.unclear], unclear=())


def pools(found: Sequence[Original]) -> tuple[Pool, Pool]:
    """Return the pool that chooses the threshold and the pool that checks it.

    They have no pair in common. In each, right pairs weigh as if all originals had been changed, in
    one way each. A wrong pair weighs 1. Where some pairs of an original are left out because they
    belong to the other pool, the remaining ones weigh as much as all.
    """
    changed = [original for original in found if original.changes]
    unchanged = [original for original in found if not original.changes]
    choosing, checking = [*changed[::2], *unchanged[::2]], [*changed[1::2], *unchanged[1::2]]
    checking_ids = {original.id for original in checking}
    return _pool(choosing, without=checking_ids), _pool(checking, without=frozenset())


def _pool(found: Sequence[Original], *, without: AbstractSet[str]) -> Pool:
    changed = sum(bool(original.changes) for original in found)
    rows = []
    for original in found:
        changes = original.changes
        others = [hit for hit in original.others if hit.id not in without]
        share = len(original.others) / len(others) if others else 0.0
        weight = len(found) / (changed * len(changes)) if changes else 0.0
        right = [(score, True, weight) for score in changes]
        rows.append([*right, *((hit.score, False, share) for hit in others)])
    return Pool.of(rows)
