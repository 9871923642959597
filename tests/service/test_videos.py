"""Videos over HTTP: uploads and jobs, searches by moment, and parts of the original."""

import io

import numpy as np
import pytest

from imgsearch import Client
from imgsearch.images import decode
from imgsearch.service import Limits
from tests.clips import COLORS, clip, picture
from tests.service.running import running
from tests.service.topologies import plain

HOSTILE = "<script>alert(1)</script>.mp4"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    films = folder / "films"
    films.mkdir()
    clip(films / "Käfer.mp4", colors=COLORS[:3])
    clip(films / "other.webm", seconds=2, codec="libvpx", colors=COLORS[3:])
    limits = Limits(video_bytes=200_000, file_bytes=100_000)
    with running(
        plain(folder / "größe"), folder / "data", roots=(films,), limits=limits
    ) as service:
        service.films = films
        yield service


@pytest.fixture
def collection(service):
    """Return the name of a collection with the two videos."""
    name = service.collection()
    job = service.http.post("/v1/jobs", json={"folder": str(service.films), "collection": name})
    assert job.status_code == 202, job.text
    state = service.finished(job.json())
    assert (state["inserted"], state["videos"], state["failed"]) == (5, 2, 0)
    return name


def upload(service, data, name="Käfer.mp4", **form):
    return service.http.post("/v1/videos", files=[("file", (name, data))], data=form)


def png(pixels):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_search_returns_a_video_at_its_best_moment(service, collection):
    answer = service.http.post(
        "/v1/search",
        files={"file": ("x.png", png(picture(20)))},
        data={"collection": collection, "k": "5"},
    ).json()
    first, second = answer["hits"]
    assert (first["name"], first["fields"]) == (
        "Käfer.mp4#t=2", {"video": "Käfer.mp4", "seconds": 2.0},
    )  # fmt: skip
    assert second["fields"]["video"] == "other.webm"
    every = service.search(collection, id=first["id"], where="video = Käfer.mp4")["hits"]
    assert sorted(hit["fields"]["seconds"] for hit in every) == [0.0, 1.0]
    thumbnail = decode(service.http.get(first["thumbnail"]).content)
    assert np.abs(np.median(thumbnail, (0, 1)) - COLORS[2]).max() < 12


