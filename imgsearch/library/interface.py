"""The interface that a library in this process and a client of a service share."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, overload

from imgsearch.awaiting import in_thread
from imgsearch.errors import ImgSearchError
from imgsearch.fields import Declaration, FieldType
from imgsearch.filters import Where
from imgsearch.images.inputs import Input
from imgsearch.library.hits import Hits
from imgsearch.library.progress import Progress, Report
from imgsearch.query import Example, Mode, Query, SearchOptions
from imgsearch.types import Closeable, Failure, Matrix, Value


class StoredImage(Protocol):
    """A stored image: a `Record` of a library, or an `Image` of a service."""

    @property
    def id(self) -> str:
        """The id, as in hits."""

    @property
    def path(self) -> str:
        """The path; in a service the name. "" if the image has none."""

    @property
    def label(self) -> str:
        """The label, "" if the image has none."""

    @property
    def fields(self) -> Mapping[str, Value]:
        """The fields of the image."""


class SearchableImages(Closeable):
    """The images in one collection. `Library` and `Client` implement this interface.

    `url` names the store or the service, `name` the collection. Implementations are thread-safe.
    """

    url: str
    name: str

    @abstractmethod
    def add(
        self,
        *images: Input,
        path_column: str | None = None,
        label_column: str | None = None,
        url_hosts: Sequence[str] | None = (),
        fields: Mapping[str, Any] | None = None,
        all_fields: bool = False,
        exclude: Sequence[str] = (),
        frames: str | float = 1.0,
        progress: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
        on_ignored: Callable[[str], None] | None = None,
    ) -> Report:
        """Add images: paths, images in memory, tables, data sets, or iterables; see `Input`.

        `path_column` and `label_column` name columns of a table or list. `fields` apply to all
        images; a row's own fields win. Columns of list files are read if their field is declared;
        all are with `all_fields`. Known images get their new values. `exclude` are patterns of
        files to pass over in folders and globs, as in ``.gitignore``; `on_ignored` is called with
        each path that is passed over. `frames` are the frames of videos: one in so many seconds,
        "scenes", both as in "5,scenes", or "none".

        Known images are skipped, or get the label that the source has for them, so an interrupted
        call can be repeated. Unreadable files are listed in `Report.failures`; they do not stop the
        load. A bar shows the progress in terminals and notebooks, unless `on_progress` is given;
        `progress` turns it on or off. Images by URL come from public hosts and from `url_hosts`;
        None turns downloads off.

        Raises:
            SourceError: a folder, glob or list does not exist, or an object is not an image;
                nothing was added, unless an iterator yielded the object.
            EncoderError, BackendError: the encoder or the store failed; images counted as added are
                stored.
        """

    @abstractmethod
    def search(
        self,
        query: Query | Example,
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
    ) -> Hits:
        """Return at most `k` hits for `query`, nearest first, after skipping `offset` hits.

        A query is a text, an image, or a `Query` of several. `SearchOptions` describes the options.
        An image by http or https URL is downloaded from a public host, or from one in `url_hosts`;
        None turns downloads off.
        `get` accepts the `id` of a hit. The `fields` of a hit hold ``label``.

        Raises:
            CollectionNotFound: nothing was added yet.
            SourceError, ImageError: the query image cannot be read.
            TextUnsupported: the query has a text, and the encoder takes images only.
            ConfigError: the query is empty, its terms cancel each other, an option is out of range,
                or the requested threshold was not measured.
        """

    @abstractmethod
    def facets(self, field: str, *, where: Where | None = None, most: int = 20) -> dict[Value, int]:
        """Return the values of a field with their numbers of images, most frequent first.

        At most `most` values are returned. Each item of a list counts, and images with
        identical bytes count once. All records are read.

        Raises:
            CollectionNotFound: nothing was added yet.
            FieldInvalid: `where` is invalid.
        """

    aadd = in_thread(add)
    asearch = in_thread(search)

    @abstractmethod
    def declare_fields(self, fields: Declaration) -> Mapping[str, FieldType]:
        """Declare fields like ``{"year": int}``; return the types of all declared fields.

        The types are str, int, float, bool or list. The collection is created if it does not exist.
        Its images get the zero of each type. Fields that are declared already keep their type; a
        declaration cannot be taken back.

        Raises:
            SchemaMismatch: a field has another type; or the store cannot add fields to an existing
                collection, or another program created it.
            ConfigError: a type is unknown, or imgsearch sets the field.
            FieldInvalid: a name is invalid.
        """

    @abstractmethod
    def search_with(
        self,
        query: Query | Example,
        options: SearchOptions,
        *,
        url_hosts: Sequence[str] | None = (),
    ) -> Hits:
        """Search like `search`, with all options in one object."""

    @overload
    def search_many(
        self,
        queries: Sequence[Query | Example],
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
        errors: Literal["raise"] = "raise",
    ) -> list[Hits]: ...

    @overload
    def search_many(
        self,
        queries: Sequence[Query | Example],
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
        errors: Literal["keep"],
    ) -> list[Hits | ImgSearchError]: ...

    def search_many(
        self,
        queries: Sequence[Query | Example],
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
        errors: Literal["raise", "keep"] = "raise",
    ) -> Any:
        """Return the hits for each query, in order, like `search`.

        Queries are encoded and searched in batches. With errors="keep" a failed query has its
        error instead of hits.

        Raises: as for `search`, for a query that fails, unless errors="keep".
        """
        options = SearchOptions(
            k, offset, where, min_score, hide_duplicates, effort, order_by, mode
        )
        return self.search_many_with(queries, options, url_hosts=url_hosts, errors=errors)

    @abstractmethod
    def search_many_with(
        self,
        queries: Sequence[Query | Example],
        options: SearchOptions,
        *,
        url_hosts: Sequence[str] | None = (),
        errors: Literal["raise", "keep"] = "raise",
    ) -> list[Hits | ImgSearchError]:
        """Search like `search_many`, with all options in one object."""

    @abstractmethod
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
        """Return the images nearest to a stored image, without that image; see `search`.

        Raises:
            ImageNotFound: no image has this id.
        """

    @abstractmethod
    def records(
        self, where: Where | None = None, *, order_by: str | None = None
    ) -> Iterator[StoredImage]:
        """Yield the stored images that match `where`, in pages.

        `order_by` is a field, after "-" in descending order; missing values are last. Without it
        the order is unspecified. To sort by a field, a library reads all matching records first.

        Raises:
            FieldInvalid: `where` is not a filter on declared fields.
            ConfigError: `order_by` is invalid.
        """

    def __iter__(self) -> Iterator[StoredImage]:
        """Yield all stored images, without vectors, in no particular order; see `records`."""
        return self.records()

    def __len__(self) -> int:
        """Return the number of images; see `count`."""
        return self.count()

    @abstractmethod
    def __contains__(self, item: object) -> bool:
        """Return whether an image has this id or path."""

    @abstractmethod
    def get(self, id_: str) -> StoredImage:
        """Return a stored image.

        Raises:
            ImageNotFound: no image has this id.
        """

    @abstractmethod
    def embed(
        self, items: Sequence[Query | Example], *, url_hosts: Sequence[str] | None = ()
    ) -> Matrix:
        """Return the vectors of images and texts, float32 (n, d), of unit L2 norm.

        An item is what `search` takes. Texts and images are encoded in batches. The result of no
        items has the shape (0, d).

        Raises:
            SourceError, ImageError: an image cannot be read; nothing is returned.
            TextUnsupported: an item is a text, and the encoder takes images only.
            ConfigError: an item is invalid.
        """

    @abstractmethod
    def to_parquet(self, file: str | PathLike[str]) -> int:
        """Write ids, vectors and fields to a parquet file; return the number of rows.

        `imgsearch.open(file)` searches the file, read-only and exactly. Its metadata holds the
        schema, with the encoder's fingerprint. The file appears when it is complete. The records
        are read twice, and some thousand are in memory.

        Raises:
            CollectionNotFound: nothing was added yet.
            SourceError: the file cannot be written.
        """

    @abstractmethod
    def remove(self, *ids: str) -> int:
        """Remove images by id; return the number of removed images. Unknown ids are ignored.

        Raises:
            CollectionNotFound: nothing was added yet.
        """

    @abstractmethod
    def count(self, where: Where | None = None) -> int:
        """Return the number of images, or of the images that match `where`.

        0 if nothing was added yet.

        Raises:
            FieldInvalid: `where` is not a filter on declared fields.
        """

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the collection exists. Adding the first image creates it."""
