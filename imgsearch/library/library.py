"""A library of images: add, search, remove.

The command line calls `Library`. The service and the web page call `Archive`, which also keeps
originals and a catalog.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from typing_extensions import override

from imgsearch import encoders
from imgsearch.encoders import Recipe
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.embedding import Chunk, Embedding
from imgsearch.fields import typed
from imgsearch.filters import Where
from imgsearch.images import MAX_PIXELS, inputs, web_images
from imgsearch.images.inputs import Input, field_types
from imgsearch.images.reading import Reading
from imgsearch.images.references import Reference
from imgsearch.images.sampling import EVERY_SECOND, Sampling
from imgsearch.images.sources import Fetch
from imgsearch.images.videos import reads_folders
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.collection_sink import CollectionSink
from imgsearch.library.hit_finder import StoreSearch
from imgsearch.library.hits import Hits
from imgsearch.library.ingest import Ingest
from imgsearch.library.keyword_search import KeywordSearch
from imgsearch.library.migration import MigrationEngine
from imgsearch.library.pipeline_cache import PipelineCache
from imgsearch.library.progress import Progress, Report, Tally
from imgsearch.library.progress_bar import progress_bar
from imgsearch.library.quarantine import Quarantine, Suspects
from imgsearch.library.query_downloads import downloaded
from imgsearch.library.query_runner import QueryRunner
from imgsearch.library.query_warnings import warn_of_query
from imgsearch.library.synced import Synced
from imgsearch.library.tracked_files import TrackedFiles, remove_tracked
from imgsearch.library.versioned_images import VersionedImages
from imgsearch.library.video_frames import VideoFrames
from imgsearch.query import EncodedQuery, Example, Mode, Query, SearchOptions
from imgsearch.types import Failure, Hit, Record

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline


class Library(Synced, VersionedImages):
    """An image library: one collection in a vector store, with the encoder of its vectors.

    Returned by `imgsearch.open`. Thread-safe. The encoder is loaded when it is first needed. Both
    `add` and `search` run Towhee pipelines. `steps` are a user's steps for every "image" that is
    added, and for every "query". `store_search`, if set, replaces the collection's own search.
    """

    def __init__(
        self,
        handle: CollectionHandle,
        *,
        regions: Detection | None = None,
        max_pixels: int = MAX_PIXELS,
        steps: "Mapping[str, Pipeline] | None" = None,
    ) -> None:
        super().__init__(handle)
        self._regions, self.max_pixels = regions, max_pixels
        self._steps = steps or {}
        self._inserting = threading.Lock()
        self._pipelines = PipelineCache(regions=regions, max_pixels=max_pixels)
        self._queries = QueryRunner(handle, self._pipelines, self._steps.get("query"))
        self.store_search: StoreSearch | None = None
        self._words = KeywordSearch()

    @override
    def add(
        self,
        *images: Input,
        pipeline: "Pipeline | None" = None,
        path_column: str | None = None,
        label_column: str | None = None,
        url_hosts: Sequence[str] | None = (),
        fields: Mapping[str, Any] | None = None,
        all_fields: bool = False,
        ocr: bool = False,
        exclude: Sequence[str] = (),
        frames: str | float = 1.0,
        progress: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
        on_ignored: Callable[[str], None] | None = None,
    ) -> Report:
        """Add images: paths, images in memory, tables, data sets, or iterables of these.

        A path is a folder, a glob, an image file, a URL, or a list: a csv, tsv, parquet or JSON
        lines file, or a text with a path a line (see docs/lists.md). An image in memory is the
        bytes of a file, a Pillow image, or an array (see `Input`). A table is a data frame or an
        Arrow table, whose other columns are fields. `path_column` and `label_column` name columns
        of lists and tables, which are otherwise found by their names. Images in memory have no
        path, unless they are named, or Pillow opened them from a file. `fields` apply to all
        images; a row's own win. Columns of list files fill declared fields; with `all_fields`,
        further ones are declared with the types of their values. Known images get their new labels
        and values.

        Ids are content hashes: of a file's bytes, or of the size and RGB bytes of a Pillow image or
        an array. So images already in the library are skipped without decoding, and
        an interrupted load can be re-run. If files have the same content, the first is added. A
        label from a list or a folder's name replaces the stored one. Unreadable files are listed in
        `Report.failures`; they do not stop the load.

        Images by http and https URL come from public hosts, and from the hosts, addresses and
        networks in `url_hosts`; None turns downloads off.

        A progress bar is shown in terminals and notebooks, unless `on_progress` is given;
        `progress` turns it on or off.

        Of a video, one frame a second is an image with the fields ``video`` and ``seconds``.
        `frames` is another interval in seconds, "scenes" for the first frame of each scene, both
        as in "5,scenes", or "none"; see docs/video.md.

        With `ocr` the text in each image is the field ``text``, which searches by words find; see
        docs/words.md. Files of stored images are read again if they were added without `ocr`, or
        without the `exif` of `open`; `Report.notes` has their number.

        `pipeline` holds steps of your own, which run before the embedding; see
        `pipelines.image_steps`. An error of a step is a line of the report.

        Raises:
            SourceError: a folder, glob or list does not exist or names no path, or an object is no
                image; nothing was added, unless an iterator yielded the object.
            ConfigError: `frames` is invalid.
            FieldInvalid: a field in `fields` has an invalid name, or a value of another type.
            MissingExtra: `ocr` needs the extra `ocr`.
            ConfigError: `pipeline` needs columns that do not exist, or the library has regions.
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            SchemaMismatch: the collection records no encoder; another program may have filled it.
            BackendError: the store failed; images counted as added are stored.
        """
        sampling = Sampling.parse(frames)
        reading = Reading(
            path_column,
            label_column=label_column,
            all_fields=all_fields,
            exclude=exclude,
            with_videos=reads_folders(sampling),
            url_hosts=web_images.allowed(url_hosts),
        )
        if all_fields:
            self._handle.declare(field_types(images, reading))
        self._handle.require_writable()
        steps = pipeline or self._steps.get("image")
        if steps is not None or ocr:  # checks them before a file is read
            self._pipelines.insert(self.recipe, self._pipelines.with_texts(steps) if ocr else steps)
        types = self._handle.fields
        reading = replace(reading, types=types, fields=typed(fields or {}, types))
        fetch = web_images.fetcher(url_hosts)
        with progress_bar(progress, on_progress) as report:
            tally = Tally(0, report, on_failure, on_ignored)
            reading = replace(reading, ignored=tally.ignore, note=tally.note)
            references = [inputs.references(source, reading) for source in images]
            inputs.count_beside(images, reading, tally.expect)
            tally.report_progress()
            items = chain.from_iterable(references)
            return self._load(items, tally, ocr=ocr, steps=steps, fetch=fetch, sampling=sampling)

    @override
    def search(
        self,
        query: Query | Example | EncodedQuery,
        *,
        k: int = 10,
        offset: int = 0,
        where: Where | None = None,
        min_score: float | Literal["auto"] | None = None,
        hide_duplicates: bool | float = False,
        effort: int | None = None,
        order_by: str | None = None,
        mode: Mode = "vector",
        url_hosts: Sequence[str] | None = (),
        pipeline: "Pipeline | None" = None,
    ) -> Hits:
        """Return at most `k` hits for `query`, nearest first, after skipping `offset` hits.

        A query is a text, an image, a vector, or a `Query` of several. A hit's `fields` hold
        ``path`` and ``label``. In a library with regions they also hold ``image`` (its id), ``box``
        and ``object``, and every hit is a different image. `where` filters on fields: a text such
        as ``"label = cat and year >= 2019"``, a dictionary such as ``{"label": ["cat", "dog"]}``,
        or an expression of `Field`; see `imgsearch.filters`. `min_score` leaves out hits with a
        lower score; "auto" is the threshold measured for queries of this kind. `effort` is the
        search breadth of the index, as for `Collection.search`. `order_by`, such as "-taken", sorts
        the nearest `k` hits by a field. `mode` is "vector", "text" for the words in the path, the
        label and other text fields, or "hybrid" for both, fused by rank; see docs/words.md.
        `hide_duplicates` leaves out near-duplicates of nearer hits. True uses the measured
        threshold; a number is the lowest score of two near-duplicates. Only scores are compared,
        while `imgsearch dedup` also compares pixels. An image by URL is downloaded, as for `add`.
        `pipeline` holds steps of your own, which change the query; see `pipelines.query_steps`.
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
        options = SearchOptions(
            k, offset, where, min_score, hide_duplicates, effort, order_by, mode
        )
        return self._hits(downloaded(query, url_hosts), options, pipeline)

    @override
    def search_with(
        self,
        query: Query | Example | EncodedQuery,
        options: SearchOptions,
        *,
        url_hosts: Sequence[str] | None = (),
        pipeline: "Pipeline | None" = None,
    ) -> Hits:
        """Search like `search`, with all options in one object."""
        return self._hits(downloaded(query, url_hosts), options, pipeline)

    def embed_rows(
        self, images: Sequence[tuple[str, bytes]], *, one_core: bool = False
    ) -> pa.RecordBatch:
        """Embed images given as (name, bytes); return one row per image, with a vector or an error.

        The schema is `embedding.SCHEMA`. With `one_core` one thread decodes and one embeds, so the
        other cores stay free.

        Raises:
            EncoderError: the encoder cannot be built.
        """
        embedding = self._pipelines.insert(self.recipe, self._steps.get("image"), nested=True)
        rows: pa.RecordBatch = embedding(
            Chunk(images, labels=[None] * len(images), one_core=one_core)
        )
        return rows

    def add_references(
        self,
        references: Iterable[Reference],
        tally: Tally,
        *,
        fetch: Fetch | None = None,
        sampling: Sampling = EVERY_SECOND,
        chunk: int,
        careful: bool = False,
    ) -> Report:
        """Add images like `add`, always `chunk` at once: equal images then give equal bits.

        `fetch` downloads images by URL. Outcomes are counted in `tally`. With `careful`, images are
        embedded in a child process, so one that kills it fails alone.

        Raises: as for `add`.
        """
        return self._load(
            references, tally, fetch=fetch, sampling=sampling, chunk=chunk, careful=careful
        )

    def ingest(self, chunk: Chunk, *, steps: "Pipeline | None" = None, ocr: bool = False) -> Any:
        """Run the insert pipeline over a chunk, and return what the chunk's `write` returns.

        `steps` are steps of a user, by default those of the library. With `ocr` the text in the
        images is read.

        Raises:
            EncoderError: the encoder cannot be built.
            ImgSearchError: an error of the chunk's `write`.
        """
        steps = steps or self._steps.get("image")
        steps = self._pipelines.with_texts(steps) if ocr else steps
        return self._pipelines.insert(self.recipe, steps)(chunk)

    def quarantine(
        self, steps: "Pipeline | None" = None, *, ocr: bool = False, careful: bool = False
    ) -> Quarantine:
        """Return a `Quarantine` that runs `ingest` with these steps.

        An image that kills the process fails alone when the load runs again, and an image that
        hangs fails alone in the same load. With `careful`, all images are embedded in a child
        process. Close the quarantine after the load.
        """
        return Quarantine(
            partial(self.ingest, steps=steps, ocr=ocr),
            lambda: Embedding(self.recipe, self._regions, self.max_pixels),
            suspects=Suspects.of(self._handle.backend, self.name),
            careful=careful,
            probes=steps is not None or self.runs_own_steps or ocr,
        )

    @property
    def runs_own_steps(self) -> bool:
        """Whether the library has steps of a user for new images."""
        return self._steps.get("image") is not None

    @property
    def sets_labels(self) -> bool:
        """Whether the library's own steps set the labels of new images."""
        steps = self._steps.get("image")
        return steps is not None and steps.sets("label")

    def insert(self, records: Iterable[Record], *, version: str | None = None) -> None:
        """Write records with vectors from `embed_rows`; the first call creates the collection.

        `version` is the library's version from before the images were embedded.

        Raises:
            CollectionSwitched: the model was changed since `version` was read.
            SchemaMismatch: the collection records no encoder.
            BackendError: the store refused the records, or failed.
        """
        with self._inserting:
            self._handle.require_writable()
            if version not in (None, self._handle.version):
                self._handle.require_version(str(version))
            with_regions = self._regions is not None
            self._handle.open_or_create(with_regions=with_regions).upsert(records)

    @override
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
        self._handle.require_writable()
        store = self._handle.backend
        removed = remove_tracked(store, self._handle.required(), targets, on_missing)
        if (former := self._handle.unsettled()) is not None:  # or they would be carried over again
            remove_tracked(store, former, targets, None)
        return removed

    @override
    def close(self) -> None:
        """Close the store, and stop the pipelines."""
        self._pipelines.close()
        self._handle.close()

    def __repr__(self) -> str:
        return f"<Library {self.url} {self.name!r} {self.model or 'unknown encoder'}>"

    @override
    def _load(
        self,
        references: Iterable[Reference],
        tally: Tally,
        files: TrackedFiles | None = None,
        *,
        ocr: bool = False,
        steps: "Pipeline | None" = None,
        fetch: Fetch | None = None,
        sampling: Sampling = EVERY_SECOND,
        chunk: int | None = None,
        careful: bool = False,
    ) -> Report:
        steps, is_new = steps or self._steps.get("image"), self._handle.known is None
        if ocr:
            steps = self._pipelines.with_texts(steps)
        sink = CollectionSink(
            self._handle,
            tally,
            regions=self._regions is not None,
            own_labels=steps is not None and steps.sets("label"),
            max_pixels=self.max_pixels,
            fetch=fetch,
            files=files,
            texts=self._pipelines.with_texts(None) if ocr else None,
        )
        video_frames = VideoFrames(self._handle, sampling, max_pixels=self.max_pixels)
        with self.quarantine(steps, careful=careful) as quarantine:
            Ingest(sink, quarantine, chunk=chunk).run(video_frames.expanded(references, tally))
        video_frames.finish()
        if is_new and self._handle.known is not None:
            tally.note(encoders.introduction(self.recipe.model))
        return tally.report()

    @override
    def _migration_engine(self) -> MigrationEngine:
        return MigrationEngine(self._migration_quarantine, detects=self._regions is not None)

    def _migration_quarantine(self, recipe: Recipe) -> Quarantine:
        """Return the quarantine of a migration to the model of `recipe`."""
        steps = self._steps.get("image")
        return Quarantine(
            self._pipelines.insert(recipe, steps),
            lambda: Embedding(recipe, self._regions, self.max_pixels),
            suspects=Suspects.of(self._handle.backend, self.name, migration=True),
            probes=steps is not None,
        )

    def _hits(
        self,
        query: Query | Example | EncodedQuery,
        options: SearchOptions,
        pipeline: "Pipeline | None",
    ) -> Hits:
        options = self._located(options)

        def by_vector(
            options: SearchOptions, search: StoreSearch | None = None
        ) -> tuple[EncodedQuery, Hits]:
            return self._queries.search(query, options, pipeline, search or self.store_search)

        encoded: EncodedQuery | None
        hits: list[Hit]
        if options.mode == "vector":
            encoded, hits = by_vector(options)
        else:
            encoded, hits = self._words.search(self.collection, query, options, by_vector)
        if encoded is not None and not isinstance(query, EncodedQuery):
            # stacklevel 3: the caller of search or search_with
            warn_of_query(encoded, self._handle.known, stacklevel=3)
        return Hits(hits)
