"""Groups near-duplicates in a library with a threshold measured on the library's own images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from imgsearch.backends import Collection
from imgsearch.encoders import Encoder
from imgsearch.errors import PrecisionUnreached
from imgsearch.evaluation.ensemble import can_ensemble, ensemble_collection
from imgsearch.evaluation.near_duplicates import calibrate
from imgsearch.evaluation.verification import Counts, Unverified, Verification
from imgsearch.library.duplicates import Group, groups
from imgsearch.library.library import Library

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, the number of images done, and the total."""


@dataclass(frozen=True, slots=True)
class Deduplication:
    """The near-duplicate groups of a library, with the threshold and the comparisons.

    `measured` is the calibration as JSON values, or None if the threshold was given. `images` is
    the number of images in the library. `space` is the name of the ensemble, or "" for the stored
    vectors. `unreadable` is the number of images without an ensemble vector.
    """

    groups: Sequence[Group]
    threshold: float
    measured: dict[str, Any] | None
    counts: Counts
    unverified: Sequence[Unverified]
    images: int
    space: str
    unreadable: int


def find_duplicates(
    library: Library,
    *,
    precision: float = 0.99,
    threshold: float | None = None,
    sample: int = 200,
    stored: bool = False,
    unread: bool = False,
    on_progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Deduplication:
    """Group the images of a library that show the same picture.

    Without a `threshold` the lowest score that reaches `precision` is measured on `sample` images,
    and the threshold for the stored vectors is kept for `Library.search`. The scores come from an
    ensemble with ``classic``, or from the stored vectors if `stored`, `unread` or a `threshold` is
    given, or if `can_ensemble` is False. With `unread`, images with unreadable files are grouped by
    score alone.

    Raises:
        CollectionNotFound: the library has no images yet.
        PrecisionUnreached: no threshold reaches `precision`.
        DatasetError: too few images are readable.
    """
    progress = on_progress or _ignore
    stored = stored or unread or threshold is not None
    verification = Verification()
    measured: dict[str, Any] | None = None
    candidates: float | None = None
    with _space(library, progress, stored=stored) as (images, encoder):
        if threshold is None:
            measured = _measure(
                library, images, encoder, precision, sample, progress, on_note or _ignore
            )
            threshold, candidates = measured["threshold"], measured["candidates"]
        near = groups(
            images,
            threshold,
            candidates=candidates,
            second_look=verification,
            unread=unread,
            on_progress=lambda done, total: progress("searching", done, total),
        )
        number = library.count()
        unreadable = number - images.count() if encoder else 0
    return Deduplication(
        near,
        threshold,
        measured,
        verification.counts,
        verification.unverified,
        number,
        encoder.fingerprint.model if encoder else "",
        unreadable,
    )


@contextmanager
def _space(
    library: Library, on_progress: OnProgress, *, stored: bool
) -> Iterator[tuple[Collection, Encoder | None]]:
    """Yield the collection to group, and its ensemble. The ensemble is None for stored vectors."""
    if stored or not can_ensemble(library.collection):
        yield library.collection, None
        return
    with ensemble_collection(library.collection, library.encoder, on_progress=on_progress) as (
        images,
        encoder,
    ):
        yield images, encoder


def _measure(
    library: Library,
    images: Collection,
    encoder: Encoder | None,
    precision: float,
    sample: int,
    on_progress: OnProgress,
    on_note: Callable[[str], None],
) -> dict[str, Any]:
    """Measure a threshold; measure and keep the threshold for the stored vectors, too.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`.
    """
    if encoder is None:
        return _measure_stored(library, precision, sample, on_progress)
    try:
        _measure_stored(library, precision, sample, on_progress)
    except PrecisionUnreached as error:
        on_note(f"no threshold is kept for search --hide-duplicates: {error}")
    return calibrate(
        images, encoder, precision=precision, sample=sample, on_progress=on_progress
    ).to_dict()


def _measure_stored(
    library: Library, precision: float, sample: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Measure a threshold for the stored vectors; keep it if the collection records its encoder.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`. A threshold kept for this or a higher
            precision is forgotten.
    """
    try:
        measured = calibrate(
            library.collection,
            library.encoder,
            precision=precision,
            sample=sample,
            on_progress=on_progress,
        ).to_dict()
    except PrecisionUnreached:
        library.thresholds.forget_duplicates(precision)
        raise
    if library.collection.schema.encoder is not None:
        library.thresholds.keep_duplicates(measured)
    return measured


def _ignore(*_values: object) -> None:
    pass
