"""Known weaknesses of other image-search services over HTTP, excluded here by tests."""

import contextlib
import json
import logging
import re
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from imgsearch.errors import BackendUnavailable
from imgsearch.service import Limits
from tests.pictures import write
from tests.service.running import jpeg, running
from tests.service.topologies import plain


def test_no_route_reads_a_file_by_its_path(service, empty):
    (image,) = service.add(1, collection=empty)
    secret = service.photos.parent / "secret.txt"
    secret.write_text("geheim")
    for path in (
        "/etc/hostname", "%2Fetc%2Fhostname", "..%2f..%2fetc%2fhostname", "....//etc/hostname",
        str(secret), f"{image['id']}%2F..%2F..%2Fcatalog.db", "%00",
    ):  # fmt: skip
        for route in ("/v1/images/{}", "/v1/images/{}/original", "/v1/images/{}/thumbnail"):
            answer = service.http.get(route.format(path))
            assert answer.status_code in (404, 422), (route, path)
            assert "geheim" not in answer.text
    hidden = service.http.get("/v1/images", params={"image_path": "/etc/hostname"})
    assert "place" not in hidden.text
    query = service.http.post("/v1/search", json={"text": str(secret), "collection": empty})
    assert "geheim" not in query.text  # a text that is a path stays a text


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/evil.jpg", "..\\..\\evil.jpg", "a\0b.jpg", "evil\r\nX: y.jpg"]
)
def test_file_name_is_never_used_as_a_path(service, empty, name):
    before = {path for path in service.photos.parent.rglob("*") if path.name.startswith("evil")}
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.encode().replace(b"\r\n", b"%0D%0A")
        + b'"\r\n\r\n' + jpeg(3) + b'\r\n--b\r\nContent-Disposition: form-data; name="collection"'
        + b"\r\n\r\n" + empty.encode() + b"\r\n--b--\r\n"
    )  # fmt: skip
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = service.http.post("/v1/images", content=body, headers=kind)
    if "\0" not in name:  # some versions of the parser reject NUL in a header
        assert answer.status_code == 201
    if answer.status_code == 201:
        (image,) = answer.json()["images"]
        assert "/" not in image["name"]
        assert "\\" not in image["name"]
        assert image["name"].isprintable()
        original = service.http.get(image["original"])
        assert original.content == jpeg(3)
        assert "evil\r\n" not in str(original.headers)
    assert not Path("/evil.jpg").exists()
    after = {path for path in service.photos.parent.rglob("*") if path.name.startswith("evil")}
    assert after == before


def test_urls_are_fetched_only_when_allowed_and_never_from_this_machine(service, tmp_path):
    for url in ("file:///etc/hostname", "http://127.0.0.1:1/a.jpg", "http://169.254.169.254/"):
        refused = service.http.post("/v1/jobs", json={"urls": [url]})
        assert (refused.status_code, refused.json()["code"]) == (403, "urls_not_allowed")
        query = service.http.post("/v1/search", json={"image": url})
        assert query.status_code == 422
        for route, body in (("search", {"url": url}), ("embed", {"items": [{"url": url}]})):
            query = service.http.post(f"/v1/{route}", json=body)
            assert (query.status_code, query.json()["code"]) == (403, "urls_not_allowed")
    with running(plain(tmp_path / "a"), tmp_path / "b", urls=True) as allowed:
        urls = ["file:///etc/hostname", "http://127.0.0.1:1/a.jpg", f"{allowed.url}/v1/live"]
        started = allowed.http.post("/v1/jobs", json={"urls": urls})
        assert started.status_code == 202
        job = allowed.finished(started.json())
        assert (job["failed"], job["inserted"]) == (3, 0)
        failures = allowed.http.get(f"/v1/jobs/{job['id']}/failures").json()["failures"]
        assert {line["code"] for line in failures} == {"url_refused"}
        for url in urls:
            query = allowed.http.post("/v1/embed", json={"items": [{"url": url}]})
            assert (query.status_code, query.json()["code"]) == (422, "url_refused")
            assert "127.0.0.1" not in query.json()["detail"]


