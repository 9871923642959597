"""The sample of originals: excluded copies and unclear pairs, wrong pages, missing files."""

import uuid

import pytest
from PIL import Image

import imgsearch
from imgsearch.encoders import load
from imgsearch.errors import DatasetError
from imgsearch.evaluation.originals import _Pixels, originals
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import page, picture, write


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "fötos", 24)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path / "fötos")
        yield opened


@pytest.mark.long
def test_similar_pages_are_wrong_pairs(tmp_path):
    """Their signatures are similar, but their words differ."""
    for place in range(4):
        Image.fromarray(page(place, (595, 842))).save(tmp_path / f"seite {place}.png")
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(tmp_path)
        samples, _ = originals(library.collection, load("classic"), sample=4)
    assert [original.copies for original in samples] == [0] * 4
    assert {len(original.others) for original in samples} == {3}
    assert not any(original.unclear for original in samples)


@pytest.mark.long
def test_unclear_pairs_are_neither_copies_nor_wrong(tmp_path):
    """Pages of 60 x 84 pixels are too small to read."""
    for place in range(4):
        small = Image.fromarray(page(place)).resize((60, 84), Image.Resampling.LANCZOS)
        small.save(tmp_path / f"klein {place}.png")
        Image.fromarray(page(place)).save(tmp_path / f"groß {place}.png")
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(tmp_path)
        samples, _ = originals(library.collection, load("classic"), sample=4)
    assert any(original.unclear for original in samples)
    for original in samples:
        assert not {hit.id for hit in original.others} & {hit.id for hit in original.unclear}


def test_text_bars_are_unclear(tmp_path):
    image = picture(3, (320, 240))
    for name, pixels in {
        "ö": image,
        "bars": TRANSFORMS["text_bars"](image),
        "page": page(1),
    }.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    original, bars, other = (str(tmp_path / f"{name}.png") for name in ("ö", "bars", "page"))
    pixels = _Pixels()
    assert pixels.verdict(original, bars) == pixels.verdict(bars, original) == "unclear"
    assert pixels.verdict(original, other) == "different"
    assert pixels.verdict(original, str(tmp_path / "missing.png")) is None


@pytest.mark.long
def test_missing_files_are_counted(library, tmp_path):
    files = sorted((tmp_path / "fötos").iterdir())
    for file in files[:4]:
        file.unlink()
    progress = []
    _, unread = originals(
        library.collection, load("classic"), on_progress=lambda *now: progress.append(now)
    )
    assert unread == 4
    assert {stage: (done, total) for stage, done, total in progress} == {
        "changing": (20, 20),
        "comparing": (24, 24),
    }
    for file in files[4:21]:
        file.unlink()
    with pytest.raises(DatasetError, match="3 of 24 images could be read"):
        originals(library.collection, load("classic"))
