"""The thresholds of a collection: from which score on hits are right, and images near-duplicates.

They were measured (`imgsearch threshold`, `imgsearch dedup`) and are kept in the store's notes. A
threshold that its own check denied is never used, also one that an older version kept.
"""

from collections.abc import Mapping
from typing import Any, Final

from imgsearch.backends import Collection, VectorBackend, notes
from imgsearch.errors import ConfigError
from imgsearch.query import Query

_HITS: Final = "min_score"
_DUPLICATES: Final = "duplicates"


class Thresholds:
    """The thresholds that are kept for a collection."""

    def __init__(self, store: VectorBackend, collection: Collection) -> None:
        self._store, self._collection = store, collection

    def min_score(self, query: Query) -> float:
        """Return the score from which on a query's hits are as precise as was asked for.

        The threshold of images is that of images and vectors, alone or added up, and the one of
        texts that of texts. For a query of both it is the lower one: it hides nothing that either
        would show, and its precision was measured by nobody.

        Raises:
            ConfigError: none is kept for this kind of query, or its check denied it.
        """
        self._require_encoder()
        kinds = sorted({"text" if term.kind == "text" else "image" for term in query.terms})
        kept = self.to_dict()[_HITS]
        for kind in kinds:
            self._require_confirmed(kept.get(kind, {}), f"threshold for {kind} queries")
        lacking = [kind for kind in kinds if kind not in kept]
        if lacking:
            raise ConfigError(
                f"no threshold is kept for {lacking[0]} queries of collection "
                f"{self._collection.name!r}: `imgsearch threshold` measures one on labelled "
                "images; or give the score as a number"
            )
        return min(float(kept[kind]["threshold"]) for kind in kinds)

    def duplicates(self) -> float:
        """Return the score from which on two images are near-duplicates.

        Raises:
            ConfigError: none is kept, or its check denied it.
        """
        self._require_encoder()
        kept = self.to_dict()[_DUPLICATES]
        self._require_confirmed(kept, "threshold for near-duplicates")
        if not kept:
            raise ConfigError(
                "no threshold for near-duplicates is kept for collection "
                f"{self._collection.name!r}: `imgsearch dedup` measures one on its images; or give "
                "it as a number, from Python"
            )
        return float(kept["threshold"])

    def keep_min_scores(self, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what was measured for each kind of query, a "threshold" in each; forget the rest.

        Raises:
            SchemaMismatch: the collection notes no encoder, so the threshold would hold for any.
        """
        self._collection.require_encoder()
        notes.write(self._store, self._collection, {_HITS: dict(measured)})

    def keep_duplicates(self, measured: Mapping[str, Any]) -> None:
        """Keep what was measured of near-duplicates, a "threshold" in it.

        Raises:
            SchemaMismatch: as for `keep_min_scores`.
        """
        self._collection.require_encoder()
        notes.write(self._store, self._collection, {_DUPLICATES: dict(measured)})

    def _require_encoder(self) -> None:
        """Refuse a collection that notes no encoder, for which nothing is ever kept.

        Raises:
            ConfigError: it is one.
        """
        if self._collection.schema.encoder is None:
            raise ConfigError(
                f"no threshold is kept for collection {self._collection.name!r}, as it does not "
                "say which encoder made its vectors. Give the score as a number."
            )

    def forget_min_scores(self, wanted: float) -> None:
        """Forget what promises a precision of `wanted` or more, as a measurement refused that."""
        kept = self.to_dict()[_HITS]
        rest = {kind: each for kind, each in kept.items() if not _promises(each, wanted)}
        if rest != kept:
            notes.write(self._store, self._collection, {_HITS: rest})

    def forget_duplicates(self, wanted: float) -> None:
        """Forget the threshold if it promises `wanted` or more, as a measurement refused that."""
        if _promises(self.to_dict()[_DUPLICATES], wanted):
            notes.write(self._store, self._collection, {_DUPLICATES: {}})

    def _require_confirmed(self, kept: Mapping[str, Any], what: str) -> None:
        wanted, checked = kept.get("wanted"), kept.get("checked")
        if wanted is None or checked is None:
            return  # given by a program, without a measurement
        if not checked["pairs"] or checked["precision_interval"][1] < wanted:
            raise ConfigError(
                f"the {what} that is kept for collection {self._collection.name!r} was refused by "
                f"its check: wanted precision {wanted:g}, checked {checked['precision']:.3f}. "
                "Measure it again, or give the score as a number."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return all that is kept: "min_score" by kind of query, "duplicates"; empty if nothing."""
        facts = notes.read(self._store, self._collection)
        return {name: facts.get(name) or {} for name in (_HITS, _DUPLICATES)}


def _promises(kept: Mapping[str, Any], wanted: float) -> bool:
    return float(kept.get("wanted", -1.0)) >= wanted
