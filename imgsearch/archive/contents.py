"""The contents of an archive: its collections, their images and fields."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from imgsearch.archive.libraries import Libraries
from imgsearch.archive.originals import Originals
from imgsearch.archive.outcomes import Original
from imgsearch.catalog import ORDERS, Catalog, Entry, Page, Video
from imgsearch.errors import CollectionNotFound, DimensionMismatch, SchemaMismatch
from imgsearch.fields import Declaration, FieldType
from imgsearch.filters import Where, to_filter
from imgsearch.library.library import Library
from imgsearch.query import EncodedQuery, Example, Query
from imgsearch.types import Closeable, Value, Vector
from imgsearch.wire.responses import CollectionInfo, ImageCounts


class ArchiveContents(Closeable):
    """The part of an archive that reads collections and the catalog."""

    catalog: Catalog
    _libraries: Libraries
    _originals: Originals

    def existing(self, collection: str) -> Library:
        """Return the library of an existing collection.

        Raises:
            CollectionNotFound: the collection does not exist.
            SchemaMismatch: another program created the collection, or it has no fingerprint.
        """
        return self._libraries.existing(collection)

    def log_growth(self, collection: str) -> None:
        """Log once, as a warning, that a server would search a large collection faster."""
        self._libraries.log_growth(collection)

    def facets(
        self, collection: str, field: str, *, where: Where | None = None, most: int = 20
    ) -> dict[Value, int]:
        """Return the values of a field with their numbers of contents; see `Library.facets`.

        Raises:
            CollectionNotFound: the collection does not exist.
            FieldInvalid: `where` is invalid.
        """
        return self.existing(collection).facets(field, where=where, most=most)

    def field_types(self, collection: str) -> Mapping[str, FieldType]:
        """Return the types of the declared fields of a collection, which may not exist yet.

        Raises: as for `library`.
        """
        with self._libraries.using(collection) as library:
            return library.fields

    def declare_fields(self, collection: str, fields: Declaration) -> Mapping[str, FieldType]:
        """Declare fields of a collection, which is created if it does not exist.

        Raises: as for `Library.declare_fields` and `library`.
        """
        with self._libraries.using(collection) as library:
            return library.declare_fields(fields)

    def collection(self, name: str) -> CollectionInfo:
        """Return the size and schema of a collection.

        Raises:
            CollectionNotFound: it does not exist, or imgsearch did not create it.
        """
        if name not in self._libraries.names():
            raise CollectionNotFound(f"the collection {name!r} does not exist")
        return self._info(name)

    def collections(self, only: Collection[str] | None = None) -> list[CollectionInfo]:
        """Return the size and schema of each collection that imgsearch created, sorted by name.

        `only` are the names of the collections to return; unknown names are ignored.
        """
        names = self._libraries.names()
        return [self._info(name) for name in names if only is None or name in only]

    def is_alias(self, name: str) -> bool:
        """Return whether a name is an alias in the store, or an own version of a collection."""
        return self._libraries.is_alias(name)

    def labels(self, collection: str) -> dict[str, int]:
        """Return a collection's number of ready images for each label, sorted by label."""
        return self.catalog.labels(collection)

    def entry(self, id_: str) -> Entry:
        """Return an image's catalog entry.

        Raises:
            ImageNotFound: no image has this id.
        """
        return self.catalog.get(id_)

    def entries(self, collection: str | None = None, **options: Any) -> Page:
        """Return a page of images; see `Catalog.page`."""
        if collection is not None and options.get("order", "created") not in ORDERS:
            options = {**options, "declared": self._declared(collection)}
        return self.catalog.page(collection, **options)

    def count(self, collection: str = "images", *, where: Where | None = None) -> ImageCounts:
        """Return the number of ready images and of vectors in a collection.

        With `where`, count those of the images that match, by the fields in the catalog.

        Raises:
            FieldInvalid: `where` is invalid.
        """
        if where is not None:
            images, vectors = self.catalog.count_matching(collection, to_filter(where))
            return ImageCounts(images=images, vectors=vectors)
        images = self.catalog.count(collection, state="ready")
        try:
            return ImageCounts(images=images, vectors=self.existing(collection).count())
        except CollectionNotFound:
            return ImageCounts(images=images, vectors=0)

    def encode(
        self, queries: Sequence[Query | Example], *, collection: str = "images"
    ) -> list[EncodedQuery]:
        """Return the vectors of queries, by the encoder of a collection, which may not exist yet.

        Raises: as for `Library.embed` and `library`.
        """
        with self._libraries.using(collection) as library:
            return library.encode_queries(queries)

    def dim(self, collection: str = "images") -> int:
        """Return the number of dimensions of a collection's vectors; see `encode`."""
        with self._libraries.using(collection) as library:
            return library.dim

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Return the vectors of images by id, float32 (d,). Images without a vector are omitted.

        Raises:
            DimensionMismatch: they are in collections of encoders with different dimensions.
        """
        contents: dict[str, dict[str, list[str]]] = {}
        for id_, entry in self.catalog.find(ids).items():
            contents.setdefault(entry.collection, {}).setdefault(entry.content, []).append(id_)
        vectors: dict[str, Vector] = {}
        for collection, places in contents.items():
            try:
                stored = self.existing(collection).collection.get(list(places), vectors=True)
            except CollectionNotFound:
                continue
            for content, record in stored.items():
                for id_ in places[content]:
                    vectors[id_] = np.asarray(record.vector, np.float32)
        if len(sizes := sorted({len(vector) for vector in vectors.values()})) > 1:
            raise DimensionMismatch(
                f"the images have vectors of {sizes[0]} and {sizes[-1]} dimensions. Ask for those "
                "of one collection.",
                expected=sizes[-1],
                got=sizes[0],
            )
        return vectors

    def videos(
        self, collection: str = "images", *, limit: int = 50, after: str = ""
    ) -> list[Video]:
        """Return videos with the number of their frames, sorted by id; see `Catalog.videos`."""
        return self.catalog.videos(collection, limit=limit, after=after)

    def original(self, id_: str, *, link: bool = False) -> Original:
        """Return an image's original. If `link` is True, return a link if the store supports links.

        The original of a frame is its video.

        Raises:
            ImageNotFound: no image has this id.
            ObjectNotFound: the original was not kept, and the file's content has changed.
            SourceError: the original was not kept, and the file cannot be read.
        """
        return self._originals.original(self.entry(id_), link=link)

    def picture(self, id_: str) -> bytes:
        """Return an image's file; of a frame, its pixels as a PPM file.

        Raises: as for `original`.
        """
        return self._originals.read(self.entry(id_))

    def thumbnail(self, id_: str, edge: int = 256) -> bytes:
        """Return a WebP thumbnail; see `objects.thumbnail`. It is saved for later calls.

        Raises: as for `original`.
        """
        return self._originals.thumbnail(self.entry(id_), edge)

    def _declared(self, collection: str) -> Collection[str]:
        """Return the names of the declared fields of a collection, which may not exist."""
        try:
            return self.existing(collection).fields.keys()
        except (CollectionNotFound, SchemaMismatch):
            return ()

    def _info(self, name: str) -> CollectionInfo:
        library = self.existing(name)
        counts, schema, shadow = self.count(name), library.collection.schema, library.shadow
        return CollectionInfo(
            name=name,
            images=counts.images,
            vectors=counts.vectors,
            model=schema.encoder.model if schema.encoder else "",
            dim=schema.dim,
            metric=schema.metric,
            index=str(schema.index),
            fields=dict(schema.fields),
            encoder=schema.encoder.identity() if schema.encoder else {},
            migrating_to=shadow.schema.encoder.model if shadow and shadow.schema.encoder else "",
        )
