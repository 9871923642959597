"""Searches that return hits together with their catalog entries."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from imgsearch.archive.libraries import Libraries
from imgsearch.archive.outcomes import Found
from imgsearch.archive.priority import Traffic
from imgsearch.archive.search_batcher import SearchBatcher
from imgsearch.backends.regions import has_regions
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import CollectionNotFound, ImageNotFound
from imgsearch.library.library import Library
from imgsearch.library.query import Example, Query
from imgsearch.types import MAX_K, Hit, Vector

_CALLS: Final = 8  # concurrent searches on a server; the embedded store runs one at a time
_SPARE: Final = 16  # extra hits to fetch if some hits have no ready row
_MORE: Final = 4  # factor by which more hits are fetched until enough have a row


class Searcher:
    """Searches the collections of an archive. During a search, `traffic` slows down additions."""

    def __init__(self, libraries: Libraries, catalog: Catalog, traffic: Traffic) -> None:
        self._libraries, self._catalog, self._traffic = libraries, catalog, traffic
        self._batcher = SearchBatcher(calls=1 if libraries.embedded else _CALLS)

    def run(
        self,
        query: Query | Example,
        *,
        collection: str,
        k: int,
        offset: int,
        min_score: float | Literal["auto"] | None = None,
        hide_duplicates: bool | float = False,
        **options: Any,
    ) -> list[Found]:
        """See `Archive.search`."""
        options["min_score"] = min_score
        with self._traffic.search():
            library = self._libraries.existing(collection)
            plain = hide_duplicates is False and min_score != "auto"
            if plain and not has_regions(library.collection):
                vector = library.encode(query)
                search = partial(self._batcher.search, library.collection, vector, **options)
            else:
                search = partial(library.search, query, hide_duplicates=hide_duplicates, **options)
            hits = self._with_entries(library, search(k=k, offset=offset))
            if None in hits:
                return self._widened(library, search, k + offset, hits.count(None))[offset:]
        return [hit for hit in hits if hit is not None]

    def more_like(self, entry: Entry, *, k: int, offset: int, **options: Any) -> list[Found]:
        """See `Archive.more_like`."""
        vector = self.vector(entry)
        hits = self.run(vector, collection=entry.collection, k=k + offset + 1, offset=0, **options)
        others = [hit for hit in hits if hit.entry.content != entry.content]
        return others[offset : offset + k]

    def _widened(
        self, library: Library, search: Callable[..., list[Hit]], wanted: int, unknown: int
    ) -> list[Found]:
        """Search more widely until `wanted` hits have a row, and return these hits.

        `unknown` is the number of hits without a row in the first search.
        """
        fetched = wanted + unknown + _SPARE
        while True:
            fetched = min(fetched, MAX_K)
            hits = search(k=fetched)
            known = [hit for hit in self._with_entries(library, hits) if hit is not None]
            if len(known) >= wanted or len(hits) < fetched or fetched == MAX_K:
                return known[:wanted]
            fetched *= _MORE

    def vector(self, entry: Entry) -> Vector:
        """Return an image's vector, float32 (d,).

        Raises:
            ImageNotFound: the image has no vector yet.
        """
        try:
            collection = self._libraries.existing(entry.collection).collection
            stored = collection.get([entry.content], vectors=True)
            return np.asarray(stored[entry.content].vector, dtype=np.float32)
        except (CollectionNotFound, KeyError) as error:
            raise ImageNotFound(f"image {entry.id!r} has no vector yet") from error

    def _with_entries(self, library: Library, hits: Sequence[Hit]) -> list[Found | None]:
        contents = [hit.id.partition("#")[0] for hit in hits]
        rows = self._catalog.of_contents(library.name, contents) if contents else {}
        return [
            Found(rows[content][0], hit, len(rows[content])) if rows.get(content) else None
            for content, hit in zip(contents, hits, strict=True)
        ]
