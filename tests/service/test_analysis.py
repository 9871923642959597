"""A service reads text in new images, and tags them, where its operator allows it."""

import io

import pytest
from PIL import Image, ImageDraw, ImageFont

from imgsearch import Client
from imgsearch.errors import AccessDenied, ConfigError, MissingExtra
from imgsearch.service import service as state
from tests.pictures import picture, write
from tests.service.running import jpeg, running
from tests.service.topologies import plain

LABELS = ["a dog", "a house; at night"]


@pytest.fixture(scope="module")
def allowing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis")
    photos = folder / "fotos"
    write(photos, 2)
    options = {"roots": (photos,), "allowed": ("ocr", "tags")}
    with running(plain(folder / "größe"), folder / "data", **options) as service:
        service.photos = photos
        yield service


def sign(words):
    """Return a JPEG with words on white."""
    image = Image.new("RGB", (420, 120), "white")
    ImageDraw.Draw(image).text((20, 40), words, "black", ImageFont.load_default(36))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def opened(service):
    return Client(service.url, service.secrets["write"], collection=service.collection())


def test_new_images_are_tagged(allowing):
    with opened(allowing) as client:
        client.add([("a.jpg", jpeg(1))], tags=LABELS, tag_top=1)
        (image,) = client
        assert image.fields["tags"] in ("a dog", "a house, at night")
        assert (
            len(client.search(picture(1), where={"tags": {"contains": image.fields["tags"]}})) == 1
        )
        stated = client.add([{"image": jpeg(2), "tags": "own"}], tags=LABELS, tag_top=2)
        assert stated.added == 1
        assert client.count("tags = own") == 1
        job = client.add_folder(str(allowing.photos), tags=LABELS, tag_top=2)
        assert job.wait(timeout=60).inserted == 2
        assert client.facets("tags")["a dog"] >= 2
        with pytest.raises(ConfigError):  # no threshold was measured
            client.add([("b.jpg", jpeg(3))], tags=LABELS)
        with pytest.raises(ConfigError):
            client.add([("b.jpg", jpeg(3))], tags=[])
        assert client.count() == 4


@pytest.mark.long
def test_text_in_new_images_is_found(allowing):
    pytest.importorskip("rapidocr")
    with opened(allowing) as client:
        client.add([("schild.jpg", sign("STREET 42")), ("bild.jpg", jpeg(4))], ocr=True)
        (hit,) = client.search("street", mode="text", k=1)
        assert (hit.path, "STREET" in hit["text"]) == ("schild.jpg", True)


def test_analysis_is_refused_unless_it_is_allowed(service, empty):
    with Client(service.url, service.secrets["write"], collection=empty) as client:
        for wanted, option in (({"ocr": True}, "--allow-ocr"), ({"tags": ["x"]}, "--allow-tags")):
            with pytest.raises(AccessDenied, match=option):
                client.add([("a.jpg", jpeg(1))], **wanted)
            with pytest.raises(AccessDenied, match=option):
                client.add_folder(str(service.photos), **wanted)
        assert not client.exists()


def test_missing_extra_is_named(allowing, monkeypatch):
    def missing(_self):
        raise MissingExtra("reading text needs rapidocr", extra="ocr", name="rapidocr")

    monkeypatch.setattr(state.Analysis, "check", missing)
    with opened(allowing) as client, pytest.raises(MissingExtra, match="extra 'ocr' is not"):
        client.add([("a.jpg", jpeg(1))], ocr=True)


def test_invalid_tags_are_refused(allowing):
    for tags in ("[", "{}", "[1]", '["' + "x" * 300 + '"]', "[" + '"a",' * 100 + '"b"]'):
        answer = allowing.http.post(
            "/v1/images", files={"file": ("a.jpg", jpeg(1))}, data={"tags": tags}
        )
        assert answer.status_code == 422, tags
    for wrong in ({"tags": []}, {"tags": ["a"], "tag_top": 0}, {"ocr": "yes"}):
        body = {"folder": str(allowing.photos), **wrong}
        assert allowing.http.post("/v1/jobs", json=body).status_code == 422, wrong
