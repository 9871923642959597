"""Searches by words, alone or together with vectors."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

from imgsearch.backends import Collection
from imgsearch.backends.regions import WHOLE, grouped, groups_videos, has_regions
from imgsearch.backends.words import words
from imgsearch.errors import ConfigError, TextUnknown, TextUnsupported
from imgsearch.filters import Where, to_filter
from imgsearch.library.fusion import fused
from imgsearch.library.keyword_index import KeywordIndex
from imgsearch.query import EncodedQuery, Example, Query, SearchOptions
from imgsearch.types import MAX_K, Hit

VectorSearch = Callable[[SearchOptions], tuple[EncodedQuery, Sequence[Hit]]]
"""Searches for the query by its vector, with the given options."""

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
        depth = min(MAX_K, max(_DEPTH, wanted))
        by_words = self._hits(
            collection, text, options, depth if options.mode == "hybrid" else wanted
        )
        encoded: EncodedQuery | None = None
        hits = by_words
        if options.mode == "hybrid":
            wider = replace(options, mode="vector", k=depth, offset=0, order_by=None)
            try:
                encoded, nearest = by_vector(wider)
            except (TextUnsupported, TextUnknown):
                nearest = []
            hits = fused([nearest, by_words])
            hits = grouped(hits, by_video=True) if groups_videos(collection, options) else hits
        return encoded, options.ordered(hits[options.offset : wanted])

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
