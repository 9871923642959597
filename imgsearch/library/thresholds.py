"""Thresholds of a collection: the lowest scores of correct hits and of near-duplicates.

`imgsearch threshold` and `imgsearch dedup` measure them and keep them in the store's notes. A
threshold that failed its validation is never used, even if an older version kept it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from imgsearch.backends import Collection, VectorBackend, notes
from imgsearch.errors import ConfigError
from imgsearch.library.duplicate_memory import DuplicateMemory

_HITS: Final = "min_score"
_DUPLICATES: Final = "duplicates"
_SLACK: Final = 1e-9  # rounding error of weighted precisions in float64


class Thresholds:
    """The thresholds kept for a collection."""

    def __init__(self, store: VectorBackend, collection: Collection) -> None:
        self._store, self._collection = store, collection

    def min_score(self, kinds: Iterable[str]) -> float:
        """Return the lowest score at which hits of such queries have the wanted precision.

        Queries of images and vectors, alone or summed, use the image threshold. Text queries use
        the text threshold. A query with both uses the lower threshold, so it shows every hit that
        either would show; its precision is not measured.

        Raises:
            ConfigError: no threshold is kept for this kind of query, or it failed its validation.
        """
        self._require_encoder()
        kinds = sorted(kinds)
        kept = self.to_dict()[_HITS]
        for kind in kinds:
            self._require_confirmed(kept.get(kind, {}), f"threshold for {kind} queries")
        missing = [kind for kind in kinds if kind not in kept]
        if missing:
            raise ConfigError(
                f"no threshold is kept for {missing[0]} queries of collection "
                f"{self._collection.name!r}. Measure one on labeled images with `imgsearch "
                "threshold`, or give the score as a number."
            )
        return min(float(kept[kind]["threshold"]) for kind in kinds)

    def duplicates(self) -> float:
        """Return the lowest score at which two images are near-duplicates.

        Raises:
            ConfigError: no threshold is kept, or it failed its validation.
        """
        self._require_encoder()
        kept = self.to_dict()[_DUPLICATES]
        self._require_confirmed(kept, "threshold for near-duplicates")
        if not kept:
            raise ConfigError(
                "no threshold for near-duplicates is kept for collection "
                f"{self._collection.name!r}. Measure one on its images with `imgsearch dedup`, or "
                "give it as a number in Python."
            )
        return float(kept["threshold"])

    def apart(self) -> set[frozenset[str]]:
        """Return the pairs of images that are not duplicates, whatever their score."""
        return DuplicateMemory(self._store, self._collection).apart()

    def keep_min_scores(self, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep a measurement, including its "threshold", for each query kind; forget other kinds.

        Raises:
            SchemaMismatch: the collection records no encoder; a threshold is valid for one only.
        """
        self._collection.require_encoder()
        notes.write(self._store, self._collection, {_HITS: dict(measured)})

    def keep_duplicates(self, measured: Mapping[str, Any]) -> None:
        """Keep a measurement of near-duplicates, including its "threshold".

        Raises:
            SchemaMismatch: the collection records no encoder; a threshold is valid for one only.
        """
        self._collection.require_encoder()
        notes.write(self._store, self._collection, {_DUPLICATES: dict(measured)})

    def forget_min_scores(self, wanted: float) -> None:
        """Forget the thresholds for a precision of at least `wanted`, which failed a validation."""
        kept = self.to_dict()[_HITS]
        rest = {kind: facts for kind, facts in kept.items() if not _promises(facts, wanted)}
        if rest != kept:
            notes.write(self._store, self._collection, {_HITS: rest})

    def forget_duplicates(self, wanted: float) -> None:
        """Forget the threshold for a precision of at least `wanted`, which failed a validation."""
        if _promises(self.to_dict()[_DUPLICATES], wanted):
            notes.write(self._store, self._collection, {_DUPLICATES: {}})

    def to_dict(self) -> dict[str, Any]:
        """Return the kept measurements: "min_score" (by query kind) and "duplicates"."""
        facts = notes.read(self._store, self._collection)
        return {name: facts.get(name) or {} for name in (_HITS, _DUPLICATES)}

    def _require_encoder(self) -> None:
        """Check that the collection records an encoder; without one it has no thresholds.

        Raises:
            ConfigError: the collection records no encoder.
        """
        if self._collection.schema.encoder is None:
            raise ConfigError(
                f"no threshold for collection {self._collection.name!r}: it does not say which "
                "encoder made its vectors. Give the score as a number."
            )

    def _require_confirmed(self, kept: Mapping[str, Any], name: str) -> None:
        wanted, checked = kept.get("wanted"), kept.get("checked")
        if wanted is None or checked is None:
            return  # a program kept it without a check
        if not confirms(wanted, checked["pairs"], checked["precision_interval"]):
            raise ConfigError(
                f"the {name} of collection {self._collection.name!r} failed its check: "
                f"wanted precision {wanted:g}, checked {checked['precision']:.3f}. "
                "Measure it again, or give the score as a number."
            )


def confirms(wanted: float, pairs: int, interval: Sequence[float]) -> bool:
    """Return whether a validation with `pairs` pairs confirms the wanted precision.

    The upper end of the 95 % `interval` must reach the wanted precision. The point estimate would
    refuse every second good threshold: the lowest threshold that reaches the precision on one half
    of the images reaches it on the other half only by chance. The lower end would refuse nearly
    all thresholds, because one wrong pair among hundreds puts it below 0.99.
    """
    return bool(pairs) and interval[1] >= wanted - _SLACK


def _promises(kept: Mapping[str, Any], wanted: float) -> bool:
    return float(kept.get("wanted", -1.0)) >= wanted
