"""The OpenAPI document, and its pages without requests to other hosts."""

import inspect
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings

from imgsearch.service import collections, comparison, health, images, jobs, search, vectors
from tests.service.running import jpeg, running
from tests.service.topologies import plain

VERBS = (
    "add", "cancel", "check", "compare", "count", "delete", "embed", "get", "list", "retry",
    "search", "start", "stream", "update",
)  # fmt: skip
PARTS = (collections, comparison, health, images, jobs, search, vectors)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """Return a separate service, because generated requests may delete anything."""
    folder = tmp_path_factory.mktemp("document")
    with running(plain(folder / "places"), folder / "data") as service:
        service.add(*range(3), collection="images")
        yield service


@pytest.mark.long
def test_every_response_matches_the_document(document):
    # imported here, because other workers would import it for nothing
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    expected = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    schema = schemathesis.openapi.from_url(f"{document.url}/openapi.json")
    headers = {"Authorization": f"Bearer {document.secrets['admin']}"}
    operations = [operation_result.ok() for operation_result in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        if operation.path.endswith("/events"):
            continue  # a stream; test_jobs.py follows it

        @settings(
            max_examples=4,  # an operation: about 100 in all; `make soak` runs 2,000
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answered(case):
            case.call_and_validate(headers=headers, checks=expected)

        answered()


def test_dependencies_of_routes_run_without_threads():
    """FastAPI uses threads for dependencies that are not coroutines, which delays progress."""
    routes = [route for part in PARTS for route in part.router.routes]
    dependencies = [dependency for route in routes for dependency in route.dependant.dependencies]
    for dependant in dependencies:
        dependencies += dependant.dependencies
    calls = {dependant.call for dependant in dependencies}
    assert len(calls) > len({"read", "write", "admin"})
    for call in calls:
        assert any(map(inspect.iscoroutinefunction, (call, type(call).__call__))), call


def test_operation_ids_are_a_verb_and_a_noun_and_summaries_their_words(document):
    content = document.http.get("/openapi.json").json()
    operations = [
        operation for methods in content["paths"].values() for operation in methods.values()
    ]
    ids = [operation["operationId"] for operation in operations]
    assert {"list_images", "get_image", "search_images", "start_job"} < set(ids)
    assert len(ids) == len(set(ids)) > 20
    for operation in operations:
        verb, _, noun = operation["operationId"].partition("_")
        assert verb in VERBS, operation["operationId"]
        assert operation["summary"] == f"{verb.capitalize()} {noun.replace('_', ' ')}"
        assert operation["description"].split()[0].lower() in VERBS
    described = {tag["name"] for tag in content["tags"] if tag["description"]}
    assert {tag for operation in operations for tag in operation["tags"]} == described


def test_every_example_of_the_document_is_valid(document):
    schema = document.http.get("/openapi.json").json()
    (image, *_) = document.add(1, collection="images")
    example = schema["components"]["schemas"]["SearchQuery"]["examples"]
    assert len(example) == 3
    for query in example:
        text = json.dumps(query).replace("0f3c9a1e5b7d4c2a8e6f1b0d9c7a5e3f", image["id"])
        answer = document.http.post("/v1/search", json=json.loads(text))
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_of_the_document_need_no_other_host(document, path):
    page = document.client().get(path)
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert source.startswith("/docs/")
        assert document.client().get(source).status_code == 200


def test_picture_of_a_hit_is_at_its_url(document):
    hits = document.search("images", text="a dog", k=1)["hits"]
    small = document.http.get(hits[0]["thumbnail"])
    assert small.headers["Content-Type"] == "image/webp"
    assert document.http.get(hits[0]["original"]).content in [jpeg(n) for n in range(3)]