def test_deletion_needs_a_key_and_an_exact_name(service, empty):
    images = [
        service.http.post(
            "/v1/images",
            files={"file": (f"{id_}.jpg", jpeg(number))},
            data={"collection": empty, "id": id_},
        ).json()["images"][0]
        for number, id_ in enumerate(("images", "count", "delete", "search"))
    ]
    stranger = service.client()
    assert stranger.delete(f"/v1/collections/{empty}?confirm={empty}").status_code == 401
    assert stranger.delete("/v1/images/images").status_code == 401
    assert service.client("read").delete("/v1/images/images").status_code == 403
    writer = service.client("write")
    assert writer.delete(f"/v1/collections/{empty}?confirm={empty}").status_code == 403
    assert service.http.delete(f"/v1/collections/{empty}").status_code == 422
    assert service.http.delete(f"/v1/collections/{empty}?confirm=images").status_code == 422
    left = len(images)
    for image in images:  # each image is read and deleted individually
        assert service.http.get(f"/v1/images/{image['id']}").json() == image
        assert service.http.delete(f"/v1/images/{image['id']}").status_code == 204
        left -= 1
        counted = service.http.get("/v1/count", params={"collection": empty}).json()
        assert counted == {"images": left, "vectors": left}
    for dots in (".", ".."):
        answer = service.http.post(
            "/v1/images", files={"file": jpeg(9)}, data={"collection": empty, "id": dots}
        )
        assert answer.status_code == 422


def test_debugger_is_disabled(service):
    assert service.app.debug is False
    for path in ("/console", "/?__debugger__=yes&cmd=resource&f=style.css", "/debug"):
        assert "debugger" not in service.http.get(path).text.lower()


def test_service_has_no_default_secret_and_shows_none(service, caplog):
    for secret in ("", "admin", "minioadmin", "changeme", "secret"):
        answer = service.client().get("/v1/images", headers={"X-API-Key": secret})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    secret = service.secrets["admin"]
    texts = [service.http.get(path).text for path in ("/v1/models", "/metrics", "/openapi.json")]
    texts += [repr(service.app), repr(service.archive), caplog.text]
    assert not any(secret in text for text in texts)
    stored = b"".join(
        path.read_bytes() for path in service.photos.parent.rglob("*") if path.is_file()
    )
    assert secret.split("_", 2)[2].encode() not in stored


