"""Content-based image retrieval with Milvus and VGG, row by row."""

import shutil
import time

import numpy as np

import imgsearch
from tests.pictures import picture, write
from tests.service.running import jpeg


def test_s4_1_2_load_starts_at_once_and_its_progress_is_known(service, name):
    folder = service.photos / name
    files = write(folder, 3)
    answer = service.http.post("/v1/jobs", json={"folder": str(folder), "collection": name})
    assert answer.status_code == 202  # before the load
    assert service.finished(answer.json())["state"] == "done"
    assert all(file.exists() for file in files)
    unknown = service.http.get("/v1/jobs/none")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "job_not_found")


def test_s4_3_4_5_6_count_search_delete_and_files(service, name):
    images = service.add(1, 2, collection=name)
    counted = service.http.get("/v1/count", params={"collection": name}).json()
    assert counted["images"] == 2
    assert service.http.post("/v1/search", data={"collection": name}).status_code == 415
    assert service.http.post("/v1/search", json={"collection": name}).status_code == 422
    hits = service.http.post(
        "/v1/search", files={"file": jpeg(2)}, data={"collection": name, "k": "1"}
    ).json()["hits"]
    assert [hit["id"] for hit in hits] == [images[1]["id"]]
    original = images[0]["original"]
    service.http.delete(f"/v1/collections/{name}", params={"confirm": name})
    missing = service.http.get(original)
    assert missing.status_code == 404
    assert "not" in missing.json()["detail"] or missing.json()["code"]


def test_s4_9_equal_names_in_two_folders_stay_apart(tmp_path, photos):
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        shutil.copy(photos / f"train/goldfish/{number}.JPEG", tmp_path / folder / "same.jpg")
    with imgsearch.open("memory://mission-names", model="classic") as library:
        library.add(tmp_path)
        (hit,) = library.search(tmp_path / "b/same.jpg", k=1)
        assert hit.fields["path"] == str(tmp_path / "b/same.jpg")
        assert len(library) == 2


def test_s4_13_search_takes_less_than_a_second(library):
    library.search(picture(5), k=10)
    start = time.process_time()
    hits = library.search(np.asarray(picture(5)), k=10)
    assert time.process_time() - start < 1
    assert len(hits) == 10
