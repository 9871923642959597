"""Hostile values in every parameter of every route cause client errors, never status 500."""

import asyncio
from collections import Counter

import httpx
import pytest

from imgsearch.archive import CollectionOptions, Incoming, opened
from imgsearch.service import Limits, server
from tests.service.hostile import requests
from tests.service.running import jpeg
from tests.service.topologies import plain


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Return an application over a few images, without a server."""
    folder = tmp_path_factory.mktemp("hostile")
    with opened(
        folder / "data", creation=CollectionOptions("lite"), **plain(folder / "places").arguments()
    ) as archive:
        archive.add(
            [Incoming(f"{number}.jpg", data=jpeg(number), id=f"a{number}") for number in range(3)]
        )
        with server.running(archive, keys=None, limits=Limits(), page=False) as app:
            yield app


def answers(app, generate):
    """Return the name and response of every request; `generate` gets the document."""

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
    """Return a valid value for each path parameter and required query parameter."""
    return {
        (path, name["name"]): "a1" if path.startswith("/v1/images") else "images"
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for name in operation.get("parameters", ())
    }


@pytest.mark.long
def test_no_value_causes_a_server_error(app):
    named_answers = answers(app, lambda document: _thinned(requests(document, known(document))))
    assert [
        (name, answer.text) for name, answer in named_answers if answer.status_code >= 500
    ] == []
    refused = [answer for _, answer in named_answers if answer.status_code >= 400]
    assert all(answer.json()["code"] for answer in refused)
    statuses = Counter(answer.status_code for _, answer in named_answers)
    assert statuses[422] > 300
    assert statuses[200] > 50
    assert {name.partition(":")[0] for name, _ in named_answers} >= {
        "POST /v1/images",
        "POST /v1/search",
    }


def _thinned(every):
    """Return every fourth request to save time; every value is still sent to several parameters."""
    return [
        request for index, request in enumerate(every) if index % 4 == 0 or "charset" in request[0]
    ]


def test_unknown_query_parameters_are_rejected_by_name(app):
    values = {"id": "a1", "name": "images", "confirm": "no"}

    def generate(document):
        operations = [
            (path, method) for path, methods in document["paths"].items() for method in methods
        ]
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
