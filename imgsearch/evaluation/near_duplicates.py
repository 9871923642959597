"""The score threshold of near-duplicates, measured on a collection's own images.

Right pairs are an original and each of its 14 changes. Wrong pairs are an original and its nearest
other images in the collection. Copies, and pairs that pixels cannot decide, are left out. Such
unclear pairs must be few: the precision with unclear pairs counted as wrong has a limit, too.

Half of the originals are for calibration, the other half for validation. A wrong pair with one
original from each half counts for validation only.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

from imgsearch.backends import Collection
from imgsearch.encoders import Encoder
from imgsearch.evaluation.candidate_pool import Judgment, Pool, confirm
from imgsearch.evaluation.originals import SAMPLE, OnProgress, Original, originals

CANDIDATES: Final = 0.5  # precision of scores alone: at least every second compared pair is a copy
CAUTIOUS: Final = 0.9  # share of the wanted precision required if all unclear pairs are wrong
RARE: Final = 0.1  # precision is reported for this share of images with a copy, and for 1


@dataclass(frozen=True)
class Calibration:
    """A threshold with its figures.

    `chosen` has the figures on the calibration half, `checked` those on the validation half, for a
    library in which each image has one changed copy. `rare` is `checked` for a library in which
    every tenth image has a copy. `cautious` is `checked` with unclear pairs counted as wrong.
    `changed` is the number of changed originals. `copies` is the number of pairs left out because
    they show the same picture, `unclear` the number left out because pixels cannot decide. `unread`
    is the number of unreadable files.

    The figures are for scores alone. At the score `candidates`, which is at most `threshold`, every
    second pair is right, so pairs above it are worth a pixel comparison.
    """

    threshold: float
    candidates: float
    wanted: float
    chosen: Judgment
    checked: Judgment
    cautious: Judgment
    rare: Judgment
    changed: int
    copies: int
    unclear: int
    unread: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-serializable values."""
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

    The images are `sample` originals drawn from the collection.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`, or the validation does not confirm it.
        DatasetError: fewer than four images can be read, or the collection has a single image.
        EncoderMismatch: `encoder` is not the collection's encoder.
    """
    sampled, unread = originals(collection, encoder, sample=sample, on_progress=on_progress)
    return choose_threshold(sampled, unread, precision=precision)


def choose_threshold(
    sampled: Sequence[Original], unread: int = 0, *, precision: float
) -> Calibration:
    """Choose the lowest threshold that reaches `precision` on one half of the originals.

    The precision is the share of copies among pairs at or above the threshold, if each image in a
    library has one copy with a random one of the 14 changes. With all unclear pairs counted as
    wrong, it must reach 0.9 times `precision`.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`, or the other half does not confirm it;
            see `candidate_pool.confirm`.
    """
    choosing, checking = pools(sampled)
    cautious_choosing, cautious_checking = pools([_cautious(original) for original in sampled])
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
        changed=sum(bool(original.changes) for original in sampled),
        copies=sum(original.copies for original in sampled),
        unclear=sum(len(original.unclear) for original in sampled),
        unread=unread,
    )


def _cautious(original: Original) -> Original:
    """Return an original whose unclear pairs count as wrong pairs."""
    return replace(original, others=[*original.others, *original.unclear], unclear=())


def pools(sampled: Sequence[Original]) -> tuple[Pool, Pool]:
    """Return a calibration and a validation pool. No pair is in both.

    The weights of right pairs are scaled as if every original, changed or not, had one changed
    copy. A wrong pair has the weight 1. If some wrong pairs of an original are in the other pool
    only, its remaining wrong pairs share their weight.
    """
    changed = [original for original in sampled if original.changes]
    unchanged = [original for original in sampled if not original.changes]
    choosing, checking = [*changed[::2], *unchanged[::2]], [*changed[1::2], *unchanged[1::2]]
    checking_ids = {original.id for original in checking}
    return _pool(choosing, without=checking_ids), _pool(checking, without=frozenset())


def _pool(sampled: Sequence[Original], *, without: AbstractSet[str]) -> Pool:
    changed = sum(bool(original.changes) for original in sampled)
    rows = []
    for original in sampled:
        changes = original.changes
        others = [hit for hit in original.others if hit.id not in without]
        share = len(original.others) / len(others) if others else 0.0
        weight = len(sampled) / (changed * len(changes)) if changes else 0.0
        right = [(score, True, weight) for score in changes]
        rows.append([*right, *((hit.score, False, share) for hit in others)])
    return Pool.of(rows)
