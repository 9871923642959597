"""The contents of a library: its records, its size, and its export."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from typing_extensions import override

from imgsearch import encoders
from imgsearch.backends.regions import WHOLE, has_regions, image_id
from imgsearch.encoders import Recipe
from imgsearch.encoders.query_encoder import QueryEncoder
from imgsearch.errors import ImageNotFound, ImgSearchError, SchemaMismatch
from imgsearch.fields import declared
from imgsearch.filters import Field, Filter, Where
from imgsearch.images import sources
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.folders import with_absolute_folders
from imgsearch.library.hits import Hits
from imgsearch.library.interface import SearchableImages
from imgsearch.library.progress import absolute
from imgsearch.library.query_downloads import all_downloaded, downloaded
from imgsearch.library.query_runner import QueryRunner
from imgsearch.library.query_warnings import warn_of_query
from imgsearch.library.tagging import (
    Tagger,
    Tagging,
    TagRule,
    checked_labels,
    counted_values,
    tag,
)
from imgsearch.library.thresholds import Thresholds
from imgsearch.order import Order
from imgsearch.query import EncodedQuery, Example, Query, SearchOptions
from imgsearch.types import MAX_K, Matrix, Record, Value, Vector

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline


class LibraryContents(SearchableImages):
    """The part of a library that reads records, and encodes and searches in batches."""

    _handle: CollectionHandle
    _queries: QueryRunner

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """The recipe that the encoder is built from."""

    def encode(self, query: Query | Example, *, url_hosts: Sequence[str] | None = ()) -> Vector:
        """Return a query's vector, float32 (d,), unit L2 norm; a single vector is returned as is.

        Raises: as for `search`, except CollectionNotFound.
        """
        encoded = self.encode_query(downloaded(query, url_hosts))
        warn_of_query(encoded, self._handle.known, stacklevel=2)
        return encoded.vector

    def encode_query(
        self, query: Query | Example | EncodedQuery, *, pipeline: "Pipeline | None" = None
    ) -> EncodedQuery:
        """Return a query's vector with its kinds and warnings, which are not issued.

        Images by URL are not downloaded.

        `search` accepts the result as a query, and does not issue its warnings either.

        Raises: as for `search`, except CollectionNotFound.
        """
        return self._queries.encode(query, pipeline)

    def encode_queries(self, queries: Sequence[Query | Example]) -> list[EncodedQuery]:
        """Return the vectors of queries like `encode_query`, encoded in batches.

        Raises: as for `embed`.
        """
        return self._queries.encode_many(queries) if queries else []

    @property
    def dim(self) -> int:
        """The number of dimensions of the encoder's vectors.

        Raises:
            EncoderError: the encoder cannot be built.
        """
        recipe = self._handle.required_recipe()
        return encoders.load(**recipe.config()).fingerprint.dim

    def text_warnings(self, text: str) -> list[str]:
        """Return warnings about the scripts and words in `text` that the encoder does not know.

        Raises: as for `encode`.
        """
        return QueryEncoder(self.recipe).text_warnings(text)

    @override
    def get(self, id_: str) -> Record:
        """Return a stored image's record, without its vector.

        Raises:
            ImageNotFound: no image has this id.
        """
        collection = self._handle.current()
        records = {} if collection is None else collection.get([id_])
        if id_ not in records:
            raise ImageNotFound(f"no image in {self.name!r} has the id {id_!r}")
        return records[id_]

    @override
    def count(self, where: Where | None = None) -> int:
        """Return the number of images in the library, or of the images that match `where`.

        Raises:
            FieldInvalid: `where` is not a filter on declared fields.
        """
        collection = self._handle.current()
        return 0 if collection is None else collection.count(self._condition(where))

    @override
    def records(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        vectors: bool = False,
    ) -> Iterator[Record]:
        """Yield the records of the images that match `where`; see `SearchableImages.records`.

        With `vectors` they have vectors, float32 (d,).
        """
        order = None if order_by is None else Order.parse(order_by)
        collection = self._handle.current()
        if collection is None:
            return iter(())
        records = collection.iterate(where=self._condition(where), vectors=vectors)
        if order is None:
            return records
        matching = list(records)
        order.require(matching)
        return iter(order.sorted(matching))

    @override
    def __contains__(self, item: object) -> bool:
        """Return whether an image has this id, or this path; a path may be relative."""
        collection = self._handle.current()
        if collection is None or not isinstance(item, str | os.PathLike):
            return False
        text = os.fsdecode(item)
        if collection.get([text]):
            return True
        if "\0" in text or "path" not in collection.schema.fields:
            return False
        paths = {sources.printable(text), sources.printable(absolute(text))}
        return bool(collection.count(Field("path").isin(sorted(paths))))

    @override
    def to_parquet(self, file: str | os.PathLike[str]) -> int:
        from imgsearch.backends import parquet  # loads pyarrow.parquet, which takes 20 ms

        collection = self._handle.required()

        def read(*, vectors: bool) -> Iterator[Record]:
            return collection.iterate(vectors=vectors)

        return parquet.write(file, collection.schema, read, name=self.name)

    @override
    def embed(
        self, items: Sequence[Query | Example], *, url_hosts: Sequence[str] | None = ()
    ) -> Matrix:
        if not items:
            return np.empty((0, self.dim), np.float32)
        encoded = self.encode_queries(all_downloaded(items, url_hosts))
        for query in encoded:
            warn_of_query(query, self._handle.known, stacklevel=2)
        return np.stack([query.vector for query in encoded])

    def tag(
        self,
        labels: Iterable[str],
        *,
        top: int | None = None,
        min_score: float | Literal["auto"] | None = None,
        field: str = "tags",
        where: Where | None = None,
        dry_run: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Tagging:
        """Write the labels that fit each image to its field `field`, best first.

        An image fits a label if its stored vector has a score of at least `min_score` with the
        label as a text query; no image is decoded. "auto", the default without `top`, is the
        threshold measured for text queries. `top` limits the labels of an image. Former values of
        the field are replaced; the field is declared if it is new. With `dry_run` nothing is
        written. `on_progress` is called with the numbers of images done and of all.

            library.tag(["dog", "cat", "a beach"], top=1)
            library.search("cat.jpg", where="tags contains dog")

        Raises:
            CollectionNotFound: nothing was added yet.
            TextUnsupported: the encoder takes images only.
            ConfigError: there are no labels, an option is invalid, or no threshold was measured.
            SchemaMismatch: the field is not a text, or the store cannot add it.
        """
        types = declared({field: "list"})
        if (kind := self._handle.fields.get(field, "str")) != "str":
            raise SchemaMismatch(f"field {field!r} is {kind}: tags need a text or a list")
        tagger = self.tagger(labels, top=top, min_score=min_score)
        if not dry_run:
            self._handle.declare(types)
            self._handle.require_writable()
        return tag(
            self._handle.required(),
            tagger,
            name=field,
            where=self._condition(where),
            dry_run=dry_run,
            on_progress=on_progress,
        )

    def tagger(
        self,
        labels: Iterable[str],
        *,
        top: int | None = None,
        min_score: float | Literal["auto"] | None = None,
    ) -> Tagger:
        """Return what chooses labels for vectors of images; the arguments are as for `tag`.

        Raises: as for `tag`.
        """
        names = checked_labels(labels)
        thresholds = Thresholds(self._handle.backend, self._handle.required())
        rule = TagRule.of(min_score, top, lambda: thresholds.min_score(["text"]))
        return Tagger(names, self.embed([Query.text(name) for name in names]), rule)

    @override
    def facets(self, field: str, *, where: Where | None = None, most: int = 20) -> dict[Value, int]:
        records = self._handle.required().iterate(where=self._condition(where), vectors=False)
        return counted_values((record.fields.get(field) for record in records), most)

    @override
    def more_like(
        self,
        id_: str,
        *,
        k: int = 10,
        offset: int = 0,
        where: Where | None = None,
        min_score: float | None = None,
        hide_duplicates: bool | float = False,
        effort: int | None = None,
        order_by: str | None = None,
    ) -> Hits:
        options = SearchOptions(k, offset, where, min_score, hide_duplicates, effort, order_by)
        collection = self._handle.current()
        stored = {} if collection is None else collection.get([id_], vectors=True)
        if collection is None or id_ not in stored:
            raise ImageNotFound(f"no image in {self.name!r} has the id {id_!r}")
        vector = np.asarray(stored[id_].vector, dtype=np.float32)
        query = EncodedQuery(vector, encoder=collection.schema.encoder)
        wider = replace(options, k=min(k + offset + 1, MAX_K), offset=0, order_by=None)
        own = image_id(collection, stored[id_])
        _, hits = self._queries.search(query, self._located(wider))
        others = [hit for hit in hits if image_id(collection, hit) != own]
        return Hits(options.ordered(others[offset : offset + k]))

    @override
    def search_many_with(
        self,
        queries: Sequence[Query | Example],
        options: SearchOptions,
        *,
        url_hosts: Sequence[str] | None = (),
        errors: Literal["raise", "keep"] = "raise",
    ) -> list[Hits | ImgSearchError]:
        options = self._located(options)
        if options.mode != "vector":
            return [self._one(query, options, url_hosts, errors) for query in queries]
        try:
            whole = all_downloaded(queries, url_hosts)
            results = self._queries.search_many(whole, options) if queries else []
        except ImgSearchError:
            if errors == "raise":
                raise
            return [self._hits_or_error(query, options, url_hosts) for query in queries]
        for encoded, _ in results:
            warn_of_query(encoded, self._handle.known, stacklevel=3)
        return [hits for _, hits in results]

    def _one(
        self,
        query: Query | Example,
        options: SearchOptions,
        url_hosts: Sequence[str] | None,
        errors: Literal["raise", "keep"],
    ) -> Hits | ImgSearchError:
        try:
            return self.search_with(query, options, url_hosts=url_hosts)
        except ImgSearchError as error:
            if errors == "raise":
                raise
            return error

    def _hits_or_error(
        self, query: Query | Example, options: SearchOptions, url_hosts: Sequence[str] | None
    ) -> Hits | ImgSearchError:
        try:
            whole = downloaded(query, url_hosts)
            ((_, hits),) = self._queries.search_many([whole], options)
        except ImgSearchError as error:
            return error
        return hits

    def _located(self, options: SearchOptions) -> SearchOptions:
        """Return the options with absolute folders in the filter."""
        return replace(options, where=with_absolute_folders(options.where))

    def _condition(self, where: Where | None) -> Filter | None:
        """Return a filter for whole images, with absolute folders."""
        collection, condition = self._handle.current(), with_absolute_folders(where)
        if collection is None or not has_regions(collection):
            return condition
        return WHOLE if condition is None else WHOLE & condition
