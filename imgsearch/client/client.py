"""The service client, with the methods of a library."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, Literal
from urllib.parse import quote

from typing_extensions import override

from imgsearch.client import search_body
from imgsearch.client.connection import Connection, error_of
from imgsearch.client.job_handle import JobHandle
from imgsearch.client.upload import Uploader
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ImageNotFound,
    ImgSearchError,
)
from imgsearch.fields import typed
from imgsearch.filters import Where
from imgsearch.images import inputs
from imgsearch.images.inputs import Input, Reading
from imgsearch.images.urls import fetcher
from imgsearch.library.interface import SearchableImages
from imgsearch.library.progress import Progress, Report, Tally
from imgsearch.query import Example, Query, SearchOptions
from imgsearch.settings import Settings
from imgsearch.types import Failure, Hit, Value, check_name
from imgsearch.wire.problems import error_class
from imgsearch.wire.requests import Change, Ids, JobRequest, to_json
from imgsearch.wire.responses import (
    BatchHits,
    CollectionInfo,
    Collections,
    Deleted,
    Health,
    Hits,
    Image,
    ImageCounts,
    Images,
    JobState,
    ModelInfo,
    Models,
    Problem,
    parse,
)
from imgsearch.wire.values import MAX_IDS

_PAGE: Final = 500  # images per response
_FAILING: Final = 503


class Client(SearchableImages):
    """The images in one collection of a service, searched like an `imgsearch.Library`.

    `key` defaults to the environment variable IMGSEARCH_API_KEY. It is sent only to the origin of
    `url`: redirects are not followed, and proxy environment variables are ignored. `timeout` is in
    seconds, for each step of a request. 429 and 503 responses are retried if their Retry-After is
    at most 30 s. After a dropped connection only idempotent requests are retried. Thread-safe; the
    methods share one connection pool.

    Every method can raise these errors in addition to its own:
        MissingExtra: httpx is not installed (the constructor only).
        ConfigError: the URL or a value is invalid.
        AccessDenied: the service needs a key, or the key is unknown.
        ScopeMissing: the key lacks the required scope.
        LimitExceeded: the request exceeds a limit of the service.
        BackendUnavailable: the service does not respond.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        collection: str = "images",
        timeout: float = 30.0,
    ) -> None:
        check_name(collection)
        if key is None:
            key = Settings.from_environment().api_key
        self._connection = Connection(url, key, timeout=timeout)
        self.url, self.name = self._connection.url, collection

    @override
    def add(
        self,
        *images: Input,
        path_column: str | None = None,
        label_column: str | None = None,
        url_hosts: Sequence[str] | None = (),
        fields: Mapping[str, Any] | None = None,
        all_fields: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> Report:
        """Upload images: paths, images in memory, tables, data sets, or iterables; see `Input`.

        `path_column` and `label_column` name columns of a table or list. `fields` are those of all
        images; a row's own win. Pillow images and arrays are sent as PPM, images in memory without
        a name as ``image-`` and the start of their hash.

        If the service already has an image with the same bytes and name, it is skipped, or gets the
        label that the source has for it; so an interrupted call can be repeated. Unreadable files
        are listed in `report.failures`; they do not stop the load. This machine downloads images by
        URL; for `url_hosts` see `Library.add`.

        Raises:
            SourceError: a folder, glob or list file does not exist, or an object is no image;
                nothing was sent, unless an iterator yielded the object.
            EncoderError, BackendError: the service failed; images counted as added are stored.
        """
        reading = Reading(
            path_column,
            label_column=label_column,
            fields=typed(fields or {}, {}),
            all_fields=all_fields,
        )
        total = sum(inputs.count(source, reading) for source in images)
        tally = Tally(total, on_progress, on_failure)
        reading = replace(reading, ignored=tally.ignore, note=tally.note)
        references = [inputs.references(source, reading) for source in images]
        tally.report_progress()
        fetch = None if url_hosts is None else fetcher(url_hosts)
        uploader = Uploader(self._connection, self.name, tally, fetch=fetch)
        uploader.run(chain.from_iterable(references))
        return tally.report()

    def add_folder(
        self,
        folder: str,
        *,
        in_place: bool = False,
        path_column: str | None = None,
        label_column: str | None = None,
    ) -> JobHandle:
        """Start a job that adds the images of a server-side folder or list, and return the job.

        The folder must be inside one of the service's roots. With `in_place`, the service stores no
        copies of the files. `path_column` and `label_column` name columns of a list file.

        Raises:
            SourceError: the folder does not exist, or is outside the roots.
        """
        columns = {"path_column": path_column, "label_column": label_column}
        return self._job(folder=folder, in_place=in_place, **columns)

    def add_urls(self, urls: Sequence[str]) -> JobHandle:
        """Start a job that downloads and adds images; return the job.

        Raises:
            AccessDenied: the service does not fetch images by URL.
        """
        return self._job(urls=list(urls))

    def job(self, id_: str) -> JobHandle:
        """Return the job with this id, for example one that was started earlier."""
        return JobHandle(self._connection, quote(id_, safe=""))

    @override
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
    ) -> list[Hit]:
        """Return at most `k` hits for `query`, nearest first; see `Library.search`.

        Image files are sent unchanged, pixel arrays as PNG. `get` accepts the `id` of a hit. The
        `fields` of a hit are the image's fields plus ``name``, ``label``, ``content`` and
        ``references``, the number of images with that content. `where` filters on ``path`` and
        ``label``.

        Raises:
            CollectionNotFound: the collection does not exist, because nothing was added yet.
            SourceError, ImageError: the query image cannot be read.
            TextUnsupported: the query has a text, but the encoder embeds images only.
            ConfigError: the query is empty or has a vector, its terms cancel each other, or the
                requested threshold was not measured.
        """
        options = SearchOptions(k, offset, where, min_score, hide_duplicates, effort)
        return self.search_with(query, options)

    @override
    def search_with(self, query: Query | Example, options: SearchOptions) -> list[Hit]:
        """Search like `search`, with all options in one object."""
        return self._search(search_body.request_body(query, options, collection=self.name))

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
    ) -> list[Hit]:
        """Return the images nearest to a stored image, without the image itself; see `search`.

        Raises:
            ImageNotFound: the image does not exist, or has no vector yet.
        """
        options = SearchOptions(k, offset, where, min_score, hide_duplicates, effort)
        _check_id(id_)
        return self._search({"json": search_body.similar_query(id_, options, collection=self.name)})

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
    ) -> list[list[Hit] | ImgSearchError]:
        """Return the hits for each query, in order; a failed query has its error instead.

        Raises: as for `search`, if a query cannot be sent.
        """
        options = SearchOptions(k, offset, where, min_score, hide_duplicates, effort)
        bodies = [
            search_body.search_query(query, options, collection=self.name) for query in queries
        ]
        results: list[list[Hit] | ImgSearchError] = []
        for batch in search_body.batches(bodies):
            batch_hits = self._connection.json(
                BatchHits, "POST", "/v1/search/batch", repeat=True, json={"queries": batch}
            )
            results += map(_result, batch_hits.results)
        return results

    @override
    def get(self, id_: str) -> Image:
        """Return an image's metadata.

        Raises:
            ImageNotFound: the image does not exist.
        """
        return self._connection.json(Image, "GET", _path(id_), repeat=True)

    def images(
        self,
        *,
        order: Literal["created", "name", "size", "label"] = "created",
        descending: bool = False,
        label: str | None = None,
        text: str | None = None,
    ) -> Iterator[Image]:
        """Yield the collection's images, fetched in pages. `text` matches a part of the name."""
        options: dict[str, Any] = {"collection": self.name, "limit": _PAGE, "order": order}
        options |= {"descending": descending, "label": label, "text": text}
        params = {name: value for name, value in options.items() if value is not None}
        while True:
            page = self._connection.json(Images, "GET", "/v1/images", repeat=True, params=params)
            yield from page.images
            if page.next is None:
                return
            params["after"] = page.next

    def update(
        self,
        id_: str,
        *,
        label: str | None = None,
        name: str | None = None,
        fields: Mapping[str, Value] | None = None,
    ) -> Image:
        """Update the values that are not None; return the image. `fields` replaces all fields.

        Raises:
            ImageNotFound: the image does not exist.
        """
        free = None if fields is None else dict(fields)
        change = to_json(Change, label=label, name=name, fields=free)
        return self._connection.json(Image, "PATCH", _path(id_), repeat=True, json=change)

    @override
    def remove(self, *ids: str) -> int:
        """Remove images by id; return the number of removed images. Unknown ids are ignored.

        Raises:
            CollectionNotFound: nothing was removed, and the collection does not exist.
        """
        removed = 0
        for start in range(0, len(ids), MAX_IDS):
            body = to_json(Ids, ids=ids[start : start + MAX_IDS])
            removed += self._connection.json(
                Deleted, "POST", "/v1/images/delete", repeat=True, json=body
            ).deleted
        if not removed and not self.exists():
            raise CollectionNotFound(f"collection {self.name!r} does not exist: nothing was added")
        return removed

    @override
    def count(self) -> int:
        """Return the number of images in the collection."""
        return self._connection.json(
            ImageCounts, "GET", "/v1/count", repeat=True, params={"collection": self.name}
        ).images

    @override
    def exists(self) -> bool:
        """Return whether the collection exists. Adding the first image creates it."""
        try:
            self._connection.json(
                CollectionInfo, "GET", f"/v1/collections/{self.name}", repeat=True
            )
        except CollectionNotFound:
            return False
        return True

    def collections(self) -> list[CollectionInfo]:
        """Return the service's collections, sorted by name."""
        return self._connection.json(Collections, "GET", "/v1/collections", repeat=True).collections

    def drop(self, name: str, *, confirm: str) -> int:
        """Delete a collection with all its images; return the number of images.

        Raises:
            ConfigError: `confirm` differs from `name`.
            CollectionNotFound: the collection does not exist.
        """
        check_name(name)
        return self._connection.json(
            Deleted, "DELETE", f"/v1/collections/{name}", repeat=False, params={"confirm": confirm}
        ).deleted

    def original(self, id_: str) -> bytes:
        """Return an image's file as it was added.

        Raises:
            ImageNotFound: the image does not exist.
            ObjectNotFound: the original was not stored, or does not exist any more.
        """
        return self._connection.request("GET", f"{_path(id_)}/original", repeat=True).content

    def thumbnail(self, id_: str, *, edge: int = 256) -> bytes:
        """Return an image's thumbnail as JPEG or WebP bytes.

        `edge` is the length of the longer side in pixels: 64, 128, 256, 512 or 1024.

        Raises: as for `original`.
        """
        return self._connection.request(
            "GET", f"{_path(id_)}/thumbnail", repeat=True, params={"edge": edge}
        ).content

    def models(self) -> list[ModelInfo]:
        """Return the encoders that collections can be created with."""
        return self._connection.json(Models, "GET", "/v1/models", repeat=True).models

    def health(self) -> dict[str, str]:
        """Check each part of the service; return part → "ok" or "failing".

        Raises:
            BackendUnavailable: the service does not respond, or is busy.
        """
        response = self._connection.send("GET", "/v1/health", repeat=True)
        if not response.is_success and response.status_code != _FAILING:
            raise error_of(response)
        try:
            return parse(Health, response.content).parts
        except BackendError as error:  # a busy service, or another server
            if response.is_success:
                raise BackendUnavailable("the service did not report its health") from error
            raise error_of(response) from error

    @override
    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<Client {self.url} {self.name!r}>"

    def _job(self, **values: Any) -> JobHandle:
        body = to_json(JobRequest, collection=self.name, **values)
        started = self._connection.json(JobState, "POST", "/v1/jobs", repeat=False, json=body)
        return JobHandle(self._connection, started.id)

    def _search(self, body: dict[str, Any]) -> list[Hit]:
        response = self._connection.json(Hits, "POST", "/v1/search", repeat=True, **body)
        return [image.hit() for image in response.hits]


def _result(result: Hits | Problem) -> list[Hit] | ImgSearchError:
    if isinstance(result, Hits):
        return [image.hit() for image in result.hits]
    return error_class(result.code)(result.detail)


def _check_id(id_: str) -> None:
    """Check that a string can be an image id.

    Raises:
        ImageNotFound: no image can have this id.
    """
    if not id_ or not id_.isascii() or not id_.isprintable():
        raise ImageNotFound(f"no image has the id {id_!r}")


def _path(id_: str) -> str:
    _check_id(id_)
    if id_ in (".", ".."):  # URL normalization would remove them
        raise ImageNotFound(f"no image has the id {id_!r}")
    return f"/v1/images/{quote(id_, safe='')}"
