"""Searches by words that a store answers itself: alone, and in one ranking with a vector's."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from imgsearch.backends.checks import check_vectors
from imgsearch.backends.filter_plan import Plan
from imgsearch.backends.schema import Schema
from imgsearch.filters import Filter, Where
from imgsearch.types import Hit, Vector


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the store joins the rankings by a vector and by `words`: by reciprocal rank.

    A hit's score is the sum of 1 / (`rank_constant` + rank), with ranks from 1 on, over the `depth`
    nearest by the vector and the `depth` best by words. `k` hits are returned. `words` are as from
    `imgsearch.backends.words`.

    Source: G. Cormack et al., Reciprocal Rank Fusion, SIGIR 2009.
    """

    words: Sequence[str]
    k: int
    depth: int
    rank_constant: int


class WordSearch(ABC):
    """The part of a collection that searches by words. Most stores have none."""

    schema: Schema

    @property
    def fuses(self) -> bool:
        """Whether the store joins the rankings of vectors and words in this collection."""
        return False

    @abstractmethod
    def _plan(self, where: Where | None) -> Plan:
        """Return how a filter is evaluated."""

    def search_words(
        self, words: Sequence[str], *, k: int, where: Where | None = None
    ) -> list[Hit] | None:
        """Return at most `k` hits for words by the store's own BM25, best first.

        A hit's score is 0 or more, and its distance the negative score. `words` are as from
        `imgsearch.backends.words`. Returns None if the store or the collection has no full-text
        search, or cannot evaluate `where`.

        Raises:
            FieldInvalid: as for `search`.
        """
        plan = self._plan(where)
        return self._search_words(words, k=k, where=plan.native) if plan.is_native else None

    def can_fuse(self, where: Where | None = None) -> bool:
        """Return whether `search_fused` works in this collection with this filter.

        Raises:
            FieldInvalid: as for `search`.
        """
        return self.fuses and self._plan(where).is_native

    def search_fused(
        self,
        vector: Vector,
        fusion: Fusion,
        *,
        where: Where | None = None,
        effort: int | None = None,
    ) -> list[Hit]:
        """Return hits for a vector (dim,) and words in one ranking by the store, best first.

        A hit's distance is the negative score; see `Fusion`. The order of equal scores is
        unspecified. Call it only where `can_fuse` is True.

        Raises:
            DimensionMismatch, VectorInvalid, FieldInvalid: as for `search`.
        """
        (query,) = check_vectors(self.schema, vector[None])
        return self._search_fused(query, fusion, where=self._plan(where).native, effort=effort)

    def _search_words(
        self,
        words: Sequence[str],  # noqa: ARG002 - most stores have no full-text search
        *,
        k: int,  # noqa: ARG002 - as above
        where: Filter | None,  # noqa: ARG002 - as above
    ) -> list[Hit] | None:
        return None

    def _search_fused(
        self, query: Vector, fusion: Fusion, *, where: Filter | None, effort: int | None
    ) -> list[Hit]:
        raise NotImplementedError