def test_original_is_sent_in_parts(service, collection):
    [hit] = service.http.get(f"/v1/images?collection={collection}&limit=1").json()["images"]
    data = (service.films / "Käfer.mp4").read_bytes()
    whole = service.http.get(hit["original"])
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in whole.headers["content-security-policy"]
    assert whole.headers["cache-control"].startswith("private")
    assert whole.headers["content-disposition"].startswith("inline;")
    part = service.http.get(hit["original"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    assert part.headers["content-length"] == "100"
    tag = part.headers["etag"]
    for if_range, status in ((tag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=-5", "If-Range": if_range}
        assert service.http.get(hit["original"], headers=headers).status_code == status
    outside = service.http.get(hit["original"], headers={"Range": f"bytes={len(data)}-"})
    assert (outside.status_code, outside.json()["code"]) == (416, "range_unsatisfiable")
    assert outside.headers["content-range"] == f"bytes */{len(data)}"
    assert service.client().get(hit["original"]).status_code == 401  # without a key
    attached = service.http.get(hit["original"], params={"download": True})
    assert attached.headers["content-disposition"].startswith("attachment;")


def test_images_are_sent_in_parts_too(service):
    [image] = service.add(1, collection=service.collection())
    data = service.http.get(image["original"]).content
    part = service.http.get(image["original"], headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, data[:10])


def test_uploaded_video_is_added_listed_and_deleted(service):
    name = service.collection()
    data = (service.films / "Käfer.mp4").read_bytes()
    answer = upload(
        service, data, HOSTILE, collection=name, label="Insekt", frames="2",
        fields='{"year": 2024}',
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    state = service.finished(answer.json())
    assert (state["kind"], state["inserted"], state["videos"]) == ("upload", 2, 1)
    listed = service.http.get(f"/v1/videos?collection={name}").json()
    [video] = listed["videos"]
    assert (video["name"], video["frames"], video["size"]) == ("script>.mp4", 2, len(data))
    assert (video["label"], video["format"], listed["next"]) == ("Insekt", "MP4", None)
    assert service.http.get(video["original"]).content == data
    [page] = service.http.get(f"/v1/videos?collection={name}&limit=1").json()["videos"]
    more = service.http.get(f"/v1/videos?collection={name}&after={page['id']}").json()
    assert more["videos"] == []
    image = service.http.get(f"/v1/images?collection={name}").json()["images"][0]
    assert image["video_id"] == video["id"]
    changed = service.http.patch(f"/v1/images/{image['id']}", json={"fields": {"stars": 5}}).json()
    assert changed["fields"].keys() == {"stars", "video", "seconds"}
    assert service.http.delete(f"/v1/videos/{video['id']}").json() == {"deleted": 2}
    assert service.http.get(video["original"]).status_code == 404
    assert service.http.delete(f"/v1/videos/{video['id']}").json() == {"deleted": 0}


@pytest.mark.parametrize(
    ("data", "form", "status", "code"),
    [
        (b"<html><script>alert(1)</script>", {}, 415, "format_refused"),
        (b"", {}, 415, "format_refused"),
        (b"\0" * 200_001, {}, 413, "limit_exceeded"),
        (b"x", {"frames": "often"}, 422, "invalid_request"),
        (b"x", {"frames": "none"}, 422, "invalid_request"),
        (b"x", {"frames": "1" * 51}, 422, "invalid_request"),
        (b"x", {"fields": "["}, 422, "invalid_request"),
        (b"x", {"other": "1"}, 422, "invalid_request"),
        (b"x", {"ocr": "true"}, 403, "ocr_not_allowed"),
    ],
)
def test_unusable_uploads_are_refused(service, data, form, status, code):
    answer = upload(service, data, **form)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_damaged_upload_is_a_failure_of_its_job(service):
    data = (service.films / "Käfer.mp4").read_bytes()
    state = service.finished(upload(service, data[: len(data) // 2]).json())
    assert (state["inserted"], state["failed"]) == (0, 1)
    failures = service.http.get(f"/v1/jobs/{state['id']}/failures").json()["failures"]
    assert [failure["code"] for failure in failures] == ["image_corrupt"]


def test_upload_needs_the_right_to_write(service):
    assert service.client("read").post("/v1/videos", files={"file": b"x"}).status_code == 403
    assert service.client().get("/v1/videos").status_code == 401


def test_client_uploads_videos_and_their_frames_are_hits(service):
    failed = []
    with Client(service.url, service.secrets["admin"], collection=service.collection()) as client:
        report = client.add(service.films, on_failure=failed.append)
        assert (report.added, report.videos, report.failed) == (5, 2, 0)
        again = client.add(service.films / "Käfer.mp4")
        assert (again.added, again.skipped) == (0, 3)
        (service.films / "page.mp4").write_text("<script>")
        try:
            broken = client.add(service.films / "page.mp4")
        finally:
            (service.films / "page.mp4").unlink()
        assert [failure.error for failure in broken.failures] == ["FormatRefused"]
        hit = client.search(png(picture(20)), k=1)[0]
        assert (hit["video"], hit["seconds"]) == ("Käfer.mp4", 2.0)
        assert client.original(hit.id) == (service.films / "Käfer.mp4").read_bytes()
        assert sorted((video.name, video.frames) for video in client.videos()) == [
            ("Käfer.mp4", 3), ("other.webm", 2),
        ]  # fmt: skip
        assert client.remove(hit["video_id"]) == 3
        assert client.facets("video") == {"other.webm": 2}
        job = client.add_folder(str(service.films), frames="2").wait()
        assert (job.inserted, job.videos) == (3, 2)


def test_limited_key_reaches_the_videos_of_its_collections_only(service, collection):
    from imgsearch.archive.access import Keys

    own = service.collection()
    secret = Keys(service.archive.catalog).create("limited", ["write"], collections=[own])[1]
    client = service.client()
    client.headers["Authorization"] = f"Bearer {secret}"
    [video, _] = service.http.get(f"/v1/videos?collection={collection}").json()["videos"]
    assert client.get(f"/v1/videos?collection={collection}").status_code == 403
    assert client.get(video["original"]).status_code == 404
    assert client.delete(f"/v1/videos/{video['id']}").json() == {"deleted": 0}
    data = (service.films / "Käfer.mp4").read_bytes()
    answer = client.post("/v1/videos", files={"file": ("x.mp4", data)}, data={"collection": own})
    assert answer.status_code == 202, answer.text
    assert service.finished(answer.json())["inserted"] == 3
