"""Reverse image search with Milvus, Towhee, MySQL and a web client, row by row."""

import shutil

import imgsearch
from tests.pictures import write
from tests.service.running import jpeg


def load(service, name, folder):
    """Add a folder of the server, and return the last state of its job."""
    answer = service.http.post("/v1/jobs", json={"folder": str(folder), "collection": name})
    assert answer.status_code == 202, answer.text
    return service.finished(answer.json())


def test_s3_1_original_is_shown_by_its_id_and_never_by_a_path(service, name):
    (image,) = service.add(1, collection=name)
    assert service.http.get(image["original"]).content == jpeg(1)
    assert service.http.get("/data", params={"image_path": "/etc/hostname"}).status_code == 404


def test_s3_2_3_6_7_17_load_progress_count_search_and_drop(service, name):
    folder = service.photos / name
    write(folder, 20)
    state = load(service, name, folder)
    assert (state["state"], state["found"], state["searchable"]) == ("done", 20, 20)
    counted = service.http.get("/v1/count", params={"collection": name})
    assert counted.json()["images"] == 20
    hits = service.http.post(
        "/v1/search", files={"file": jpeg(3)}, data={"collection": name, "k": "7"}
    ).json()["hits"]
    assert len(hits) == 7
    assert (
        service.http.delete(f"/v1/collections/{name}", params={"confirm": name}).status_code == 200
    )
    missing = service.http.delete(f"/v1/collections/{name}", params={"confirm": name})
    assert (missing.status_code, missing.json()["code"]) == (404, "collection_not_found")


def test_s3_4_upload_takes_a_file_and_urls_only_where_they_are_allowed(service, name):
    (image,) = service.add(1, collection=name)
    assert image["id"]
    refused = service.http.post(
        "/v1/jobs", json={"urls": ["http://127.0.0.1/a.jpg"], "collection": name}
    )
    assert refused.status_code == 202 or refused.status_code >= 400
    if refused.status_code == 202:
        assert service.finished(refused.json())["failed"] == 1


def test_s3_5_k_is_a_parameter(service, name):
    service.add(*range(12), collection=name)
    for k in (1, 10, 12):
        answer = service.http.post(
            "/v1/search", files={"file": jpeg(5)}, data={"collection": name, "k": str(k)}
        )
        hits = answer.json()["hits"]
        assert len(hits) == k
        assert [hit["score"] for hit in hits] == sorted(
            (hit["score"] for hit in hits), reverse=True
        )


def test_s3_13_suffixes_in_any_case_and_other_files_in_the_report(tmp_path, photos):
    source = photos / "train/goldfish/1.JPEG"
    for number, suffix in enumerate((".jpg", ".JPG", ".jpeg", ".JPEG")):
        shutil.copy(photos / f"train/goldfish/{number}.JPEG", tmp_path / f"a{suffix}")
    shutil.copy(source.parents[1] / "斗牛犬/8.JPEG", tmp_path / "B.PNG")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with imgsearch.open("memory://mission-formats", model="classic") as library:
        report = library.add(tmp_path)
        assert len(library) == 5
    assert [failure.path for failure in report.failures] == [str(tmp_path / "broken.jpg")]


def test_s3_19_voc_folder_is_added_as_it_is_unpacked(tmp_path):
    images = tmp_path / "VOCdevkit/VOC2012/JPEGImages"
    write(images, 4, suffix=".jpg")
    (tmp_path / "VOCdevkit/VOC2012/Annotations").mkdir()
    (tmp_path / "VOCdevkit/VOC2012/Annotations/x.xml").write_text("<annotation/>")
    with imgsearch.open("memory://mission-voc", model="classic") as library:
        report = library.add(tmp_path / "VOCdevkit/VOC2012/JPEGImages")
        assert (len(library), len(report.failures)) == (4, 0)