def test_other_origins_are_rejected_and_bodies_are_bounded(service, empty, tmp_path):
    preflight = service.http.options(
        "/v1/images",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert not any(name.startswith("access-control") for name in preflight.headers)
    posted = service.http.post(
        "/v1/images", files={"file": jpeg(1)}, headers={"Origin": "https://evil.example"}
    )
    assert (posted.status_code, posted.json()["code"]) == (403, "origin_refused")
    rebound = service.http.get("/v1/live", headers={"Host": "evil.example"})
    assert (rebound.status_code, rebound.json()["code"]) == (421, "host_refused")
    small = Limits(file_bytes=3_000, files=2, body_bytes=20_000, json_bytes=5_000, pixels=10_000)
    with running(plain(tmp_path / "a"), tmp_path / "b", limits=small) as bounded:
        post = bounded.http.post
        large = post("/v1/images", files={"file": b"x" * 30_000})
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        kind = {"Content-Type": "application/json"}
        streamed = post("/v1/search", content=(b"x" * 1_000 for _ in range(30)), headers=kind)
        assert streamed.status_code == 413  # without a Content-Length
        one = post("/v1/images", files={"file": b"x" * 3_001})
        assert (one.status_code, one.json()["code"]) == (413, "limit_exceeded")
        three = post("/v1/images", files=[("file", b"x")] * 3)
        assert (three.status_code, three.json()["code"]) == (413, "limit_exceeded")
        pixels = post("/v1/images", files={"file": jpeg(1, size=(101, 100))})
        assert (pixels.status_code, pixels.json()["code"]) == (413, "image_too_large")
        assert post("/v1/images", files={"file": jpeg(1)}).status_code == 201


def test_responses_contain_no_exception_path_or_address(service, empty, caplog, monkeypatch):
    place = str(service.photos.parent)
    answers = [
        service.http.post("/v1/images", files={"file": (f"{place}/a.jpg", b"\xff\xd8\xff broken")}),
        service.http.post("/v1/jobs", json={"folder": f"{place}/nowhere"}),
        service.http.post("/v1/jobs", json={"folder": "/etc"}),
        service.http.post("/v1/search", json={"text": "a cat", "collection": "nowhere"}),
        service.http.get("/v1/images/unknown"),
        service.http.get("/v1/images", params={"after": "!"}),
        service.http.post("/v1/search", content=b"{", headers={"Content-Type": "application/json"}),
    ]
    assert {answer.status_code for answer in answers} <= {404, 422}
    # a folder outside the roots and a missing folder have the same message
    assert answers[1].json()["detail"] == answers[2].json()["detail"]

    def broken(*_):
        raise ZeroDivisionError(f"/etc/shadow at {place}, mysql://root@host")

    def away(*_):
        raise BackendUnavailable(f"milvus://user@10.0.0.1:19530 {place}")

    for fault, status in ((broken, 500), (away, 503)):
        with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
            patched.setattr(service.archive.catalog, "get", fault)
            answer = service.http.get("/v1/images/unknown")
            assert answer.status_code == status
            answers.append(answer)
        instance = answer.json()["instance"].rpartition(":")[2]
        assert instance == answer.headers["X-Request-ID"]
        assert instance in caplog.text  # the operator finds the error by the instance
    bodies = "".join(answer.text for answer in answers)
    for word in (
        place,
        "/etc",
        "Traceback",
        "DivisionError",
        "milvus://",
        "mysql",
        "10.0.0.1",
        ".py",
    ):
        assert word not in bodies, word


def test_only_images_are_accepted_under_any_name(service, empty):
    files = [
        ("file", ("notes.jpg", b"just text", "image/jpeg")),
        ("file", ("tool.exe", b"MZ\x90\0" + bytes(100), "image/png")),
        ("file", ("page.jpg", b"<svg onload='alert(1)'/>", "image/svg+xml")),
        ("file", ("real.txt", jpeg(1), "text/plain")),
    ]
    answer = service.http.post("/v1/images", files=files, data={"collection": empty})
    assert answer.status_code == 201
    body = answer.json()
    assert [image["name"] for image in body["images"]] == ["real.txt"]
    assert [line["name"] for line in body["failures"]] == ["notes.jpg", "tool.exe", "page.jpg"]
    assert {line["code"] for line in body["failures"]} == {"format_refused"}
    (service.photos / empty).mkdir()
    write(service.photos / empty, 2)
    (service.photos / empty / "readme.txt").write_text("text")
    (service.photos / empty / "tool.exe").write_bytes(b"MZ")
    started = service.http.post(
        "/v1/jobs", json={"folder": str(service.photos / empty), "collection": f"{empty}_f"}
    )
    job = service.finished(started.json())
    assert (job["state"], job["found"], job["inserted"]) == ("done", 2, 2)


def test_every_hit_has_its_own_score_despite_missing_and_double_rows(service, empty):
    images = service.add(*range(6), collection=empty)
    twin = service.http.post(
        "/v1/images", files={"file": ("twin.jpg", jpeg(2))}, data={"collection": empty}
    ).json()["images"][0]
    library = service.archive.library(empty).collection
    query = service.archive.vector(images[0]["id"])
    before = service.search(empty, terms=[{"id": images[0]["id"]}], k=10)["hits"]
    # equal contents are one hit with two references
    assert [hit["references"] for hit in before if hit["content"] == twin["content"]] == [2]
    assert len(before) == 6
    service.http.delete(f"/v1/images/{before[1]['id']}")
    service.archive.catalog.mark_deleting([before[3]["id"]])  # a row that is being deleted
    after = service.search(empty, terms=[{"id": images[0]["id"]}], k=10)["hits"]
    deleted = {before[1]["id"], before[3]["id"]}
    assert [hit["id"] for hit in after] == [hit["id"] for hit in before if hit["id"] not in deleted]
    service.archive.delete([before[3]["id"]])
    for hit in after:  # the oracle: the cosine of the vectors
        (stored,) = library.get([hit["content"]], vectors=True).values()
        assert hit["score"] == pytest.approx(float(np.dot(query, stored.vector)), abs=1e-4)


def test_loading_twice_adds_nothing_and_equal_names_stay_separate(service, empty):
    folder = service.photos / empty
    for place, number in (("a", 1), ("b", 2)):
        (folder / place).mkdir(parents=True)
        (folder / place / "same.jpg").write_bytes(jpeg(number))
    for new in (2, 0):
        started = service.http.post("/v1/jobs", json={"folder": str(folder), "collection": empty})
        job = service.finished(started.json())
        assert (job["state"], job["inserted"], job["skipped"]) == ("done", new, 2 - new)
    listed = service.http.get("/v1/images", params={"collection": empty}).json()["images"]
    assert [image["name"] for image in listed] == ["same.jpg", "same.jpg"]
    originals = {service.http.get(image["original"]).content for image in listed}
    assert originals == {jpeg(1), jpeg(2)}
    hits = service.search(empty, id=listed[0]["id"])["hits"]
    assert [hit["id"] for hit in hits] == [listed[1]["id"]]


def test_errors_have_their_status(service, empty):
    http = service.http
    for answer, status, code in (
        (http.get("/v1/images/unknown"), 404, "image_not_found"),
        (http.get("/v1/images/unknown/original"), 404, "image_not_found"),
        (http.get("/v1/jobs/unknown"), 404, "job_not_found"),
        (http.get("/v1/nothing"), 404, "route_not_found"),
        (http.get("/v1/collections/unknown"), 404, "collection_not_found"),
        (http.put("/v1/images"), 405, "method_not_allowed"),
        (http.get("/v1/search"), 405, "method_not_allowed"),
        (http.post("/v1/images", files={"file": b"text"}), 415, "format_refused"),
        (http.post("/v1/images", files={"file": b"\xff\xd8\xff\xe0"}), 422, "image_corrupt"),
        (http.post("/v1/images", json={}), 415, "media_type_unsupported"),
        (http.post("/v1/images", data={"a": "b"}), 415, "media_type_unsupported"),
        (http.post("/v1/images", files={"other": b"x"}), 422, "file_missing"),
        (http.post("/v1/search", content=b"a"), 415, "media_type_unsupported"),
        (http.post("/v1/search", json={}), 422, "invalid_request"),
        (http.post("/v1/search", json={"text": "a", "k": 0}), 422, "invalid_request"),
        (http.post("/v1/search", json={"text": "a", "k": "many"}), 422, "invalid_request"),
        (
            http.post("/v1/search", json={"text": "a", "collection": "unknown"}),
            404,
            "collection_not_found",
        ),
        (service.client().get("/v1/images"), 401, "access_denied"),
        (service.client("read").post("/v1/images"), 403, "scope_missing"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["detail"]
    assert "POST" in http.get("/v1/search").headers["Allow"]


def test_missing_original_is_not_a_server_error(service, empty):
    (image,) = service.add(1, collection=empty)
    service.archive.originals.delete(image["content"])
    answer = service.http.get(image["original"])
    assert (answer.status_code, answer.json()["code"]) == (404, "original_not_found")


def test_exceptions_in_handlers_do_not_end_the_service(service, monkeypatch):
    def leaving(*_):
        raise SystemError("as if all were lost")

    with monkeypatch.context() as patched:
        patched.setattr(service.archive.catalog, "get", leaving)
        assert service.http.get("/v1/images/unknown").status_code == 500
    assert service.http.get("/v1/live").json() == {"status": "ok"}
    source = Path(__file__).resolve().parents[2] / "imgsearch" / "service"
    # except the module that ends the process
    for file in set(source.glob("*.py")) - {source / "server.py"}:
        assert not re.search(r"sys\.exit|os\._exit|SystemExit", file.read_text()), file.name


@pytest.mark.long
def test_collections_stay_separate_and_progress_is_reported_during_a_load(service, empty):
    service.add(1, collection=empty)
    other = service.collection()
    service.add(2, collection=other)
    for name in (empty, other, empty):
        counted = service.http.get("/v1/count", params={"collection": name}).json()
        assert counted == {"images": 1, "vectors": 1}
    folder = service.photos / empty
    write(folder, 40, start=100, suffix=".jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    job = service.http.post(
        "/v1/jobs", json={"folder": str(folder), "collection": f"{empty}_f"}
    ).json()
    waits = []
    while True:
        start = time.monotonic()
        state = service.http.get(f"/v1/jobs/{job['id']}").json()
        waits.append(time.monotonic() - start)
        if state["state"] not in ("queued", "running"):
            break
    assert len(waits) > 5
    # the median, because other work delays single requests; `make soak` requires 0.1 s for each
    assert sorted(waits)[len(waits) // 2] < 0.25
    # the total includes a failed file
    assert (state["found"], state["inserted"], state["failed"]) == (41, 40, 1)
    assert state["state"] == "done"


def test_listings_are_ordered_and_bounded_and_scores_have_one_scale(service, empty):
    images = service.add(*range(7), collection=empty)
    seen, cursor = [], None
    while True:
        params = {"collection": empty, "limit": 3} | ({"after": cursor} if cursor else {})
        listing = service.http.get("/v1/images", params=params).json()
        assert (len(listing["images"]) <= 3, listing["total"]) == (True, 7)
        seen += listing["images"]
        if (cursor := listing["next"]) is None:
            break
    assert [image["id"] for image in seen] == [
        image["id"]
        for image in sorted(images, key=lambda image_: (image_["created"], image_["id"]))
    ]
    by_id = service.search(empty, terms=[{"id": images[0]["id"]}], k=3)["hits"]
    scores = [hit["score"] for hit in by_id]
    assert len(by_id) == 3
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1, abs=1e-4)
    assert all(hit["distance"] == pytest.approx(1 - hit["score"], abs=1e-4) for hit in by_id)
    above = service.search(empty, terms=[{"id": images[0]["id"]}], min_score=scores[1], k=7)
    assert [hit["id"] for hit in above["hits"]][:2] == [hit["id"] for hit in by_id[:2]]
    assert all(hit["score"] >= scores[1] - 1e-6 for hit in above["hits"])
    rest = service.search(empty, terms=[{"id": images[0]["id"]}], k=7, offset=3)["hits"]
    assert {hit["id"] for hit in by_id} | {hit["id"] for hit in rest} == {
        image["id"] for image in images
    }


def test_k_is_a_parameter_and_many_queries_are_one_request(service, empty):
    images = service.add(*range(4), collection=empty)
    queries = [{"id": images[0]["id"], "k": k} for k in (1, 3)]
    queries += [{"text": "a dog", "k": 2, "collection": empty}, {"id": "unknown"}]
    answer = service.http.post("/v1/search/batch", json={"queries": queries})
    assert answer.status_code == 200
    one, three, text, unknown = answer.json()["results"]
    assert [len(response["hits"]) for response in (one, three, text)] == [1, 3, 2]
    assert (unknown["status"], unknown["code"]) == (404, "image_not_found")


def test_uploads_leave_no_file_and_equal_names_stay_separate(service, empty, tmp_path, monkeypatch):
    ours, held = tmp_path / "temporary", nameless()
    ours.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(ours))  # other tests' kernels write into /tmp
    noisy = jpeg(1, size=(1200, 900)) + bytes(2_000_000)  # too large for the memory buffer
    upload = {"files": {"file": ("same.jpg", noisy)}, "data": {"collection": empty}}
    assert service.http.post("/v1/images", **upload).status_code == 201
    assert service.http.post("/v1/search", **upload).status_code == 200
    broken = {"files": {"file": ("same.jpg", bytes(3_000_000))}}
    assert service.http.post("/v1/images", **broken).status_code == 415
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    leaving, aborted = service.client("write"), left(service)
    with pytest.raises(httpx.ReadError):
        leaving.post("/v1/images", content=breaking_off(), headers=kind)
    leaving.close()
    for _ in range(2_000):  # the service reads the remaining bytes before it sees the end
        if left(service) > aborted:
            break
    assert left(service) == aborted + 1
    assert nameless() <= held
    assert not list(ours.iterdir())

    def send(number):
        file = {"file": ("gleich.jpg", jpeg(number))}
        service.http.post("/v1/images", files=file, data={"collection": empty})

    threads = [threading.Thread(target=send, args=(number,)) for number in (11, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    params = {"collection": empty, "text": "gleich"}
    listed = service.http.get("/v1/images", params=params).json()["images"]
    originals = {service.http.get(image["original"]).content for image in listed}
    assert originals == {jpeg(11), jpeg(12)}


def test_routes_match_the_document(service, empty):
    document = service.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    (image,) = service.add(1, collection=empty)
    search = document["paths"]["/v1/search"]["post"]["requestBody"]["content"]
    named = set(search["multipart/form-data"]["schema"]["properties"])
    values = {"collection": empty, "k": "1", "offset": "0", "min_score": "-1"}
    values |= {"where": json.dumps({"field": "label", "op": "==", "value": ""})}
    values |= {"hide_duplicates": "0.9", "effort": "64", "mode": "vector", "order_by": "label"}
    assert named == {"file", *values}
    answer = service.http.post("/v1/search", files={"file": jpeg(1)}, data=values)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == set(document["components"]["schemas"]["Hits"]["properties"])
    assert set(body["hits"][0]) == set(
        document["components"]["schemas"]["FoundImage"]["properties"]
    )
    assert body["hits"][0]["id"] == image["id"]
    unknown = service.http.post(
        "/v1/search", files={"file": jpeg(1)}, data={"collection": empty, "topk": "1"}
    )
    assert unknown.status_code == 422  # unknown parameters are not ignored


def breaking_off():
    """Yield part of a body, then break off."""
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    yield bytes(3_000_000)
    raise httpx.ReadError("the client goes away")


def left(service):
    """Return the number of aborted bodies, which are the only 400s of this route."""
    counted = 'imgsearch_requests_total{method="POST",route="/v1/images",status="400"} '
    lines = service.http.get("/metrics").text.splitlines()
    return sum(float(line.removeprefix(counted)) for line in lines if line.startswith(counted))


def nameless():
    """Return the unnamed files open in this process; pytest's own grow with the log."""
    sizes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in the meantime
            place = str(descriptor.readlink())
            if "deleted" in place:
                sizes.add(place)
    return sizes
