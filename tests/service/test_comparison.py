"""Comparison of two images over HTTP."""

import base64
import io

import pytest
from PIL import Image

import imgsearch
from tests.service.running import jpeg


def test_uploaded_and_stored_images_are_compared(service, empty):
    one, other = service.add(3, 4, collection=empty)
    copy = jpeg(3)
    files = [("file", ("a.jpg", copy)), ("file", ("b.jpg", copy))]
    uploaded = service.http.post("/v1/compare", files=files, data={"collection": empty}).json()
    assert uploaded["verdict"] == "same"
    assert uploaded["score"] == pytest.approx(1, abs=1e-5)
    assert (uploaded["difference"], uploaded["threshold"], uploaded["near"]) == (None,) * 3
    body = {"one": {"id": one["id"]}, "other": {"id": other["id"]}, "collection": empty}
    stored = service.http.post("/v1/compare", json={**body, "difference": True}).json()
    assert stored["verdict"] == "different"
    hits = service.search(empty, id=one["id"])["hits"]
    assert stored["score"] == pytest.approx(hits[0]["score"], abs=1e-4)
    mixed = {**body, "other": {"image": base64.b64encode(copy).decode()}, "difference": True}
    same = service.http.post("/v1/compare", json=mixed).json()
    with Image.open(io.BytesIO(base64.b64decode(same["difference"]))) as difference:
        assert difference.format == "PNG"


def test_invalid_requests_get_problems(service, empty):
    def code(**content):
        response = service.http.post("/v1/compare", **content)
        return response.status_code, response.json()["code"]

    file = ("file", ("a.jpg", jpeg(3)))
    assert code(files=[file]) == (422, "file_missing")
    assert code(files=[file, file, file])[0] == 413
    assert code(files=[file, ("file", ("b", b"text"))]) == (415, "format_refused")
    assert code(content=b"x", headers={"Content-Type": "text/plain"})[0] == 415
    assert code(json={"one": {"id": "none"}, "other": {"id": "none"}}) == (404, "image_not_found")
    assert code(json={"one": {}, "other": {"id": "none"}})[0] == 422
    assert code(json={"one": {"image": "?"}, "other": {"image": "?"}}) == (422, "image_not_base64")


def test_client_compares_paths_and_pillow_images(service, empty, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(3))
    with imgsearch.Client(service.url, service.secrets["read"], collection=empty) as client:
        comparison = client.compare(path, Image.open(path))
    assert comparison.verdict == "same"
    assert comparison.score == pytest.approx(1, abs=1e-3)
