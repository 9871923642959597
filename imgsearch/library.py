"""A library of images: the use cases of adding, searching and removing.

The command line is a translation of `Library`; the service and the page are of `Archive`, which
keeps originals and a catalogue beside it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self

import pyarrow as pa

from imgsearch import backends, sources
from imgsearch.arguments import check_arguments, chosen, settled
from imgsearch.backends import Collection, FieldNames, Metric, notes
from imgsearch.backends.checks import check_score
from imgsearch.backends.collection import unnamed_encoder_error
from imgsearch.detector import Detection
from imgsearch.duplicates import search_distinct
from imgsearch.embedding import Embedding
from imgsearch.encoders import Recipe
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
)
from imgsearch.filters import Field, Filter
from imgsearch.images import MAX_PIXELS, checked_limit
from imgsearch.loader import Loader, created
from imgsearch.loading import FailedFile, Progress, Report, Tally, chunks
from imgsearch.query import Example, Query
from imgsearch.query_encoder import QueryEncoder
from imgsearch.regions import WHOLE, has_regions, search_images
from imgsearch.removal import named_ids
from imgsearch.sources import Source
from imgsearch.thresholds import Thresholds
from imgsearch.types import Hit, Record, Vector
from imgsearch.wording import meant


class Library:
    """Images in one collection of a vector store, with the encoder that made its vectors.

    Made by `imgsearch.open`. Thread-safe; the encoder is built when it is first needed.
    """

    def __init__(
        self,
        url: str | PathLike[str],
        *,
        collection: str,
        model: str | None,
        weights: str | PathLike[str] | None,
        options: Mapping[str, Any] | None,
        index: str | None,
        metric: Metric | None,
        token: str | None,
        timeout: float,
        regions: "str | PathLike[str] | Detection | None" = None,
        max_pixels: int = MAX_PIXELS,
        names: FieldNames = FieldNames(),  # noqa: B008 - frozen
    ) -> None:
        if collection == notes.NAME:
            raise ConfigError(f"the store keeps its notes in {collection!r}; choose another name")
        self.max_pixels = checked_limit(max_pixels)
        check_arguments(
            collection=collection,
            model=model,
            weights=weights,
            options=options,
            index=index,
            metric=metric,
        )
        self._regions = None if regions is None else Detection.of(regions)
        if not backends.is_there(url):  # a wrong argument must not leave an empty store behind
            chosen(None, model, weights, options)
        self._backend = backends.connect(url, token=token, timeout=timeout)
        self._lock = threading.RLock()
        self._closed = False
        self.url, self.name = self._backend.url, collection
        self._named, self._names = (model, weights, options), names
        try:
            self._collection = self._existing()
            self._index, self._metric = settled(self._collection, index, metric)
            self._recipe = chosen(self._collection, *self._named)
            self._queries = QueryEncoder(self._recipe, max_pixels=max_pixels)
        except BaseException:
            self._backend.close()
            raise

    @property
    def model(self) -> str:
        """The encoder's name, "" where the collection notes none and nobody named one."""
        return self._recipe.model if self._recipe else ""

    @property
    def recipe(self) -> Recipe:
        """How to build the encoder.

        Raises:
            EncoderMismatch: the collection does not say which encoder made its vectors, and nobody
                named one.
        """
        if self._recipe is None:
            raise unnamed_encoder_error(self._collection)
        return self._recipe

    def add(
        self,
        *images: Source,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[FailedFile], None] | None = None,
    ) -> Report:
        """Add all `images`: folders, globs, image files, csv, tsv and parquet, lists of these.

        Ids are content hashes, so images already in the library are skipped without decoding, and
        an interrupted load can be run again. Of files with the same content the first counts. A
        label that a list or a folder's name states replaces another one. Unreadable files are
        listed in `Report.failures`; they do not stop the load.

        Raises:
            SourceError: a folder, glob or list does not exist or names no paths; nothing was added.
            EncoderError: the encoder cannot be built, or is not the collection's.
            SchemaMismatch: the collection notes no encoder, so another program may have filled it.
            BackendError: the store failed; what was counted as added is in it.
        """
        self._require_writable()
        self._forget_dropped()
        tally = Tally(sum(map(sources.count, images)), on_progress, on_failure)
        found = [
            sources.references(source, on_ignored=tally.ignore, on_note=tally.note)
            for source in images
        ]
        tally.tell()
        loader = Loader(
            self._backend,
            self.name,
            self._collection,
            recipe=self.recipe,
            index=self._index,
            metric=self._metric,
            regions=self._regions,
            max_pixels=self.max_pixels,
        )
        try:
            loader.load(chunks(chain.from_iterable(found), tally), tally)
        finally:
            self._collection = loader.collection
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
        """Return at most `k` hits for `query`, nearest first, after `offset` others.

        A query is a text, an image, a vector, or several of these in a `Query`, which tells how
        they are read. A hit's `fields` hold ``path`` and ``label``; of a library with regions also
        ``image``, its id, ``box`` and ``object``, and each hit is another image. `where` filters on
        them, for example ``Field("label") == "goldfish"``; `min_score` leaves out what is further,
        "auto" by the threshold that was measured for such queries, and nothing may be left.
        A collection of another program takes texts and images once `open` was given the `model`
        that made its vectors; an `EncoderWarning` says that nothing vouches for it.
        `hide_duplicates` leaves out near-duplicates of nearer hits: True by the threshold that was
        measured, a number is the score of two images from which on they are near. It goes by scores
        alone: pixels are not compared, as `imgsearch dedup` does.
        `effort` is the index's search breadth, as for `Collection.search`.

        Raises:
            CollectionNotFound: nothing was added yet.
            SourceError, ImageError: the query image cannot be read.
            TextUnsupported: the query has a text, and the encoder takes images only.
            EncoderMismatch: the encoder at hand is not the collection's, or the collection notes
                none and no model was named.
            ConfigError: the query is empty, or its terms cancel each other; or no threshold was
                measured that is asked for.
        """
        collection = self._required()
        query = query if isinstance(query, Query) else Query(query)
        told: dict[str, Any] = {"k": k, "offset": offset, "where": where, "effort": effort}
        if isinstance(min_score, str):
            _check_auto(min_score)
            told["min_score"] = self.thresholds.min_score(query)
        else:
            told["min_score"] = None if min_score is None else check_score("min_score", min_score)
        vector = self._queries.encode(query, collection)
        if hide_duplicates is False:
            return search_images(collection, vector, **told)
        near = (
            self.thresholds.duplicates()
            if hide_duplicates is True
            else check_score("hide_duplicates", hide_duplicates)
        )
        return search_distinct(collection, vector, threshold=near, **told)

    def encode(
        self, query: Query | Example, *, on_warning: Callable[[str], None] | None = None
    ) -> Vector:
        """Return a query's vector, float32 (d,), unit L2 norm; a vector alone is passed on.

        `on_warning` is told of what the encoder does not know; without it Python's warnings are.

        Raises: as `search` does, but for the collection.
        """
        return self._queries.encode(query, self._collection, on_warning)

    def embed(
        self, images: Sequence[tuple[str, bytes]], *, one_core: bool = False
    ) -> pa.RecordBatch:
        """Return what `Embedding` makes of (name, bytes): a row each, with its vector or its error.

        With `one_core` the other cores are left to others, as `Embedding` says.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's.
        """
        return Embedding(self.recipe, max_pixels=self.max_pixels)(images, one_core=one_core)

    def insert(self, records: Iterable[Record]) -> None:
        """Write vectors that `embed` made; the first ones create the collection.

        Raises:
            SchemaMismatch: the collection notes no encoder.
            BackendError: the store refused or failed.
        """
        with self._lock:
            self._require_writable()
            self._forget_dropped()
            if self._collection is None:
                self._collection = created(
                    self._backend,
                    self.name,
                    recipe=self.recipe,
                    index=self._index,
                    metric=self._metric,
                )
            self._collection.upsert(records)

    def remove(
        self, *targets: str | PathLike[str], on_missing: Callable[[str], None] | None = None
    ) -> int:
        """Remove images from the library and return how many there were. Files are left alone.

        A target is an id, a file's path, a folder, which stands for all images below it, or a
        glob. `on_missing` gets each target that names no image. The files may be gone already.

        Raises:
            ConfigError: a target is empty.
            CollectionNotFound: nothing was added yet.
            SchemaMismatch: the collection notes no encoder, so another program may have filled it.
        """
        collection = self._required()
        self._require_writable()
        ids = named_ids(collection, targets, on_missing)
        if not has_regions(collection):
            return collection.delete(ids)
        if not ids:
            return 0
        whole = {id_.partition("#")[0] for id_ in ids}
        parts = collection.iterate(where=Field("image").isin(sorted(whole)), vectors=False)
        images = len(collection.get(sorted(whole)))
        collection.delete([*(record.id for record in parts if record.id not in whole), *whole])
        return images

    def count(self) -> int:
        """Return how many images the library holds."""
        if self._collection is None:
            return 0
        return self._collection.count(WHOLE if has_regions(self._collection) else None)

    def exists(self) -> bool:
        """Return whether the collection has been created; the first image that goes in does it."""
        if self._collection is None:
            self._collection = self._existing()
        return self._collection is not None

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds that were measured for this library's scores.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return Thresholds(self._backend, self._required())

    @property
    def collection(self) -> Collection:
        """The collection itself, with all that the backend's contract offers.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return self._required()

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Library {self.url} {self.name!r} {self.model or 'unknown encoder'}>"

    def _existing(self) -> Collection | None:
        try:
            return self._backend.open_named(self.name, self._names)
        except CollectionNotFound:
            return None

    def _found(self) -> Collection | None:
        """Return the collection, which another program may have created since `open`."""
        with self._lock:
            if self._collection is None and (collection := self._existing()) is not None:
                self._recipe = chosen(collection, *self._named)
                self._queries = QueryEncoder(self._recipe, max_pixels=self.max_pixels)
                self._collection = collection
            return self._collection

    def _require_writable(self) -> None:
        """Refuse to write to a collection that notes no encoder; one may not be there yet.

        Raises:
            ConfigError: the library was opened with field names.
            SchemaMismatch: as said.
        """
        if self._names:
            raise ConfigError(
                f"collection {self.name!r} was opened with field names, which is read-only. "
                "Open it without them to write to it."
            )
        if (collection := self._found()) is not None:
            collection.require_encoder()

    def _forget_dropped(self) -> None:
        """Forget a collection that another program dropped: what is added creates it again."""
        with self._lock:
            try:
                if self._collection is not None:
                    self._collection.get(["-"])
            except CollectionNotFound:
                self._collection = None

    def _required(self) -> Collection:
        if (collection := self._found()) is None:
            near = meant(self.name, notes.collections(self._backend))
            raise CollectionNotFound(
                f"{self.url} has no collection {self.name!r} yet; add some images first{near}"
            )
        return collection


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
    """Open the library of images in `collection` of the store at `url`; `add` creates it.

    `url`: ``photos.db`` (an embedded Milvus file), ``milvus://host:19530/database`` or
    ``memory://name``. `token` ("user:password") is for servers that ask for one.
    `model` ("mini", "classic", "timm:NAME" …), `weights` and `options` name the encoder; an
    existing collection remembers its own, and `weights` tells where they lie now, if they moved.
    A collection of another program remembers none: name the model that made its vectors to search
    it. Nothing is written to it. `path_field` and `label_field` are what hits hold as "path" and
    "label", `vector_field` is needed where there are several vectors, and `id_field`, the primary
    key, is found without it.
    `index` is "flat", "ivf_flat:nlist=128", "ivf_sq8" or "hnsw" (the default), `metric` "cosine"
    (the default), "ip" or "l2". `timeout` is in seconds. `regions` is the folder of an object
    detector, or a `Detection`: of each image that is added its objects are searched, too.
    `max_pixels` limits the decoded pixels of one image, added or searched for. A JPEG is decoded
    at a half, a quarter or an eighth where the encoder needs no more, so 200 megapixels go in.

    Arguments are checked before a store is made on disk.

    Raises:
        ConfigError: the URL, the index, the metric or another argument is not one of these.
        ModelNotFound: there is no such model.
        WeightsNotFound, WeightsInvalid: there is no such file, or not one of weights.
        EncoderMismatch: the collection was made by another model.
        SchemaMismatch: the collection has another index or metric.
        StoreLocked, BackendUnavailable: the store cannot be opened.
    """
    return Library(
        url,
        collection=collection,
        model=model,
        weights=weights,
        options=options,
        index=index,
        metric=metric,
        token=token,
        timeout=timeout,
        regions=regions,
        max_pixels=max_pixels,
        names=FieldNames(id_field, vector_field, path_field, label_field),
    )


def _check_auto(word: str) -> None:
    if word != "auto":
        raise ConfigError(f'min_score is a number, None or "auto", not {word!r}')
