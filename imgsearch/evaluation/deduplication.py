"""Groups near-duplicates in a library with a threshold measured on the library's own images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from imgsearch.backends import Collection
from imgsearch.encoders import Encoder
from imgsearch.errors import PrecisionUnreached
from imgsearch.evaluation.ensemble import can_ensemble, ensemble_collection
from imgsearch.evaluation.near_duplicates import calibrate
from imgsearch.evaluation.verification import Counts, Unverified, Verification
from imgsearch.library.duplicates import Group, groups
from imgsearch.library.library import Library

_VERSION: Final = 1  # counts up when measurements change, so that old ones are not used
OnProgress = Callable[[str, int, int], None]
"""Called with the stage, the number of images done, and the total."""


@dataclass(frozen=True, slots=True)
class Deduplication:
    """The near-duplicate groups of a library, with the threshold and the comparisons.

    `measured` is the calibration as JSON values, or None if the threshold was given. `images` is
    the number of images in the library. `space` is the name of the ensemble, or "" for the stored
    vectors. `unreadable` is the number of images without an ensemble vector. `reused`: an earlier
    run measured the threshold. `apart` is the number of pairs that the user keeps apart.
    """

    groups: Sequence[Group]
    threshold: float
    measured: dict[str, Any] | None
    counts: Counts
    unverified: Sequence[Unverified]
    images: int
    space: str
    unreadable: int
    reused: bool = False
    apart: int = 0


def find_duplicates(
    library: Library,
    *,
    precision: float = 0.99,
    threshold: float | None = None,
    sample: int = 200,
    stored: bool = False,
    unread: bool = False,
    again: bool = False,
    on_progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Deduplication:
    """Group the images of a library that show the same picture.

    Without a `threshold` the lowest score that reaches `precision` is measured on `sample` images,
    and the threshold for the stored vectors is kept for `Library.search`. The scores come from an
    ensemble with ``classic``, or from the stored vectors if `stored`, `unread` or a `threshold` is
    given, or if `can_ensemble` is False. With `unread`, images with unreadable files are grouped by
    score alone. Pairs that `Library.duplicate_memory` keeps apart are not grouped. Comparisons and
    measurements of earlier runs are used if the files, and nine of ten images, are the same; with
    `again` they are repeated.

    Raises:
        CollectionNotFound: the library has no images yet.
        PrecisionUnreached: no threshold reaches `precision`.
        DatasetError: too few images are readable.
    """
    progress = on_progress or _ignore
    stored = stored or unread or threshold is not None
    memory = library.duplicate_memory
    apart = memory.apart()
    verification = Verification(None if again else memory.compared())
    measured: dict[str, Any] | None = None
    candidates: float | None = None
    reused = False
    with _space(library, progress, stored=stored, again=again) as (images, encoder):
        if threshold is None:
            kept = _Kept(library, precision, sample, again=again)
            measured = _measure(kept, images, encoder, progress, on_note or _ignore)
            reused = kept.reused
            threshold, candidates = measured["threshold"], measured["candidates"]
        near = groups(
            images,
            threshold,
            candidates=candidates,
            second_look=verification,
            unread=unread,
            apart=apart,
            on_progress=lambda done, total: progress("searching", done, total),
        )
        number = library.count()
        unreadable = number - images.count() if encoder else 0
    memory.keep_compared(verification.compared)
    return Deduplication(
        near,
        threshold,
        measured,
        verification.counts,
        verification.unverified,
        number,
        encoder.fingerprint.model if encoder else "",
        unreadable,
        reused,
        len(apart),
    )


@contextmanager
def _space(
    library: Library, on_progress: OnProgress, *, stored: bool, again: bool
) -> Iterator[tuple[Collection, Encoder | None]]:
    """Yield the collection to group, and its ensemble. The ensemble is None for stored vectors."""
    if stored or not can_ensemble(library.collection):
        yield library.collection, None
        return
    with ensemble_collection(
        library.collection,
        library.encoder,
        memory=partial(library.signature_memory, again=again),
        on_progress=on_progress,
    ) as (images, encoder):
        yield images, encoder


class _Kept:
    """Measures thresholds for one precision and sample, or returns earlier measurements.

    `reused`: the last one is of an earlier run.
    """

    def __init__(self, library: Library, precision: float, sample: int, *, again: bool) -> None:
        self.library, self.precision, self._sample, self._again = library, precision, sample, again
        self._memory, self.reused = library.duplicate_memory, False
        self._ids = [record.id for record in library.collection.iterate(vectors=False)]

    def calibrate(
        self, images: Collection, encoder: Encoder, on_progress: OnProgress
    ) -> dict[str, Any]:
        """Return the measurement of a threshold as JSON values.

        Raises:
            PrecisionUnreached: no threshold reaches the precision, in this run or an earlier one.
        """
        wanted = {
            "precision": self.precision,
            "sample": self._sample,
            "encoder": encoder.fingerprint.identity(),
            "version": _VERSION,
        }
        measured = None if self._again else self._memory.measured(wanted, self._ids)
        self.reused = measured is not None
        if measured is not None:
            _raise_if_unreached(measured)
            return measured
        try:
            calibration = calibrate(
                images,
                encoder,
                precision=self.precision,
                sample=self._sample,
                on_progress=on_progress,
            )
        except PrecisionUnreached as error:
            self._memory.keep_measured(wanted, self._ids, _unreached(error))
            raise
        measured = calibration.to_dict()
        self._memory.keep_measured(wanted, self._ids, measured)
        return measured


def _unreached(error: PrecisionUnreached) -> dict[str, Any]:
    """Return a failed measurement as JSON values."""
    facts = {"best": error.best, "wanted": error.wanted, "checked": error.checked}
    return {"unreached": str(error), **facts, "interval": error.interval}


def _raise_if_unreached(measured: Mapping[str, Any]) -> None:
    """Raise the error of a failed measurement again.

    Raises:
        PrecisionUnreached: it failed.
    """
    if "unreached" in measured:
        raise PrecisionUnreached(
            f"{measured['unreached']} An earlier run found this; --again (again=True) measures "
            "again.",
            best=measured["best"],
            wanted=measured["wanted"],
            checked=measured["checked"],
            interval=measured["interval"] and tuple(measured["interval"]),
        )


def _measure(
    kept: _Kept,
    images: Collection,
    encoder: Encoder | None,
    on_progress: OnProgress,
    on_note: Callable[[str], None],
) -> dict[str, Any]:
    """Measure a threshold; measure and keep the threshold for the stored vectors, too.

    Raises:
        PrecisionUnreached: no threshold reaches the precision.
    """
    if encoder is None:
        return _measure_stored(kept, on_progress)
    try:
        _measure_stored(kept, on_progress)
    except PrecisionUnreached as error:
        on_note(f"no threshold is kept for search --hide-duplicates: {error}")
    return kept.calibrate(images, encoder, on_progress)


def _measure_stored(kept: _Kept, on_progress: OnProgress) -> dict[str, Any]:
    """Measure a threshold for the stored vectors; keep it if the collection records its encoder.

    Raises:
        PrecisionUnreached: no threshold reaches the precision. A threshold kept for this or a
            higher precision is forgotten.
    """
    library = kept.library
    try:
        measured = kept.calibrate(library.collection, library.encoder, on_progress)
    except PrecisionUnreached:
        library.thresholds.forget_duplicates(kept.precision)
        raise
    if library.collection.keeps_notes:
        library.thresholds.keep_duplicates(measured)
    return measured


def _ignore(*_values: object) -> None:
    pass
