"""Adding, listing, showing, changing and deleting images over HTTP."""

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from tests.service.running import jpeg


def test_upload_is_listed_shown_and_found(service, empty):
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


def test_list_is_filtered_and_sorted(service, empty):
    (cat,) = service.add(1, collection=empty, label="Кот")
    (dog,) = service.add(2, collection=empty, label="dog")
    service.http.patch(f"/v1/images/{dog['id']}", json={"fields": {"year": 2024}})

    def listed(**params):
        answer = service.http.get("/v1/images", params={"collection": empty, **params}).json()
        return [image["id"] for image in answer["images"]], answer["total"]

    assert listed(where="label = Кот") == ([cat["id"]], 1)
    assert listed(where='{"year": {">=": 2020}}') == ([dog["id"]], 1)
    assert listed(where="not year >= 2020") == ([cat["id"]], 1)
    assert listed(where="year is null and width > 0") == ([cat["id"]], 1)
    assert listed(where="year < x") == ([], 0)
    assert listed(order_by="-label") == ([cat["id"], dog["id"]], 2)  # Cyrillic is above Latin
    assert listed(order_by="label") == ([dog["id"], cat["id"]], 2)
    first = service.http.get(
        "/v1/images",
        params={"collection": empty, "where": "width > 0", "limit": 1, "order_by": "label"},
    ).json()
    rest = listed(where="width > 0", limit=1, order_by="label", after=first["next"])
    assert (first["images"][0]["id"], rest) == (dog["id"], ([cat["id"]], 2))
    assert listed(order_by="-year") == ([dog["id"], cat["id"]], 2)
    page = {"limit": 1, "order_by": "year"}
    first = service.http.get("/v1/images", params={"collection": empty, **page}).json()
    assert listed(after=first["next"], **page) == ([cat["id"]], 2)  # without a year
    for params, code in (
        ({"where": "label ="}, "filter_invalid"),
        ({"order_by": "year desc"}, ""),
        ({"order_by": "-yeer", "collection": empty}, ""),
    ):
        answer = service.http.get("/v1/images", params=params)
        assert answer.status_code == 422
        assert answer.json()["code"] in (code, "invalid_request")


def test_matching_images_are_counted(service, empty):
    service.add(1, 2, collection=empty, label="Кот")
    service.add(2, collection=empty, label="Кот", id="again-2")
    service.add(3, collection=empty)

    def counted(**params):
        return service.http.get("/v1/count", params={"collection": empty, **params}).json()

    assert counted() == {"images": 4, "vectors": 3}
    assert counted(where="label = Кот") == {"images": 3, "vectors": 2}
    assert counted(where='{"label": ""}') == {"images": 1, "vectors": 1}
    assert counted(where="label = x") == {"images": 0, "vectors": 0}
    wrong = service.http.get("/v1/count", params={"where": "label ="})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "filter_invalid")


def test_names_of_the_longest_kind_are_paged(service, empty):
    names = [letter * 255 for letter in "😀ä"]
    for number, name in enumerate(names):
        (image,) = service.add(number, collection=empty)
        service.http.patch(f"/v1/images/{image['id']}", json={"name": name})
    params = {"collection": empty, "limit": 1, "order_by": "-name"}
    first = service.http.get("/v1/images", params=params).json()
    rest = service.http.get("/v1/images", params={**params, "after": first["next"]}).json()
    assert [page["images"][0]["name"] for page in (first, rest)] == names


def test_pages_have_numbers(service, empty):
    names = [image["name"] for image in service.add(*range(5), collection=empty)]
    params = {"collection": empty, "limit": 2, "order_by": "name"}
    pages = [
        service.http.get("/v1/images", params={**params, "page": number}).json()
        for number in (1, 2, 3, 4)
    ]
    listed = [[image["name"] for image in page["images"]] for page in pages]
    assert listed == [sorted(names)[:2], sorted(names)[2:4], sorted(names)[4:], []]
    assert {page["total"] for page in pages} == {5}
    both = {**params, "page": 2, "after": pages[0]["next"]}
    refused = service.http.get("/v1/images", params=both)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert service.http.get("/v1/images", params={"page": 0}).status_code == 422
    far = service.http.get("/v1/images", params={"page": 90_000, "limit": 50})
    assert far.status_code == 422


