"""Adding, listing, showing, changing and deleting images over HTTP."""

import hashlib

from tests.service.running import jpeg


def test_an_upload_is_listed_shown_and_found(service, empty):
    image, other = service.add(1, 2, collection=empty, label="größe", fields='{"year": 2024}')
    assert image["content"] == hashlib.sha256(jpeg(1)).hexdigest()
    assert (image["width"], image["height"], image["format"]) == (64, 48, "JPEG")
    assert (image["label"], image["fields"]) == ("größe", {"year": 2024})
    assert "place" not in image
    assert service.http.get(f"/v1/images/{image['id']}").json() == image
    assert service.http.get(image["original"]).content == jpeg(1)
    counted = service.http.get("/v1/count", params={"collection": empty}).json()
    assert counted == {"images": 2, "vectors": 2}
    hits = service.http.post(
        "/v1/search", files={"file": jpeg(2)}, data={"collection": empty, "k": "1"}
    ).json()["hits"]
    assert [hit["id"] for hit in hits] == [other["id"]]


def test_adding_again_adds_nothing_and_is_no_error(service, empty):
    upload = {"files": {"file": ("a.jpg", jpeg(1))}, "data": {"collection": empty}}
    assert service.http.post("/v1/images", **upload).status_code == 201
    again = service.http.post("/v1/images", **upload)
    assert (again.status_code, again.json()["new"]) == (200, 0)
    assert len(again.json()["images"]) == 1
