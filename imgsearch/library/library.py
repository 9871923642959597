"""A library of images: add, search, remove.

The command line calls `Library`. The service and the web page call `Archive`, which also keeps
originals and a catalog.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from os import PathLike
from typing import Any, Literal

import pyarrow as pa
from typing_extensions import override

from imgsearch import encoders
from imgsearch.backends import Collection, FieldNames, Metric
from imgsearch.backends.regions import WHOLE, has_regions, search_images
from imgsearch.encoders import Encoder, Recipe
from imgsearch.encoders.detector import Detection
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter
from imgsearch.images import MAX_PIXELS, checked_limit, sources
from imgsearch.images.sources import Source
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.duplicates import search_distinct
from imgsearch.library.embedding import Embedding
from imgsearch.library.ingest import Loader
from imgsearch.library.progress import FailedFile, Progress, Report, Tally, chunks
from imgsearch.library.query import Example, Query
from imgsearch.library.query_encoder import QueryEncoder
from imgsearch.library.removal import remove_images
from imgsearch.library.thresholds import Thresholds
from imgsearch.types import Closeable, Hit, Record, Vector, check_score


class Library(Closeable):
    """An image library: one collection in a vector store, with the encoder of its vectors.

    Returned by `imgsearch.open`. Thread-safe. The encoder is loaded when it is first needed.
    """

    def __init__(
        self,
        handle: CollectionHandle,
        *,
        regions: Detection | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._handle, self._regions, self.max_pixels = handle, regions, max_pixels
        self.url, self.name = handle.backend.url, handle.name
        self._inserting = threading.Lock()
        self._queries = QueryEncoder(handle.recipe, max_pixels=max_pixels)

    @property
    def model(self) -> str:
        """The encoder's name, or "" if the collection records none and the user named none."""
        return self._handle.recipe.model if self._handle.recipe else ""

    @property
    def recipe(self) -> Recipe:
        """The recipe that the encoder is built from.

        Raises:
            EncoderMismatch: the collection records no encoder, and the user named none.
        """
        return self._handle.required_recipe()

    @property
    def encoder(self) -> Encoder:
        """The encoder, which is loaded when it is first needed.

        Raises:
            EncoderMismatch: the collection records no encoder, and the user named none.
            EncoderError: the encoder cannot be built.
        """
        return encoders.load(**self.recipe.config())

    def add(
        self,
        *images: Source,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[FailedFile], None] | None = None,
    ) -> Report:
        """Add images from folders, globs, image files, csv, tsv and parquet files, or lists.

        Ids are content hashes, so images already in the library are skipped without decoding, and
        an interrupted load can be re-run. If files have the same content, the first is added. A
        label from a list or a folder's name replaces the stored one. Unreadable files are listed in
        `Report.failures`; they do not stop the load.

        Raises:
            SourceError: a folder, glob or list does not exist, or names no path; nothing was added.
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            SchemaMismatch: the collection records no encoder; another program may have filled it.
            BackendError: the store failed; images counted as added are stored.
        """
        self._handle.require_writable()
        tally = Tally(sum(map(sources.count, images)), on_progress, on_failure)
        references = [
            sources.references(source, on_ignored=tally.ignore, on_note=tally.note)
            for source in images
        ]
        is_new = self._handle.known is None
        tally.report_progress()
        loader = Loader(self._handle, regions=self._regions, max_pixels=self.max_pixels)
        loader.load(chunks(chain.from_iterable(references), tally), tally)
        if is_new and self._handle.known is not None:
            tally.note(encoders.introduction(self.recipe.model))
        return tally.report()

    def search(
        self,
        query: Query | Example,
        *,
        k: int = 10,
        offset: int = 0,
        where: Filter | None = None,
        min_score: float | Literal["auto"] | None = None,
        hide_duplicates: bool | float = False,
        effort: int | None = None,
    ) -> list[Hit]:
        """Return at most `k` hits for `query`, nearest first, after skipping `offset` hits.

        A query is a text, an image, a vector, or a `Query` of several. A hit's `fields` hold
        ``path`` and ``label``. In a library with regions they also hold ``image`` (its id), ``box``
        and ``object``, and every hit is a different image. `where` filters on fields, for example
        ``Field("label") == "goldfish"``. `min_score` leaves out hits with a lower score; "auto" is
        the threshold measured for queries of this kind. `effort` is the search breadth of the
        index, as for `Collection.search`.
        `hide_duplicates` leaves out near-duplicates of nearer hits. True uses the measured
        threshold; a number is the lowest score of two near-duplicates. Only scores are compared,
        while `imgsearch dedup` also compares pixels.
        To search another program's collection by text or image, pass the `model` that made its
        vectors to `open`. An `EncoderWarning` reports that this cannot be verified.

        Raises:
            CollectionNotFound: nothing was added yet.
            SourceError, ImageError: the query image cannot be read.
            TextUnsupported: the query has a text, and the encoder takes images only.
            EncoderMismatch: the collection holds another encoder's vectors, or it records no
                encoder and `open` was given no model.
            EncoderRemoved: the collection's encoder was removed, and the query is not a vector.
            ConfigError: the query is empty, its terms cancel each other, or the requested threshold
                was not measured.
        """
        collection = self._handle.required()
        query = query if isinstance(query, Query) else Query(query)
        options: dict[str, Any] = {"k": k, "offset": offset, "where": where, "effort": effort}
        if isinstance(min_score, str):
            _check_auto(min_score)
            options["min_score"] = self.thresholds.min_score(query)
        else:
            options["min_score"] = (
                None if min_score is None else check_score("min_score", min_score)
            )
        vector = self._query_encoder().encode(query, collection)
        if hide_duplicates is False:
            return search_images(collection, vector, **options)
        near = (
            self.thresholds.duplicates()
            if hide_duplicates is True
            else check_score("hide_duplicates", hide_duplicates)
        )
        return search_distinct(collection, vector, threshold=near, **options)

    def encode(
        self, query: Query | Example, *, on_warning: Callable[[str], None] | None = None
    ) -> Vector:
        """Return a query's vector, float32 (d,), unit L2 norm; a single vector is returned as is.

        `on_warning` is called with each warning about the query, such as an unknown word. Without
        it, Python warnings are issued.

        Raises: as for `search`, except CollectionNotFound.
        """
        return self._query_encoder().encode(query, self._handle.known, on_warning)

    def text_warnings(self, text: str) -> list[str]:
        """Return warnings about the scripts and words in `text` that the encoder does not know.

        Raises: as for `encode`.
        """
        return self._query_encoder().text_warnings(text)

    def embed(
        self, images: Sequence[tuple[str, bytes]], *, one_core: bool = False
    ) -> pa.RecordBatch:
        """Embed images given as (name, bytes); return one row per image, with a vector or an error.

        The schema is `embedding.SCHEMA`. With `one_core` one thread decodes and one embeds, so the
        other cores stay free.

        Raises:
            EncoderError: the encoder cannot be built.
        """
        return Embedding(self.recipe, max_pixels=self.max_pixels)(images, one_core=one_core)

    def insert(self, records: Iterable[Record]) -> None:
        """Write records with vectors from `embed`; the first call creates the collection.

        Raises:
            SchemaMismatch: the collection records no encoder.
            BackendError: the store refused the records, or failed.
        """
        with self._inserting:
            self._handle.require_writable()
            self._handle.open_or_create().upsert(records)

    def remove(
        self, *targets: str | PathLike[str], on_missing: Callable[[str], None] | None = None
    ) -> int:
        """Remove images from the library; return how many were removed. Files stay on disk.

        A target is an id, a file's path, a glob, or a folder, which names all images below it.
        The files need not exist. `on_missing` is called with each target that names no image.

        Raises:
            ConfigError: a target is empty.
            CollectionNotFound: nothing was added yet.
            SchemaMismatch: the collection records no encoder; another program may have filled it.
        """
        collection = self._handle.required()
        self._handle.require_writable()
        return remove_images(collection, targets, on_missing)

    def count(self) -> int:
        """Return the number of images in the library."""
        collection = self._handle.current()
        if collection is None:
            return 0
        return collection.count(WHOLE if has_regions(collection) else None)

    def exists(self) -> bool:
        """Return whether the collection exists. Adding the first image creates it."""
        return self._handle.current() is not None

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds measured for this library's scores.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return Thresholds(self._handle.backend, self._handle.required())

    @property
    def collection(self) -> Collection:
        """The collection, for operations that a library lacks, such as `Collection.iterate`.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return self._handle.required()

    @override
    def close(self) -> None:
        """Close the store."""
        self._handle.close()

    def __repr__(self) -> str:
        return f"<Library {self.url} {self.name!r} {self.model or 'unknown encoder'}>"

    def _query_encoder(self) -> QueryEncoder:
        """Return the query encoder, rebuilt if the recipe changed since the last query."""
        queries = self._queries
        if queries.recipe != self._handle.recipe:
            queries = QueryEncoder(self._handle.recipe, max_pixels=self.max_pixels)
            self._queries = queries
        return queries


def open(  # noqa: A001 - imgsearch.open reads as intended; nothing here opens files
    url: str | PathLike[str] = "photos.db",
    *,
    collection: str = "images",
    model: str | None = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    index: str | None = None,
    metric: Metric | None = None,
    token: str | None = None,
    timeout: float = 10.0,
    regions: "str | PathLike[str] | Detection | None" = None,
    max_pixels: int = MAX_PIXELS,
    id_field: str | None = None,
    vector_field: str | None = None,
    path_field: str | None = None,
    label_field: str | None = None,
) -> Library:
    """Open the image library in `collection` of the store at `url`; `add` creates a missing one.

    `url`: ``photos.db`` (an embedded Milvus file), ``milvus://host:19530/database`` or
    ``memory://name``. `token` ("user:password") is for servers that require one.
    `model` ("lite", "classic", "timm:NAME" …), `weights` and `options` name the encoder. An
    existing collection remembers its own; give `weights` only if the file has moved.
    `index` is "flat", "ivf_flat:nlist=128", "ivf_sq8" or "hnsw" (the default), `metric` "cosine"
    (the default), "ip" or "l2". `timeout` is in seconds. `regions` is the folder of an object
    detector, or a `Detection`: the objects in each added image are then searchable, too.
    `max_pixels` limits the decoded pixels of an added image or a query image. A JPEG is decoded at
    1/2, 1/4 or 1/8 scale if that is enough for the encoder, so a 200-megapixel JPEG is accepted.

    A collection of another program is read-only. To search it, give the model that made its vectors
    and the names of its fields: `path_field` and `label_field` become "path" and "label" in hits.
    `vector_field` is required if it has several vector fields. `id_field`, the primary key, is
    optional.

    Arguments are checked before a store is created on disk.

    Raises:
        ConfigError: the URL, the index, the metric or another argument is invalid.
        ModelNotFound: no model is called `model`.
        WeightsNotFound, WeightsInvalid: the weights file does not exist, or is invalid.
        EncoderMismatch: the collection was made by another model.
        EncoderRemoved: `model` was removed; or a removed encoder made the collection, and `model`
            is another one. Without `model` the collection opens.
        SchemaMismatch: the collection has another index or metric.
        StoreLocked, BackendUnavailable: the store cannot be opened.
    """
    checked_limit(max_pixels)
    detection = None if regions is None else Detection.of(regions)
    handle = CollectionHandle(
        url,
        collection,
        model=model,
        weights=weights,
        options=options,
        index=index,
        metric=metric,
        names=FieldNames(id_field, vector_field, path_field, label_field),
        token=token,
        timeout=timeout,
    )
    return Library(handle, regions=detection, max_pixels=max_pixels)


def _check_auto(word: str) -> None:
    if word != "auto":
        raise ConfigError(f'invalid min_score {word!r}: use a number, None or "auto".')
