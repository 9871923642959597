"""The FastAPI application: its routes, and the middleware that protects and measures them."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount
from typing_extensions import override

from imgsearch import __version__
from imgsearch.archive import Archive, Fetch, Jobs
from imgsearch.archive.access import Keys
from imgsearch.logs import RequestLog
from imgsearch.service import (
    collections,
    comparison,
    docs,
    health,
    images,
    problems,
    search,
    vectors,
    videos,
)
from imgsearch.service import jobs as loads
from imgsearch.service.headers import Headers
from imgsearch.service.limits import BodyLimit, Deadline, Limits
from imgsearch.service.metrics import Measured, Metrics
from imgsearch.service.origins import Origins, checked
from imgsearch.service.problems import Incidents
from imgsearch.service.proxies import Proxies, networks
from imgsearch.service.scopes import Access
from imgsearch.service.service import Analyzing, Service
from imgsearch.service.workers import Turns, Workers
from imgsearch.wire import requests, responses
from imgsearch.wire.vectors import EmbedRequest, VectorsRequest

_ABOUT = """Store images, and search them by image and by text.

Errors are `application/problem+json` with a stable `code`. If the service requires API keys, send
one as `Authorization: Bearer KEY` or `X-API-Key: KEY`. A key has the scope read, write or admin.
A key that is limited to collections gets `collection_denied` for another one, which it must not
leave to the default `images`; images and jobs of others do not exist for it.
"""
_TAGS: list[dict[str, Any]] = [
    {"name": "images", "description": "Add, list, update and delete images."},
    {"name": "videos", "description": "Upload, list and delete videos, whose frames are images."},
    {"name": "search", "description": "Search by image, by text, or by a sum of both."},
    {"name": "vectors", "description": "Get the vectors of texts, images and stored images."},
    {"name": "jobs", "description": "Add folders and URLs in the background."},
    {"name": "collections", "description": "List, count and delete collections."},
    {"name": "service", "description": "Check the service, and list its encoders."},
]
_PROBLEM: dict[str, Any] = {
    "description": "A problem",
    "content": {
        problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}
_BODIES: Any = (
    requests.SearchQuery,
    requests.Batch,
    requests.CompareRequest,
    requests.Ids,
    requests.Change,
    requests.JobRequest,
    requests.MigrationRequest,
    requests.FieldsRequest,
    EmbedRequest,
    VectorsRequest,
)
_REST = "/v1/{rest:path}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class _App(FastAPI):
    """FastAPI with an OpenAPI document that includes the bodies which routes parse themselves.

    An operation's summary is derived from its id: `list_images` becomes "List images".
    """

    @override
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            _, extra = models_json_schema(
                [*((body, "validation") for body in _BODIES), (responses.Problem, "serialization")],
                ref_template="#/components/schemas/{model}",
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in extra["$defs"].items():
                schemas.setdefault(name, schema)
            for path in document["paths"].values():
                for operation in path.values():
                    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
        return self.openapi_schema or {}


def create_app(
    archive: Archive,
    *,
    jobs: Jobs,
    keys: Keys | None,
    limits: Limits | None = None,
    fetch: Fetch | None = None,
    allowed: Collection[Analyzing] = (),
    hosts: Collection[str] | None = None,
    cors: Collection[str] = (),
    proxies: Collection[str] = (),
) -> FastAPI:
    """Return the application that serves `archive`. It closes neither `archive` nor `jobs`.

    If `keys` is None, no request needs a key. `fetch` downloads images by URL for queries, None if
    the service does not; jobs fetch with the function that `jobs` was given. `allowed` are
    the kinds of analysis of new images that requests may ask for. `hosts` are the host
    names that requests may use, None for any. `cors` are
    the other origins that may use the service, e.g. ``https://photos.example.org``. `proxies` are
    the addresses and networks of trusted proxies: the service uses their X-Forwarded-Proto, -For
    and -Host headers.

    Raises:
        ConfigError: `cors` contains an invalid origin, or `proxies` an invalid address.
        MissingExtra: the package with the scripts of the documentation is not installed.
    """
    limits = limits or Limits()
    workers = Workers("work", threads=limits.embeddings, waiting=limits.waiting)
    searches = Workers("search", threads=limits.searches, waiting=limits.waiting)
    metrics = Metrics(workers, searches)
    app = _App(
        title="imgsearch",
        version=__version__,
        description=_ABOUT,
        openapi_url=None,  # docs.py adds a route with the same checks as other routes
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
        generate_unique_id_function=_operation_id,
        openapi_tags=_TAGS,
    )
    app.state.service = Service(
        archive=archive,
        jobs=jobs,
        access=Access(keys, per_minute=limits.per_minute),
        limits=limits,
        workers=workers,
        searches=searches,
        embedding=Turns(limits.embeddings),
        thumbnails=Workers("thumbnails", threads=limits.embeddings, waiting=limits.waiting * 4),
        metrics=metrics,
        fetch=fetch,
        allowed=frozenset(allowed),
    )
    for part in (vectors, images, videos, search, comparison, loads, collections, health):
        app.include_router(part.router)
    docs.install(app)
    problems.install(app)
    app.add_api_route(_REST, _refuse, methods=list(_METHODS), include_in_schema=False)
    # the last one added is the outermost
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(Origins, hosts=hosts, cors=cors)
    app.add_middleware(Deadline, seconds=limits.seconds, video_seconds=limits.video_seconds)
    app.add_middleware(Incidents)
    if cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(checked(cors)),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Location"],
        )
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(Headers)
    app.add_middleware(cast(Any, RequestLog))
    app.add_middleware(Proxies, networks=networks(proxies))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    service: Service = app.state.service
    service.process.stopping = True
    service.workers.close()
    service.searches.close()
    service.thumbnails.close()


def _operation_id(route: APIRoute) -> str:
    """Return a route's operation id, which generated clients use as the method name."""
    return route.name


def _refuse(request: Request) -> None:
    """Reject requests below /v1 that match no route, so that the page at / does not get them.

    Raises:
        HTTPException: 405 if the path exists with another method, otherwise 404.
    """
    routes: list[BaseRoute] = request.app.routes
    methods = [
        method for method in _METHODS if any(_matches(route, request, method) for route in routes)
    ]
    if methods:
        raise HTTPException(405, headers={"Allow": ", ".join(methods)})
    raise HTTPException(404)


def _matches(route: BaseRoute, request: Request, method: str) -> bool:
    if isinstance(route, Mount) or getattr(route, "path", "") == _REST:
        return False
    match, _ = route.matches({**request.scope, "method": method})
    return match is Match.FULL
