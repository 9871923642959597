"""Text in images: read by the real models without a network, stored, and found by words."""

import io
import json
import socket
import uuid

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import imgsearch
from imgsearch import image_steps
from imgsearch.encoders import text_reader
from imgsearch.encoders.text_reader import TextReader
from imgsearch.errors import ConfigError, ImageError, MissingExtra
from imgsearch.pipelines import text_steps
from imgsearch.towhee import op
from tests.pictures import write


def sign(text):
    """Return an image of a text, PNG bytes."""
    image = Image.new("RGB", (640, 200), "white")
    ImageDraw.Draw(image).text((20, 60), text, fill="black", font=ImageFont.load_default(64))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def photos(tmp_path):
    write(tmp_path / "Schilder/größe", 1)
    (tmp_path / "Schilder/laden.png").write_bytes(sign("BAKERY Monday"))
    (tmp_path / "Schilder/kaputt.png").write_bytes(sign("x")[:99])
    return tmp_path / "Schilder"


@pytest.fixture
def library():
    with imgsearch.open(
        f"memory://{uuid.uuid4().hex}", model="classic", fields={"text": str}
    ) as opened:
        yield opened


def test_lines_are_read_from_top_to_bottom():
    image = Image.new("RGB", (640, 320), "white")
    drawing = ImageDraw.Draw(image)
    for top, text in ((40, "BAKERY"), (180, "closed today")):
        drawing.text((20, top), text, fill="black", font=ImageFont.load_default(64))
    assert TextReader().read(np.asarray(image)) == "BAKERY\nclosed today"
    assert TextReader().read(np.zeros((64, 64, 3), np.uint8)) == ""
    assert TextReader(1.0).read(np.asarray(image)) in ("", "BAKERY", "closed today")


def test_operator_takes_bytes_paths_and_pixels(tmp_path):
    (tmp_path / "laden.png").write_bytes(sign("BAKERY"))
    pixels = np.asarray(Image.open(tmp_path / "laden.png"))
    read = op("image_text")
    for image in (sign("BAKERY"), str(tmp_path / "laden.png"), pixels):
        assert read(image) == "BAKERY"
    with pytest.raises(ImageError, match="kaputt"):
        read(b"GIF89a", "kaputt.gif")


def test_text_in_images_is_found_by_words(library, photos):
    report = library.add(photos, ocr=True)
    assert (report.added, report.failed) == (2, 1)
    hits = library.search("bakery", mode="text")
    assert [(hit["text"], hit.path) for hit in hits] == [
        ("BAKERY Monday", str(photos / "laden.png"))
    ]
    assert library.count("text like 'BAKERY%'") == 1
    assert library.count("text is null") == 1
    assert library.add(photos, ocr=True).skipped == 2


@pytest.mark.parametrize("load", ["add", "sync"])
def test_text_in_known_images_is_read_once(library, photos, load):
    library.add(photos)
    report = getattr(library, load)(photos, ocr=True)
    assert (report.updated, report.failed, report.notes) == (
        (1, 1, ("2 images of the library were read again for text",))
    )
    assert [hit["text"] for hit in library.search("bakery", mode="text")] == ["BAKERY Monday"]
    report = getattr(library, load)(photos, ocr=True)
    assert (report.updated, report.failed, report.notes) == (0, 1, ())


def test_text_is_read_beside_own_steps(library, photos):
    own = image_steps().map("path", "folder", lambda path: path.split("/")[-2]).returning("folder")
    library.add(photos / "laden.png", pipeline=own, ocr=True)
    (record,) = library
    assert (record["folder"], record["text"]) == ("Schilder", "BAKERY Monday")
    assert text_steps(own).columns == ("folder", "text")


def test_command_reads_text(run, photos, tmp_path):
    db = tmp_path / "a.db"
    done = run("add", photos, "--db", db, "--ocr", "--json", "--model", "classic")
    assert json.loads(done.stdout)["added"] == 2, done.output
    done = run("search", "bakery", "--mode", "text", "--db", db, "--json")
    assert [hit["fields"]["text"] for hit in json.loads(done.stdout)] == ["BAKERY Monday"]
    for words in (("add", "--sync"), ("sync",)):
        again = run(*words, photos, "--db", db, "--ocr", "--json")
        assert json.loads(again.stdout)["unchanged"] == 2, again.output


def test_missing_package_and_invalid_score_are_named(library, photos, monkeypatch):
    with pytest.raises(ConfigError, match="min_score"):
        TextReader(2)
    monkeypatch.setattr(text_reader, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"\[ocr\]"):
        library.add(photos, ocr=True)
    assert len(library) == 0
