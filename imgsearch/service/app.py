"""The application: routes behind what guards, measures and answers for them."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount
from typing_extensions import override

from imgsearch import __version__
from imgsearch.archive import Archive, Jobs
from imgsearch.archive.access import Keys
from imgsearch.service import collections, docs, health, images, problems, search
from imgsearch.service import jobs as loads
from imgsearch.service.headers import Headers
from imgsearch.service.limits import BodyLimit, Deadline, Limits
from imgsearch.service.metrics import Measured, Metrics
from imgsearch.service.origins import Origins, checked
from imgsearch.service.problems import Incidents
from imgsearch.service.proxies import Proxies, networks
from imgsearch.service.scopes import Access
from imgsearch.service.service import Service
from imgsearch.service.workers import Turns, Workers
from imgsearch.wire import requests, responses

_ABOUT = """Search images by image and by text, and keep them.

Errors are `application/problem+json` with a stable `code`. Where keys are asked for, send one as
`Authorization: Bearer KEY` or `X-API-Key: KEY`; it has the scopes read, write or admin.
"""
_PROBLEM: dict[str, Any] = {
    "description": "A problem",
    "content": {
        problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}
_BODIES: Any = (
    requests.SearchQuery,
    requests.Batch,
    requests.Ids,
    requests.Change,
    requests.JobRequest,
)
_REST = "/v1/{rest:path}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class _App(FastAPI):
    """FastAPI, whose document also has the models of bodies that routes read themselves."""

    @override
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            told = super().openapi()
            _, extra = models_json_schema(
                [*((body, "validation") for body in _BODIES), (responses.Problem, "serialization")],
                ref_template="#/components/schemas/{model}",
            )
            schemas = told.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in extra["$defs"].items():
                schemas.setdefault(name, schema)
        return self.openapi_schema or {}


def create_app(
    archive: Archive,
    *,
    jobs: Jobs,
    keys: Keys | None,
    limits: Limits | None = None,
    urls: bool = False,
    hosts: Collection[str] | None = None,
    cors: Collection[str] = (),
    proxies: Collection[str] = (),
) -> FastAPI:
    """Return the application over `archive`; it closes neither `archive` nor `jobs`.

    With `keys` None no request needs a key. `urls` lets jobs fetch images with the function that
    `jobs` was given. `hosts` are the host names that requests may use, None for any. `cors` are
    the origins of other pages that may use the service, e.g. ``https://photos.example.org``.
    `proxies` are the addresses and networks of proxies: their X-Forwarded-Proto, -For and -Host
    headers are trusted.

    Raises:
        ConfigError: one of `cors` is not an origin, or one of `proxies` not an address.
        MissingExtra: the package with the documentation's scripts is not installed.
    """
    limits = limits or Limits()
    workers = Workers("work", threads=limits.embeddings, waiting=limits.waiting)
    searches = Workers("search", threads=limits.searches, waiting=limits.waiting)
    metrics = Metrics(workers, searches)
    app = _App(
        title="imgsearch",
        version=__version__,
        description=_ABOUT,
        openapi_url=None,  # docs.py has the route, with the checks of all others
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
        generate_unique_id_function=_operation,
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
        urls=urls,
    )
    for part in (images, search, loads, collections, health):
        app.include_router(part.router)
    docs.install(app)
    problems.install(app)
    app.add_api_route(_REST, _nothing, methods=list(_METHODS), include_in_schema=False)
    # the last one added is the outermost
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(Origins, hosts=hosts, cors=cors)
    app.add_middleware(Deadline, seconds=limits.seconds)
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
    app.add_middleware(Proxies, networks=networks(proxies))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    here: Service = app.state.service
    here.stopping = True
    here.workers.close()
    here.searches.close()
    here.thumbnails.close()


def _operation(route: APIRoute) -> str:
    """Return the name of a route's operation, as clients that are generated call it."""
    return f"{route.tags[0]!s}_{route.name.strip('_')}" if route.tags else route.name


def _nothing(request: Request) -> None:
    """Answer what no route does, before a page that is mounted at / gets it.

    Raises:
        HTTPException: always; 405 where another method would have been a route's.
    """
    routes: list[BaseRoute] = request.app.routes
    methods = [
        method for method in _METHODS if any(_has(route, request, method) for route in routes)
    ]
    if methods:
        raise HTTPException(405, headers={"Allow": ", ".join(methods)})
    raise HTTPException(404)


def _has(route: BaseRoute, request: Request, method: str) -> bool:
    if isinstance(route, Mount) or getattr(route, "path", "") == _REST:
        return False
    match, _ = route.matches({**request.scope, "method": method})
    return match is Match.FULL
