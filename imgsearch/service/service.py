"""The state that routes share."""

import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Literal

from fastapi import Depends, Request

from imgsearch.archive import Analysis, Archive, Fetch, Jobs, LimitedArchive, LimitedJobs
from imgsearch.errors import MissingExtra
from imgsearch.service.limits import Limits
from imgsearch.service.metrics import Metrics
from imgsearch.service.problems import HttpProblem
from imgsearch.service.scopes import Access, collections_of
from imgsearch.service.workers import Turns, Workers

Analyzing = Literal["ocr", "tags"]
_NOT_ALLOWED: Final = {
    "ocr": "This service does not read text in images. Its operator allows it by --allow-ocr.",
    "tags": "This service does not tag images. Its operator allows it by --allow-tags.",
}
_DOWNLOADS: Final = 4  # at once, for queries, because each waits for another server in a thread


@dataclass(slots=True)
class ProcessState:
    """The changing state of a service.

    `stopping` ends progress streams; `streams` is the number of open ones. `checked` is the time
    and result of the last health check; `checking` prevents concurrent checks.
    """

    stopping: bool = False
    streams: int = 0
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    checked: tuple[float, Mapping[str, str]] = (float("-inf"), {})


@dataclass(frozen=True, slots=True)
class Service:
    """An archive with its jobs, and the service's limits, threads and metrics.

    `workers` run additions, `searches` run searches, and `thumbnails` create thumbnails.
    `embedding` limits the number of concurrent query embeddings. `fetch` downloads images by URL,
    None if the service does not; `fetching` limits the number of concurrent downloads. `allowed`
    are the kinds of analysis of new images.
    """

    archive: Archive
    jobs: Jobs
    access: Access
    limits: Limits
    workers: Workers
    searches: Workers
    embedding: Turns
    thumbnails: Workers
    metrics: Metrics
    fetch: Fetch | None = None
    fetching: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_DOWNLOADS)
    )
    allowed: frozenset[Analyzing] = frozenset()
    process: ProcessState = field(default_factory=ProcessState)

    def limited(self, collections: Collection[str] | None) -> "Service":
        """Return this service with only some collections; None sets no limit."""
        if collections is None:
            return self
        archive = LimitedArchive(self.archive, collections)
        return replace(self, archive=archive, jobs=LimitedJobs(self.jobs, archive))

    def require_urls(self) -> Fetch:
        """Return the function that downloads images by URL.

        Raises:
            HttpProblem: the service does not fetch images by URL.
        """
        if self.fetch is None:
            raise HttpProblem(403, "urls_not_allowed", "This service does not fetch images by URL.")
        return self.fetch

    def analysis(self, *, ocr: bool, tags: Sequence[str], top: int | None) -> Analysis:
        """Return the analysis of new images that a request wants.

        Raises:
            HttpProblem: the service does not allow it, or an extra is not installed.
        """
        for name, wanted in (("ocr", ocr), ("tags", bool(tags))):
            if wanted and name not in self.allowed:
                raise HttpProblem(403, f"{name}_not_allowed", _NOT_ALLOWED[name])
        analysis = Analysis(ocr, tuple(tags), top)
        try:
            analysis.check()
        except MissingExtra as error:
            text = f"The service's extra {error.extra!r} is not installed."
            raise HttpProblem(501, "not_installed", text) from error
        return analysis

    def fetched(self, url: str) -> bytes:
        """Return an image by URL, for a query.

        Raises:
            HttpProblem: the service does not fetch images by URL, or fetches too many now.
            UrlRefused, UrlFailed: the URL is refused, or the download failed.
        """
        fetch = self.require_urls()
        if not self.fetching.acquire(blocking=False):
            raise HttpProblem(503, "busy", "Too many images are being downloaded.", retry=2)
        try:
            return fetch(url)
        finally:
            self.fetching.release()


async def _here(request: Request) -> Service:  # not a plain function, which would run in a thread
    here: Service = request.app.state.service
    return here.limited(collections_of(request))


Here = Annotated[Service, Depends(_here)]
"""Parameter type with which a route receives the service, limited to the collections of the key."""
