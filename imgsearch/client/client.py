"""A service's images, used as a library's are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal
from urllib.parse import quote

from typing_extensions import override

from imgsearch.arguments import check_name
from imgsearch.client import search_body
from imgsearch.client.connection import CODES, Connection, parsed, problem
from imgsearch.client.job import Job
from imgsearch.client.records import Collection, Image, Model, hits, made, part
from imgsearch.client.upload import Adding
from imgsearch.closeable import Closeable
from imgsearch.errors import BackendUnavailable, ImageNotFound, ImgSearchError
from imgsearch.filters import Filter
from imgsearch.images import sources
from imgsearch.images.sources import Source
from imgsearch.library.progress import FailedFile, Progress, Report, Tally
from imgsearch.library.query import Example, Query
from imgsearch.settings import Settings
from imgsearch.types import Failure, Hit, Value

_PAGE: Final = 500  # images of one answer
_MOST_IDS: Final = 1_000  # of one deletion
_FAILING: Final = 503


class Client(Closeable):
    """Images in one collection of a service at `url`: the verbs of `imgsearch.Library`, over HTTP.

    `key` defaults to the variable IMGSEARCH_API_KEY. It is sent to this origin only: redirects are
    not followed, and proxies of the environment are not used. `timeout` is in seconds, for each
    step of a request. Retries 429 and 503 responses. After a dropped connection only idempotent
    requests are retried. Thread-safe; one pool of connections.

    Raises, as every method does in addition to its own errors:
        MissingExtra: httpx is not installed (the constructor only).
        ConfigError: the URL or a value is invalid.
        AccessDenied: the service needs a key, or does not know this one.
        ScopeMissing: the key does not allow this.
        LimitExceeded: more, larger or faster than the service allows.
        BackendUnavailable: no response; safe to retry.
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

    def add(
        self,
        *images: Source,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[FailedFile], None] | None = None,
    ) -> Report:
        """Send local `images`: folders, globs, list files, image files, or lists of these.

        Images that the service has already, by bytes and name, are skipped, or get the label that
        the source states; an interrupted call can be repeated. Unreadable files are listed in
        `report.failures`; they do not stop the load.

        Raises:
            SourceError: a folder, glob or list does not exist; nothing was sent.
            EncoderError, BackendError: the service failed; images counted as added are stored.
        """
        tally = Tally(sum(map(sources.count, images)), on_progress, on_failure)
        references = [
            sources.references(source, on_ignored=tally.ignore, on_note=tally.note)
            for source in images
        ]
        tally.report_progress()
        Adding(self._connection, self.name, tally).run(chain.from_iterable(references))
        return tally.report()

    def add_folder(self, folder: str, *, in_place: bool = False) -> Job:
        """Have the service add a folder of its own, inside its roots; return the job.

        `in_place` keeps no originals of its files.

        Raises:
            SourceError: there is none, or it is not inside.
        """
        return self._job({"folder": folder, "in_place": in_place})

    def add_urls(self, urls: Sequence[str]) -> Job:
        """Have the service fetch images; return the job.

        Raises:
            AccessDenied: this service fetches none.
        """
        return self._job({"urls": list(urls)})

    def job(self, id_: str) -> Job:
        """Return the job of an id, which was started before."""
        return Job(self._connection, quote(id_, safe=""))

    def search(
        self,
        query: Query | Example,
        *,
        k: int = 10,
        offset: int = 0,
        where: Filter | None = None,
        min_score: float | Literal["auto"] | None = None,
        hide_duplicates: bool | float = False,
    ) -> list[Hit]:
        """Return at most `k` hits for `query`, nearest first; see `Library.search`.

        Images are sent as their files are, pixels as PNG. A hit's `id` is what `get` takes; its
        `fields` are the image's own, and ``name``, ``label``, ``content`` and ``references``, how
        many images of the collection have that content. `where` filters on ``path`` and ``label``.

        Raises:
            CollectionNotFound: nothing was added yet.
            SourceError, ImageError: the query image cannot be read.
            TextUnsupported: the query has a text, and the encoder takes images only.
            ConfigError: the query is empty or has a vector, or its terms cancel each other; or no
                threshold was measured that is asked for.
        """
        told = self._how(k, offset, where, min_score, hide_duplicates)
        return hits(
            self._connection.json(
                "POST", "/v1/search", repeat=True, **search_body.sent(query, told)
            )
        )

    def more_like(
        self,
        id_: str,
        *,
        k: int = 10,
        offset: int = 0,
        where: Filter | None = None,
        min_score: float | None = None,
        hide_duplicates: bool | float = False,
    ) -> list[Hit]:
        """Return images like one that is there, which is not among them; as `search` says.

        Raises:
            ImageNotFound: there is no such image, or it has no vector yet.
        """
        told = self._how(k, offset, where, min_score, hide_duplicates)
        _check_id(id_)
        return hits(
            self._connection.json("POST", "/v1/search", repeat=True, json={**told, "id": id_})
        )

    def search_many(
        self,
        queries: Sequence[Query | Example],
        *,
        k: int = 10,
        offset: int = 0,
        where: Filter | None = None,
        min_score: float | Literal["auto"] | None = None,
        hide_duplicates: bool | float = False,
    ) -> list[list[Hit] | Failure]:
        """Return the hits of each query, in order; one that failed has its error in its place.

        Raises: as `search` does, for a query that cannot be sent.
        """
        told = self._how(k, offset, where, min_score, hide_duplicates)
        whole = [each if isinstance(each, Query) else Query(each) for each in queries]
        found: list[list[Hit] | Failure] = []
        for batch in search_body.batches([search_body.values(query, told) for query in whole]):
            answer = self._connection.json(
                "POST", "/v1/search/batch", repeat=True, json={"queries": batch}
            )
            found += [_result(each) for each in part(answer, "results")]
        return found

    def get(self, id_: str) -> Image:
        """Return what is known of an image.

        Raises:
            ImageNotFound: there is no such image.
        """
        return made(Image, self._connection.json("GET", _place(id_), repeat=True))

    def images(
        self,
        *,
        order: Literal["created", "name", "size", "label"] = "created",
        descending: bool = False,
        label: str | None = None,
        text: str | None = None,
    ) -> Iterator[Image]:
        """Yield the collection's images, a page at a time; `text` is a part of the name."""
        told: dict[str, Any] = {"collection": self.name, "limit": _PAGE, "order": order}
        told |= {"descending": descending, "label": label, "text": text}
        params = {name: value for name, value in told.items() if value is not None}
        while True:
            page = self._connection.json("GET", "/v1/images", repeat=True, params=params)
            for each in part(page, "images"):
                yield made(Image, each)
            params["after"] = part(page, "next")
            if params["after"] is None:
                return

    def update(
        self,
        id_: str,
        *,
        label: str | None = None,
        name: str | None = None,
        fields: Mapping[str, Value] | None = None,
    ) -> Image:
        """Change what is not None; return the image as it is then. `fields` are replaced whole.

        Raises:
            ImageNotFound: there is no such image.
        """
        told = {"label": label, "name": name, "fields": None if fields is None else dict(fields)}
        change = {part: value for part, value in told.items() if value is not None}
        return made(Image, self._connection.json("PATCH", _place(id_), repeat=True, json=change))

    def remove(self, *ids: str) -> int:
        """Remove images by id; return how many there were."""
        gone = 0
        for start in range(0, len(ids), _MOST_IDS):
            told = {"ids": ids[start : start + _MOST_IDS]}
            answer = self._connection.json("POST", "/v1/images/delete", repeat=True, json=told)
            gone += int(part(answer, "deleted"))
        return gone

    def count(self) -> int:
        """Return how many images the collection holds."""
        told = self._connection.json(
            "GET", "/v1/count", repeat=True, params={"collection": self.name}
        )
        return int(part(told, "images"))

    def collections(self) -> list[Collection]:
        """Return the service's collections, by name."""
        told = self._connection.json("GET", "/v1/collections", repeat=True)
        return [made(Collection, each) for each in part(told, "collections")]

    def drop(self, name: str, *, confirm: str) -> int:
        """Delete a collection with all its images; return how many there were.

        Raises:
            ConfigError: `confirm` is not its name.
            CollectionNotFound: there is none.
        """
        check_name(name)
        told = self._connection.json(
            "DELETE", f"/v1/collections/{name}", repeat=False, params={"confirm": confirm}
        )
        return int(part(told, "deleted"))

    def original(self, id_: str) -> bytes:
        """Return an image's file as it was added.

        Raises:
            ImageNotFound: there is no such image.
            ObjectNotFound: its original was not kept, or is not there any more.
        """
        return self._connection.ask("GET", f"{_place(id_)}/original", repeat=True).content

    def thumbnail(self, id_: str, *, edge: int = 256) -> bytes:
        """Return an image in small, a JPEG or WebP file.

        `edge` is the longer side's pixels: 64, 128, 256, 512 or 1024.

        Raises: as `original` does.
        """
        return self._connection.ask(
            "GET", f"{_place(id_)}/thumbnail", repeat=True, params={"edge": edge}
        ).content

    def models(self) -> list[Model]:
        """Return the encoders that collections may be made with."""
        told = self._connection.json("GET", "/v1/models", repeat=True)
        return [made(Model, each) for each in part(told, "models")]

    def health(self) -> dict[str, str]:
        """Return of each part of the service "ok" or "failing"; it embeds an image and searches.

        Raises:
            BackendUnavailable: it does not answer, or has no time.
        """
        response = self._connection.answer("GET", "/v1/health", repeat=True)
        told = parsed(response) if response.status_code in (200, _FAILING) else {}
        if not isinstance(told, dict) or "parts" not in told:
            if response.is_success:
                raise BackendUnavailable("the service tells nothing of its health")
            raise problem(response)
        return {str(name): str(state) for name, state in told["parts"].items()}

    @override
    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<Client {self.url} {self.name!r}>"

    def _job(self, request: dict[str, Any]) -> Job:
        told = self._connection.json(
            "POST", "/v1/jobs", repeat=False, json={**request, "collection": self.name}
        )
        return Job(self._connection, str(part(told, "id")))

    def _how(self, *values: Any) -> dict[str, Any]:
        names = ("k", "offset", "where", "min_score", "hide_duplicates")
        told = search_body.how(**dict(zip(names, values, strict=True)))
        return {"collection": self.name, **told}


def _result(told: Any) -> list[Hit] | Failure:
    if isinstance(told, dict) and "hits" in told:
        return hits(told)
    kind = CODES.get(str(part(told, "code")), ImgSearchError)
    return Failure(kind(str(part(told, "detail"))))


def _check_id(id_: str) -> None:
    """Check that a text can be an image's id.

    Raises:
        ImageNotFound: it cannot.
    """
    if not id_ or not id_.isascii() or not id_.isprintable():
        raise ImageNotFound(f"there is no image of the id {id_!r}")


def _place(id_: str) -> str:
    _check_id(id_)
    if id_ in (".", ".."):  # they vanish from URLs
        raise ImageNotFound(f"there is no image of the id {id_!r}")
    return f"/v1/images/{quote(id_, safe='')}"
