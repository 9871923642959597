"""Thresholds for near-duplicates: pools by hand, real copies, no pair on both sides."""

import uuid

import pytest
from PIL import Image

import imgsearch
from imgsearch.encoders import load
from imgsearch.errors import DatasetError, EncoderMismatch
from imgsearch.evaluation.near_duplicates import Original, calibrate, pools
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Hit
from tests.pictures import picture, write


def hits(**named):
    return [Hit(id_, score, 1 - score) for id_, score in named.items()]


def test_the_pools_by_hand():
    found = [
        Original("a", [0.9, 0.5], hits(ü=0.7, b=0.6, x=0.1)),  # chooses
        Original("b", [0.8, 0.4], hits(a=0.6, x=0.2)),  # tells
        Original("c", [], hits(x=0.3)),  # chooses
        Original("d", [], hits(a=0.2)),  # tells
    ]
    choosing, telling = pools(found)
    # a's pair with b is b's, which tells: the other two weigh 3/2 each. Of two originals one was
    # changed, in two ways, so each change weighs 2 / (1 * 2)
    above = choosing.judge(0.65)
    assert above.precision == pytest.approx(1 / (1 + 1.5))
    assert above.recall == pytest.approx(1 / 2)
    assert above.queries == 2
    told = telling.judge(0.5)  # 0.8 is right, the pair with a, 0.6, wrong
    assert told.precision == pytest.approx(1 / (1 + 1))
    assert told.pairs == 2


def test_no_pair_chooses_and_tells():
    """Each image's nearest is its partner: told of the pairs that chose, no threshold errs."""
    found = [
        Original(f"n{place}", [0.9], hits(**{f"n{place ^ 1}": 0.5 + place // 2 / 1000}))
        for place in range(100)
    ]
    choosing, telling = pools(found)
    assert choosing.judge(0.0).pairs == 50  # the changes alone: each partner tells
    assert telling.judge(0.0).pairs == 100


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "fötos", 24)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path / "fötos")
        yield opened


def test_changed_copies_in_the_library_are_not_wrong_pairs(library, tmp_path):
    encoder = load("classic")
    alone = calibrate(library.collection, encoder, precision=0.9)
    assert (alone.copies, alone.unread, alone.changed) == (0, 0, 24)
    assert alone.chosen.precision >= 0.9
    (tmp_path / "kopien").mkdir()
    for place in range(24):
        copy = TRANSFORMS["jpeg_10"](picture(place))
        Image.fromarray(copy).save(tmp_path / f"kopien/{place}.png")
    library.add(tmp_path / "kopien")
    told = []
    mixed = calibrate(
        library.collection, encoder, precision=0.9, on_progress=lambda *now: told.append(now)
    )
    assert mixed.copies >= 44  # of 48, each of a pair finds the other
    assert mixed.checked.precision > 0.8
    assert told[-1] == ("comparing", 48, 48)
    assert mixed == calibrate(library.collection, encoder, precision=0.9)


def test_files_that_are_gone_are_counted(library, tmp_path):
    files = sorted((tmp_path / "fötos").iterdir())
    for file in files[:4]:
        file.unlink()
    seen = []
    found = calibrate(
        library.collection,
        load("classic"),
        precision=0.5,
        on_progress=lambda *now: seen.append(now),
    )
    assert found.unread == 4
    assert {stage: (done, total) for stage, done, total in seen} == {
        "changing": (20, 20),
        "comparing": (24, 24),
    }
    for file in files[4:21]:
        file.unlink()
    with pytest.raises(DatasetError, match="3 of 24 images could be read"):
        calibrate(library.collection, load("classic"))


def test_another_encoder_is_refused(library):
    with pytest.raises(EncoderMismatch):
        calibrate(library.collection, load("mini"))
