"""Searches by words, alone or together with vectors."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, Final

from imgsearch.backends import Collection
from imgsearch.backends.regions import WHOLE, grouped, groups_videos, has_regions
from imgsearch.backends.word_search import Fusion
from imgsearch.backends.words import words
from imgsearch.errors import ConfigError, TextUnknown, TextUnsupported
from imgsearch.filters import Where, to_filter
from imgsearch.library.fusion import RANK, fused
from imgsearch.library.hit_finder import StoreSearch
from imgsearch.library.keyword_index import KeywordIndex
from imgsearch.query import EncodedQuery, Example, Query, SearchOptions
from imgsearch.types import MAX_K, Hit, Vector

VectorSearch = Callable[[SearchOptions, StoreSearch | None], tuple[EncodedQuery, Sequence[Hit]]]
"""Searches for the query by its vector, with the given options and another search of the store."""

_OLDEST: Final = 60.0  # seconds until labels that another program changed are read
_SHARE: Final = 20.0  # an index is used at least this many times as long as it took to build
_DEPTH: Final = 100  # ranks that are fused at least
_BATCH: Final = 500  # records read at once


class KeywordSearch:
    """Ranks images by the words in their text fields. Thread-safe.

    The index is built at the first search, and again after a write of this process, or when the
    number of records has changed. Changes by other programs that keep the number of records are
    seen after a minute, in large collections later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: object = None
        self._index = KeywordIndex([])
        self._expires = 0.0

    def search(
        self,
        collection: Collection,
        query: Query | Example | EncodedQuery,
        options: SearchOptions,
        by_vector: VectorSearch,
    ) -> tuple[EncodedQuery | None, list[Hit]]:
        """Return the hits of mode "text" or "hybrid", and the encoded query if there is one.

        With "text" a hit's score is by BM25, 0 or more. With "hybrid" it is the sum of
        1 / (60 + rank) in both rankings. A distance is the negative score. If the encoder takes no
        texts, or knows none of the words, "hybrid" ranks by words alone.

        Raises:
            ConfigError: the mode is "text" and the query has no text, or an option is for vectors.
            LimitExceeded: the collection is too large.
        """
        text = _text(query)
        if options.mode == "text":
            if not text:
                raise ConfigError('the query has no text: mode="text" compares words.')
            if options.min_score is not None:
                raise ConfigError('min_score is for vectors. Leave it out with mode="text".')
        if options.hide_duplicates is not False:
            raise ConfigError('hide_duplicates is for vectors: use mode="vector".')
        wanted = options.k + options.offset
        encoded: EncodedQuery | None = None
        if options.mode == "hybrid":
            encoded, hits = self._hybrid(collection, text, options, by_vector)
        else:
            hits = self._hits(collection, text, options, wanted)
        return encoded, options.ordered(hits[options.offset : wanted])

    def _hybrid(
        self,
        collection: Collection,
        text: str,
        options: SearchOptions,
        by_vector: VectorSearch,
    ) -> tuple[EncodedQuery | None, list[Hit]]:
        """Return the hits in both rankings, by the store in one request if it can do that."""
        wanted = options.k + options.offset
        depth = min(MAX_K, max(_DEPTH, wanted))
        deeper = replace(options, mode="vector", k=depth, offset=0, order_by=None)
        encoded: EncodedQuery | None = None
        nearest: Sequence[Hit] = []
        try:
            if tokens := _fusable(collection, text, options):
                fusion = Fusion(tokens, k=wanted, depth=depth, rank_constant=RANK)
                encoded, hits = by_vector(deeper, partial(_search_fused, fusion))
                return encoded, list(hits)
            encoded, nearest = by_vector(deeper, None)
        except (TextUnsupported, TextUnknown):
            pass  # the words alone
        hits = fused([nearest, self._hits(collection, text, options, depth)])
        by_video = groups_videos(collection, options)
        return encoded, grouped(hits, by_video=True) if by_video else hits

    def _hits(
        self, collection: Collection, text: str, options: SearchOptions, most: int
    ) -> list[Hit]:
        if not text:
            return []
        by_video = groups_videos(collection, options)
        wanted = MAX_K if by_video else most  # a video may have many frames
        if (native := self._native(collection, text, options.where, wanted)) is not None:
            return grouped(native, by_video=True)[:most] if by_video else native
        accepts = collection.matcher(options.where)
        ranked = iter(self._current(collection).ranked(text))
        hits: list[Hit] = []
        while len(hits) < most and (part := _part(ranked)):
            records = collection.get(list(part))
            hits += [
                Hit(id_, score, -score, records[id_].fields)
                for id_, score in part.items()
                if id_ in records and accepts(records[id_].fields)
            ]
            hits = grouped(hits, by_video=True) if by_video else hits
        return hits[:most]

    @staticmethod
    def _native(
        collection: Collection, text: str, where: Where | None, most: int
    ) -> list[Hit] | None:
        """Return the hits of the store's own search by words. Returns None if it has none."""
        condition = None if where is None else to_filter(where)
        if has_regions(collection):
            condition = WHOLE if condition is None else WHOLE & condition
        tokens = list(words(text))
        return collection.search_words(tokens, k=most, where=condition) if tokens else []

    def _current(self, collection: Collection) -> KeywordIndex:
        """Return an index of the collection's present records."""
        with self._lock:
            key = (collection.name, collection.writes, collection.count())
            if key != self._key or monotonic() > self._expires:
                start = monotonic()
                where = WHOLE if has_regions(collection) else None
                self._index = KeywordIndex(collection.iterate(where=where, vectors=False))
                self._key = key
                self._expires = monotonic() + max(_OLDEST, _SHARE * (monotonic() - start))
            return self._index


def _fusable(collection: Collection, text: str, options: SearchOptions) -> list[str]:
    """Return the words of a search that the store fuses with the vector's, or none."""
    tokens = list(words(text)) if text else []
    parts = has_regions(collection) or groups_videos(collection, options)
    plain = tokens and not parts and options.min_score is None
    return tokens if plain and collection.can_fuse(options.where) else []


def _search_fused(
    fusion: Fusion, collection: Collection, vector: Vector, **options: Any
) -> list[Hit]:
    """Search for a vector and words: a `StoreSearch`."""
    return collection.search_fused(vector, fusion, where=options["where"], effort=options["effort"])


def _part(ranked: Iterator[tuple[str, float]]) -> dict[str, float]:
    return {id_: score for _, (id_, score) in zip(range(_BATCH), ranked, strict=False)}


def _text(query: Query | Example | EncodedQuery) -> str:
    """Return the added texts of a query."""
    if isinstance(query, EncodedQuery):
        return " ".join(query.texts)
    whole = query if isinstance(query, Query) else Query(query)
    return " ".join(
        str(term.value) for term in whole.terms if term.kind == "text" and term.weight > 0
    )
