"""The contents of a service's collection: searches, and images with their metadata."""

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from os import PathLike, fsdecode
from typing import Any, Final, Literal, cast
from urllib.parse import quote

from typing_extensions import override

from imgsearch.client import search_body
from imgsearch.client.connection import Connection
from imgsearch.client.upload import uploaded_name
from imgsearch.errors import (
    CollectionNotFound,
    ImageNotFound,
    ImgSearchError,
    SourceError,
)
from imgsearch.fields import Declaration, FieldType, can_declare, declared
from imgsearch.filters import Field, Where, to_filter
from imgsearch.filters.mapping import to_json as to_json_filter
from imgsearch.images import sources
from imgsearch.library.hits import Hits
from imgsearch.library.interface import SearchableImages
from imgsearch.library.progress import absolute
from imgsearch.library.query_downloads import all_downloaded, downloaded
from imgsearch.order import Order
from imgsearch.query import Example, Mode, Query, SearchOptions
from imgsearch.types import Hit, Value
from imgsearch.wire import responses
from imgsearch.wire.problems import error_class
from imgsearch.wire.requests import FieldsRequest, to_json
from imgsearch.wire.responses import (
    BatchHits,
    CollectionInfo,
    FoundImage,
    Image,
    ImageCounts,
    Images,
    Problem,
)

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")  # as wire.values.Id
_LONGEST_PATH: Final = 4_096  # characters; Linux' limit
_THUMBNAIL: Final = 128  # pixels; one of the service's sizes
_PAGE: Final = 500  # images per response


