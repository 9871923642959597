"""`imgsearch compare`: two images, their score, verdict and difference."""

import json

import pytest
from PIL import Image


@pytest.fixture
def pair(photos, tmp_path):
    one, other, *_ = sorted(file for file in photos.rglob("*.*") if file.is_file())
    copy = tmp_path / "kopie.webp"
    with Image.open(one) as image:
        image.convert("RGB").resize((96, 96)).save(copy, quality=70)
    return str(one), str(copy), str(other)


def test_copy_is_the_same_and_another_image_is_not(run, pair):
    one, copy, other = pair
    done = run("compare", one, copy, "--model", "classic")
    assert done.exit_code == 0, done.output
    assert "the same picture" in done.stdout
    assert "cosine of the embeddings" in done.stdout
    result = json.loads(run("compare", one, other, "--model", "classic", "--json").stdout)
    assert result["verdict"] == "different"
    assert result["distance"] == pytest.approx(1 - result["score"])
    assert (result["one"], result["other"]) == (one, other)


def test_page_and_difference_are_written(run, pair, tmp_path):
    page, difference = tmp_path / "page.html", tmp_path / "difference.png"
    words = ("--html", page, "--difference", difference)
    done = run("compare", *pair[:2], "--model", "classic", *words)
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 4
    assert "B laid over A" in text
    with Image.open(difference) as image, Image.open(pair[0]) as first:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", first.size)


def test_difference_needs_an_alignment(run, pair, tmp_path):
    plain, file = tmp_path / "plain.png", tmp_path / "difference.png"
    Image.new("RGB", (64, 64), "gray").save(plain)
    done = run("compare", pair[0], plain, "--model", "classic", "--difference", file)
    assert done.exit_code == 1
    assert "one is plain" in done.output
    assert not file.exists()


def test_library_gives_its_encoder(run, pair, db):
    result = json.loads(run("compare", *pair[:2], "--db", db, "--json").stdout)
    assert (result["verdict"], result["threshold"]) == ("same", None)
    missing = run("compare", pair[0], "nothing.jpg", "--db", db)
    assert missing.exit_code == 1
    assert "nothing.jpg" in missing.output
