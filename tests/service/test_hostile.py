"""Hostile values in every place of every route: the client's fault, never the service's."""

import asyncio
from collections import Counter

import httpx
import pytest

from imgsearch.archive import Incoming, opened
from imgsearch.service import Limits, server
from tests.service.hostile import requests
from tests.service.running import jpeg
from tests.service.topologies import plain


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Return an application over a few images, which answers without a server."""
    folder = tmp_path_factory.mktemp("hostile")
    with opened(folder / "data", model="lite", **plain(folder / "places").arguments()) as archive:
        archive.add(
            [Incoming(f"{number}.jpg", data=jpeg(number), id=f"a{number}") for number in range(3)]
        )
        with server.running(archive, keys=None, limits=Limits(), page=False) as app:
            yield app


def answers(app, generate):
    """Return each request's name and answer; `generate` gets the document."""

    async def ask():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            document = (await client.get("/openapi.json")).json()
            return [
                (name, await client.request(method, path, **options))
                for name, method, path, options in generate(document)
            ]

    return asyncio.run(ask())


def known(document):
    """Return a valid value for each parameter in a path, and for those that a query needs."""
    return {
        (path, name["name"]): "a1" if path.startswith("/v1/images") else "images"
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for name in operation.get("parameters", ())
    }


def test_no_value_of_a_client_is_a_fault_of_the_service(app):
    found = answers(app, lambda document: _thinned(requests(document, known(document))))
    assert [(name, answer.text) for name, answer in found if answer.status_code >= 500] == []
    refused = [answer for _, answer in found if answer.status_code >= 400]
    assert all(answer.json()["code"] for answer in refused)
    statuses = Counter(answer.status_code for _, answer in found)
    assert statuses[422] > 300
    assert statuses[200] > 50
    assert {name.partition(":")[0] for name, _ in found} >= {"POST /v1/images", "POST /v1/search"}


def _thinned(every):
    """Return every fourth request, to save time: each value is still sent to several places."""
    return [each for index, each in enumerate(every) if index % 4 == 0 or "charset" in each[0]]


def test_unknown_query_parameters_are_refused_by_name(app):
    values = {"id": "a1", "name": "images", "confirm": "no"}

    def generate(document):
        operations = [(path, method) for path, each in document["paths"].items() for method in each]
        places = [(method.upper(), path.format(**values)) for path, method in operations]
        places += [("GET", path) for path in ("/docs", "/docs/start.js", "/redoc", "/openapi.json")]
        assert len(places) > 25
        for method, path in places:
            query = "?confirm=no&" if method == "DELETE" and "collections" in path else "?"
            yield f"{method} {path}", method, f"{path}{query}gr%C3%B6%C3%9Fe=1", {}

    for name, answer in answers(app, generate):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_request"), name
        assert problem["errors"] == [
            {"where": ["query", "größe"], "why": "Extra inputs are not permitted"}
        ], name
