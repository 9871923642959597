"""Vectors over HTTP: of queries, and of stored images."""

import base64

import numpy as np
import pytest

from imgsearch import Client
from tests.pictures import picture
from tests.service.running import jpeg


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_queries_are_embedded(service, empty):
    image = base64.b64encode(jpeg(1)).decode()
    terms = [{"text": "a dog", "weight": -0.5}, {"image": image}]
    items = [{"text": "a dog"}, {"image": image}, {"terms": terms}]
    body = {"items": items, "collection": empty}
    answer = service.http.post("/v1/embed", json=body).json()
    dog, picture_, both = map(np.array, answer["vectors"])
    assert (answer["dim"], dog.shape, answer["warnings"]) == (384, (384,), [])
    total = picture_ - 0.5 * dog
    np.testing.assert_allclose(both, total / np.linalg.norm(total), atol=1e-5)
    coded = service.http.post("/v1/embed", json={**body, "encoding": "base64"}).json()
    np.testing.assert_array_equal(floats(coded["vectors"][0]), dog.astype(np.float32))
    unknown = {"items": [{"text": "qqqq dog"}], "collection": empty}
    assert service.http.post("/v1/embed", json={"items": [], "collection": empty}).json() == {
        "vectors": [],
        "dim": 384,
        "warnings": [],
    }
    assert service.http.post("/v1/embed", json=unknown).status_code == 200
    for wrong in ({}, {"items": [{}]}, {"items": [{"text": "a"}] * 65}, {"items": [{"id": "x"}]}):
        assert service.http.post("/v1/embed", json=wrong).status_code in (404, 422)
    assert empty not in [info.name for info in service.archive.collections()]


def test_stored_vectors_are_read(service, empty):
    first, second = service.add(1, 2, collection=empty)
    (same,) = service.add(1, collection=empty, id=f"same-{empty}")
    ids = [second["id"], "unknown", first["id"], same["id"], first["id"]]
    answer = service.http.post("/v1/images/vectors", json={"ids": ids}).json()
    two, none, one, again, twice = answer["vectors"]
    assert (none, one == again == twice, len(two), answer["dim"]) == (None, True, 384, 384)
    stored = service.http.post("/v1/embed", json={"items": [{"id": first["id"]}]}).json()
    assert stored["vectors"] == [one]
    coded = {"ids": ids[:1], "encoding": "base64"}
    text = service.http.post("/v1/images/vectors", json=coded).json()["vectors"][0]
    np.testing.assert_array_equal(floats(text), np.array(two, np.float32))
    nothing = service.http.post("/v1/images/vectors", json={"ids": ["unknown"]}).json()
    assert (nothing["vectors"], nothing["dim"]) == ([None], 0)
    for wrong in ({"ids": []}, {"ids": ["a b"]}, {"ids": ids, "encoding": "hex"}):
        assert service.http.post("/v1/images/vectors", json=wrong).status_code == 422
    assert service.client("read").post("/v1/images/vectors", json={"ids": ids}).status_code == 200
    assert service.client().post("/v1/images/vectors", json={"ids": ids}).status_code == 401


def test_many_items_are_embedded_in_several_requests(service, empty):
    with Client(service.url, service.secrets["read"], collection=empty) as client:
        vectors = client.embed([f"a dog {number}" for number in range(70)] + [picture(1)])
    assert vectors.shape == (71, 384)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(vectors[0], vectors[70], atol=0.1)