def test_adding_again_succeeds_without_a_new_image(service, empty):
    upload = {"files": {"file": ("a.jpg", jpeg(1))}, "data": {"collection": empty}}
    assert service.http.post("/v1/images", **upload).status_code == 201
    again = service.http.post("/v1/images", **upload)
    assert (again.status_code, again.json()["new"]) == (200, 0)
    assert len(again.json()["images"]) == 1


def test_label_sent_again_replaces_the_old_one(service, empty):
    def add(**label):
        form = {"collection": empty, **label}
        answer = service.http.post(
            "/v1/images", files={"file": ("a.jpg", jpeg(1))}, data=form
        ).json()
        return answer["new"], answer["updated"], answer["images"][0]["label"]

    assert add(label="dog") == (1, 0, "dog")
    assert add(label="cafe\u0301") == (0, 1, "caf\u00e9")
    assert add() == (0, 0, "café")
    params = {"collection": empty, "label": "cafe\u0301"}
    assert service.http.get("/v1/images", params=params).json()["total"] == 1


def test_images_are_cached_by_content_and_never_executed(service, empty):
    name = 'Größe "1"; 图\r\nX: y.jpg'
    (image,) = service.http.post(
        "/v1/images", files={"file": (name, jpeg(1))}, data={"collection": empty}
    ).json()["images"]
    for path, size in ((image["original"], (64, 48)), (image["thumbnail"], (64, 48))):
        answer = service.http.get(path)
        assert Image.open(io.BytesIO(answer.content)).size == size
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        again = service.http.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        # an id may later belong to other content, so URLs without a version are revalidated
        plain = service.http.get(path.partition("?")[0])
        assert plain.headers["Cache-Control"] == "private, no-cache"
    original = service.http.get(image["original"])
    assert original.headers["Content-Type"] == "image/jpeg"
    disposition = original.headers["Content-Disposition"]
    assert disposition.startswith('inline; filename="Gr')
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe" in disposition
    assert disposition.count('"') == 2
    saved = service.http.get(image["original"], params={"download": True})
    assert saved.headers["Content-Disposition"].startswith("attachment; ")


def test_thumbnails_have_a_few_sizes(service, empty):
    (image,) = service.http.post(
        "/v1/images",
        files={"file": ("breit.jpg", jpeg(1, size=(900, 600)))},
        data={"collection": empty},
    ).json()["images"]
    for edge, size in ((64, (64, 43)), (512, (512, 341))):
        small = service.http.get(image["thumbnail"], params={"edge": edge})
        assert Image.open(io.BytesIO(small.content)).size == size
    assert service.http.get(image["thumbnail"], params={"edge": 65}).status_code == 422


def test_original_is_deleted_with_its_last_image(service, empty):
    one, other = (
        service.http.post(
            "/v1/images", files={"file": (name, jpeg(1))}, data={"collection": empty}
        ).json()["images"][0]
        for name in ("eins.jpg", "zwei.jpg")
    )
    assert one["content"] == other["content"]
    assert service.http.delete(f"/v1/images/{one['id']}").status_code == 204
    assert service.http.delete(f"/v1/images/{one['id']}").status_code == 404
    assert service.http.get(other["original"]).content == jpeg(1)
    many = service.http.post("/v1/images/delete", json={"ids": [other["id"], "unknown"]})
    assert many.json() == {"deleted": 1}
    counted = service.http.get("/v1/count", params={"collection": empty}).json()
    assert counted == {"images": 0, "vectors": 0}