class ServiceContents(SearchableImages):
    """The part of a client that searches and reads a collection."""

    _connection: Connection

    @override
    def facets(self, field: str, *, where: Where | None = None, most: int = 20) -> dict[Value, int]:
        params: dict[str, Any] = {"field": field, "most": most, **_where(where)}
        path = f"/v1/collections/{self.name}/facets"
        result = self._connection.json(responses.Facets, "GET", path, repeat=True, params=params)
        return {facet.value: facet.images for facet in result.values}

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
        order_by: str | None = None,
        mode: Mode = "vector",
        url_hosts: Sequence[str] | None = (),
    ) -> Hits:
        """Return at most `k` hits for `query`, nearest first; see `Library.search`.

        Image files are sent unchanged, pixel arrays as PNG. This machine downloads images by URL.
        `get` accepts the `id` of a hit. The `fields` of a hit are the image's fields plus ``name``,
        ``label``, ``content`` and ``references``, the number of images with that content. Their
        ``path`` is the name, too.

        Raises:
            CollectionNotFound: the collection does not exist, because nothing was added yet.
            SourceError, ImageError: the query image cannot be read.
            TextUnsupported: the query has a text, but the encoder embeds images only.
            ConfigError: the query is empty or has a vector, its terms cancel each other, or the
                requested threshold was not measured.
        """
        options = SearchOptions(
            k, offset, where, min_score, hide_duplicates, effort, order_by, mode
        )
        return self.search_with(query, options, url_hosts=url_hosts)

    @override
    def search_with(
        self,
        query: Query | Example,
        options: SearchOptions,
        *,
        url_hosts: Sequence[str] | None = (),
    ) -> Hits:
        """Search like `search`, with all options in one object."""
        whole = downloaded(query, url_hosts)
        return self._search(search_body.request_body(whole, options, collection=self.name))

    def compare(self, one: Example, other: Example) -> responses.Comparison:
        """Compare two images with the collection's encoder, and by their pixels.

        An image is a path, encoded bytes, a Pillow image or pixels. `difference` of the result is
        None; `imgsearch.compare_images` compares on this computer, with pictures.

        Raises:
            SourceError, ImageError: an image cannot be read.
        """
        files = [("file", ("image", search_body.compared(image))) for image in (one, other)]
        form = {"collection": self.name}
        return self._connection.json(
            responses.Comparison, "POST", "/v1/compare", repeat=True, files=files, data=form
        )

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
        """Return the images nearest to a stored image, without the image itself; see `search`.

        Raises:
            ImageNotFound: the image does not exist, or has no vector yet.
        """
        options = SearchOptions(k, offset, where, min_score, hide_duplicates, effort, order_by)
        check_id(id_)
        return self._search({"json": search_body.similar_query(id_, options, collection=self.name)})

    @override
    def search_many_with(
        self,
        queries: Sequence[Query | Example],
        options: SearchOptions,
        *,
        url_hosts: Sequence[str] | None = (),
        errors: Literal["raise", "keep"] = "raise",
    ) -> list[Hits | ImgSearchError]:
        """Search like `search_many`, with all options in one object.

        Raises: as for `search`, if a query cannot be sent; and if it fails, unless errors="keep".
        """
        bodies = [
            search_body.search_query(query, options, collection=self.name)
            for query in all_downloaded(queries, url_hosts)
        ]
        results: list[Hits | ImgSearchError] = []
        for batch in search_body.batches(bodies):
            batch_hits = self._connection.json(
                BatchHits, "POST", "/v1/search/batch", repeat=True, json={"queries": batch}
            )
            results += map(self._result, batch_hits.results)
        failed = next((result for result in results if isinstance(result, ImgSearchError)), None)
        if failed is not None and errors == "raise":
            raise failed
        return results

    @override
    def records(
        self, where: Where | None = None, *, order_by: str | None = None
    ) -> Iterator[Image]:
        """Yield the images that match `where`; see `SearchableImages.records`.

        The service sorts; texts by their first 64 characters, ties by id.
        """
        order = Order.parse("created" if order_by is None else order_by)
        name = "name" if order.field == "path" else order.field
        return self._listed(where=where, order_by=f"{'-' * order.descending}{name}")

    @override
    def __contains__(self, item: object) -> bool:
        """Return whether an image has this id, name or path.

        A path is a file of this machine, whose bytes and name are compared, or the path of a file
        that the service added from its folders.
        """
        if not isinstance(item, str | PathLike):
            return False
        text = fsdecode(item)
        with suppress(ImageNotFound):
            self.get(text)
            return True
        if not text or len(text) > _LONGEST_PATH or "\0" in text:
            return False
        return self._has_file(text) or self._has_path(text)

    def _has_file(self, path: str) -> bool:
        """Return whether an image has the bytes and the name of a file of this machine."""
        try:
            data = sources.read(path)
        except SourceError:
            return False
        name = uploaded_name(path, data)
        same = self._listed(content=sources.content_id(data))
        return any(image.name == name for image in same)

    def _has_path(self, text: str) -> bool:
        paths = {sources.printable(text), sources.printable(absolute(text))}
        where = Field("path").isin(sorted(paths)) | (Field("name") == sources.printable(text))
        return bool(self.count(where))

    @override
    def get(self, id_: str) -> Image:
        """Return an image's metadata.

        Raises:
            ImageNotFound: the image does not exist.
        """
        return self._connection.json(Image, "GET", image_path(id_), repeat=True)

    def images(
        self,
        *,
        order: Literal["created", "name", "size", "label"] = "created",
        descending: bool = False,
        label: str | None = None,
        text: str | None = None,
    ) -> Iterator[Image]:
        """Yield the collection's images, fetched in pages. `text` matches a part of the name."""
        return self._listed(order=order, descending=descending, label=label, text=text)

    def _listed(self, *, where: Where | None = None, **options: Any) -> Iterator[Image]:
        """Return the images of a listing. The first page is requested at once, for its errors."""
        pages = self._pages(**options, **_where(where))
        first = next(pages)
        return chain(first, chain.from_iterable(pages))

    def _pages(self, **options: Any) -> Iterator[Sequence[Image]]:
        """Yield the pages of a listing; the first may be empty."""
        options |= {"collection": self.name, "limit": _PAGE}
        params = {name: value for name, value in options.items() if value is not None}
        while True:
            page = self._connection.json(Images, "GET", "/v1/images", repeat=True, params=params)
            yield page.images
            if page.next is None:
                return
            params["after"] = page.next

    @override
    def count(self, where: Where | None = None) -> int:
        """Return the number of images in the collection, or of the images that match `where`.

        Raises:
            FieldInvalid: `where` is not a filter.
        """
        params = {"collection": self.name, **_where(where)}
        return self._connection.json(
            ImageCounts, "GET", "/v1/count", repeat=True, params=params
        ).images

    def _info(self) -> CollectionInfo:
        """Return the description of the collection.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        path = f"/v1/collections/{self.name}"
        return self._connection.json(CollectionInfo, "GET", path, repeat=True)

    @override
    def declare_fields(self, fields: Declaration) -> Mapping[str, FieldType]:
        """Declare fields like ``{"year": int}``; see `Library.declare_fields`.

        The key needs the scope "admin".

        Raises: as for `Library.declare_fields`.
        """
        body = to_json(FieldsRequest, fields=declared(fields))
        path = f"/v1/collections/{self.name}/fields"
        info = self._connection.json(CollectionInfo, "POST", path, repeat=True, json=body)
        return cast("Mapping[str, FieldType]", info.fields)

    def _field_types(self) -> dict[str, FieldType]:
        """Return the types of the collection's fields; {} if it does not exist."""
        try:
            info = self._info()
        except CollectionNotFound:
            return {}
        own = {name: kind for name, kind in info.fields.items() if can_declare(name)}
        return declared(cast("Mapping[str, FieldType]", own))

    def _search(self, body: dict[str, Any]) -> Hits:
        response = self._connection.json(responses.Hits, "POST", "/v1/search", repeat=True, **body)
        return self._hits(response.hits)

    def _result(self, result: responses.Hits | Problem) -> Hits | ImgSearchError:
        if isinstance(result, responses.Hits):
            return self._hits(result.hits)
        return error_class(result.code)(result.detail)

    def _hits(self, images: Iterable[FoundImage]) -> Hits:
        return Hits((image.hit() for image in images), thumbnail=self._thumbnail_of)

    def _thumbnail_of(self, hit: Hit) -> bytes:
        """Return the thumbnail of a hit for notebooks. The name is not a path of this machine."""
        return self.thumbnail(hit.id, edge=_THUMBNAIL)

    @abstractmethod
    def thumbnail(self, id_: str, *, edge: int = 256) -> bytes:
        """Return an image's thumbnail."""


def _where(where: Where | None) -> dict[str, str]:
    """Return a filter as a query parameter; {} without one."""
    return {} if where is None else {"where": json.dumps(to_json_filter(to_filter(where)))}


def check_id(id_: str) -> None:
    """Check that a string can be an image id.

    Raises:
        ImageNotFound: no image can have this id.
    """
    if not _ID.fullmatch(id_):
        raise ImageNotFound(f"no image has the id {id_!r}")


def image_path(id_: str) -> str:
    """Return the URL path of an image.

    Raises:
        ImageNotFound: no image can have this id.
    """
    check_id(id_)
    if id_ in (".", ".."):  # URL normalization would remove them
        raise ImageNotFound(f"no image has the id {id_!r}")
    return f"/v1/images/{quote(id_, safe='')}"
