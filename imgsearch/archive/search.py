"""Searches that return hits together with their catalog entries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from imgsearch.archive.libraries import Libraries
from imgsearch.archive.outcomes import Found
from imgsearch.archive.priority import Traffic
from imgsearch.archive.search_batcher import SearchBatcher
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import CollectionNotFound, EncoderMismatch, ImageNotFound
from imgsearch.library.library import Library
from imgsearch.order import Order
from imgsearch.query import EncodedQuery, Example, Query, SearchOptions
from imgsearch.types import MAX_K, Hit, Vector

_CALLS: Final = 8  # concurrent searches on a server; the embedded store runs one at a time
_SPARE: Final = 16  # extra hits to fetch if some hits have no ready row
_MORE: Final = 4  # factor by which more hits are fetched until enough have a row


class Searcher:
    """Searches the collections of an archive. During a search, `traffic` slows down additions."""

    def __init__(self, libraries: Libraries, catalog: Catalog, traffic: Traffic) -> None:
        self._libraries, self._catalog, self._traffic = libraries, catalog, traffic
        libraries.store_search = SearchBatcher(calls=1 if libraries.embedded else _CALLS).search

    def run(
        self, query: Query | Example | EncodedQuery, options: SearchOptions, *, collection: str
    ) -> list[Found]:
        """See `Archive.search`."""
        with self._traffic.search():
            library = self._libraries.existing(collection)
            try:
                return self._found(library, query, options)
            except EncoderMismatch:
                if isinstance(query, EncodedQuery):
                    raise
                return self._found(library, query, options)  # the model was changed in between

    def _found(
        self, library: Library, query: Query | Example | EncodedQuery, options: SearchOptions
    ) -> list[Found]:
        nearest = replace(options, order_by=None)
        hits = self._with_entries(library, library.search_with(query, nearest, url_hosts=None))
        known = [hit for hit in hits if hit is not None]
        if len(known) < len(hits):
            encoded = query if options.mode != "vector" else library.encode_query(query)
            known = self._widened(library, encoded, nearest, len(hits) - len(known))
        return _ordered(known, options, library)

    def more_like(self, entry: Entry, options: SearchOptions) -> list[Found]:
        """See `Archive.more_like`."""
        wider = replace(options, k=options.k + options.offset + 1, offset=0, order_by=None)
        try:
            hits = self.run(self._example(entry), wider, collection=entry.collection)
        except EncoderMismatch:  # the model was changed in between
            hits = self.run(self._example(entry), wider, collection=entry.collection)
        others = [hit for hit in hits if hit.entry.content != entry.content]
        library = self._libraries.existing(entry.collection)
        return _ordered(others[options.offset : options.offset + options.k], options, library)

    def _widened(
        self,
        library: Library,
        query: Query | Example | EncodedQuery,
        options: SearchOptions,
        unknown: int,
    ) -> list[Found]:
        """Search more widely until enough hits have a row, and return these hits.

        `unknown` is the number of hits without a row in the first search.
        """
        wanted = options.k + options.offset
        fetched = wanted + unknown + _SPARE
        while True:
            fetched = min(fetched, MAX_K)
            hits = library.search_with(query, replace(options, k=fetched, offset=0), url_hosts=None)
            known = [hit for hit in self._with_entries(library, hits) if hit is not None]
            if len(known) >= wanted or len(hits) < fetched or fetched == MAX_K:
                return known[options.offset : wanted]
            fetched *= _MORE

    def vector(self, entry: Entry) -> Vector:
        """Return an image's vector, float32 (d,).

        Raises:
            ImageNotFound: the image has no vector yet.
        """
        return self._example(entry).vector

    def _example(self, entry: Entry) -> EncodedQuery:
        """Return an image's vector with the encoder that made it."""
        try:
            collection = self._libraries.existing(entry.collection).collection
            stored = collection.get([entry.content], vectors=True)
            vector = np.asarray(stored[entry.content].vector, dtype=np.float32)
            return EncodedQuery(vector, encoder=collection.schema.encoder)
        except (CollectionNotFound, KeyError) as error:
            raise ImageNotFound(f"image {entry.id!r} has no vector yet") from error

    def _with_entries(self, library: Library, hits: Sequence[Hit]) -> list[Found | None]:
        contents = [hit.id.partition("#")[0] for hit in hits]
        rows = self._catalog.of_contents(library.name, contents) if contents else {}
        return [
            Found(rows[content][0], hit, len(rows[content])) if rows.get(content) else None
            for content, hit in zip(contents, hits, strict=True)
        ]


def _ordered(matches: list[Found], options: SearchOptions, library: Library) -> list[Found]:
    if options.order_by is None:
        return matches
    order = Order.parse(options.order_by)
    order.require(matches, lambda: library.fields, _fields)
    return order.sorted(matches, _fields)


def _fields(match: Found) -> dict[str, Any]:
    """Return the values that hits are sorted by: the image's fields, and its name and label."""
    entry, hit = match.entry, match.hit
    own = {
        "name": entry.name,
        "path": entry.name,
        "label": entry.label,
        "created": entry.created.isoformat(),
    }
    return {**entry.fields, **own, "id": entry.id, "score": hit.score, "distance": hit.distance}