def test_collection_is_shown_and_dropped_by_its_name(service, empty):
    service.add(1, 2, collection=empty)
    collection = service.http.get(f"/v1/collections/{empty}").json()
    assert (collection["images"], collection["model"], collection["metric"]) == (
        2,
        "lite",
        "cosine",
    )
    names = [listed["name"] for listed in service.http.get("/v1/collections").json()["collections"]]
    assert empty in names
    response = service.http.delete(f"/v1/collections/{empty}", params={"confirm": empty})
    assert response.json() == {"deleted": 2}
    assert service.http.get(f"/v1/collections/{empty}").status_code == 404


def test_given_id_is_unique(service, empty):
    def send(number):
        return service.http.post(
            "/v1/images",
            files={"file": ("a.jpg", jpeg(number))},
            data={"collection": empty, "id": f"{empty}-1"},
        )

    assert send(1).json()["images"][0]["id"] == f"{empty}-1"
    assert send(1).status_code == 200
    taken = send(2)
    assert (taken.status_code, taken.json()["code"]) == (409, "image_exists")


def test_service_reports_health_models_and_metrics(service, empty):
    service.add(1, collection=empty)
    health = service.http.get("/v1/health").json()
    parts = dict.fromkeys(("catalog", "originals", "encoder", "vectors"), "ok")
    assert health == {"status": "ok", "parts": parts}
    assert service.http.get("/v1/ready").json() == {"status": "ok"}
    models = service.http.get("/v1/models").json()
    assert models["default"] == "lite"
    (lite,) = (model for model in models["models"] if model["name"] == "lite")
    assert (lite["dim"], lite["texts"], lite["installed"]) == (384, True, True)
    metrics = service.http.get("/metrics").text
    for line in (
        'imgsearch_stage_seconds_count{stage="add"}',
        'imgsearch_stage_seconds_bucket{le="0.1",stage="receive"}',
        'imgsearch_images_total{outcome="new"}',
        'imgsearch_requests_total{method="POST",route="/v1/images",status="201"}',
    ):
        assert line in metrics
    assert empty not in metrics  # a metric label for each collection or id would grow without limit


def test_concurrent_equal_uploads_add_one_image(service, empty):
    start = threading.Barrier(8)

    def send(_number):
        start.wait(30)
        files = {"file": ("gleich ü.jpg", jpeg(77), "image/jpeg")}
        return service.http.post("/v1/images", files=files, data={"collection": empty})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert sum(answer.json()["new"] for answer in answers) == 1
    assert len({image["id"] for answer in answers for image in answer.json()["images"]}) == 1


def test_fields_are_declared_over_http(service, empty):
    path = f"/v1/collections/{empty}/fields"
    service.add(1, collection=empty)

    def sent(fields, scope="admin"):
        return service.client(scope).post(path, json={"fields": fields})

    assert sent({"year": "int"}, "write").status_code == 403
    answer = sent({"year": "int", "tags": "list"})
    fields = {"path": "str", "label": "str", "year": "int", "tags": "str"}
    assert (answer.status_code, answer.json()["fields"]) == (200, fields)
    assert sent({"year": "int"}).json()["fields"] == fields
    service.add(2, collection=empty, fields='{"year": 2024}')
    assert len(service.search(empty, text="a dog", where="year = 2024")["hits"]) == 1
    other = sent({"year": "str"})
    assert (other.status_code, other.json()["code"]) == (409, "schema_mismatch")
    assert "'year' is int there" in other.json()["detail"]
    for wrong, code in (
        ({}, "invalid_request"),
        ({"year": "date"}, "invalid_request"),
        ({"label": "str"}, "invalid_request"),
        ({"a b": "int"}, "field_invalid"),
        ({"x" * 65: "int"}, "invalid_request"),
        ({f"n{number}": "int" for number in range(33)}, "invalid_request"),
    ):
        answer = sent(wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, code), wrong
