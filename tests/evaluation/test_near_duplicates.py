"""Thresholds for near-duplicates: pools worked by hand, real copies, disjoint pools."""

import uuid

import pytest
from PIL import Image

import imgsearch
from imgsearch.encoders import load
from imgsearch.errors import EncoderMismatch, PrecisionUnreached
from imgsearch.evaluation.near_duplicates import calibrate, choose_threshold, pools
from imgsearch.evaluation.originals import Original, originals
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Hit
from tests.pictures import picture, write


def hits(**named):
    return [Hit(id_, score, 1 - score) for id_, score in named.items()]


def test_pools_match_values_worked_by_hand():
    samples = [
        Original("a", [0.9, 0.5], hits(ü=0.7, b=0.6, x=0.1)),  # chooses
        Original("b", [0.8, 0.4], hits(a=0.6, x=0.2)),  # checks
        Original("c", [], hits(x=0.3)),  # chooses
        Original("d", [], hits(a=0.2)),  # checks
    ]
    choosing, checking = pools(samples)
    # a's pair with b is b's, which checks: the other two weigh 3/2 each. Of two originals one was
    # changed, in two ways, so each change weighs 2 / (1 * 2)
    above = choosing.judge(0.65)
    assert above.precision == pytest.approx(1 / (1 + 1.5))
    assert above.recall == pytest.approx(1 / 2)
    assert above.queries == 2
    checked = checking.judge(0.5)  # 0.8 is right, the pair with a, 0.6, wrong
    assert checked.precision == pytest.approx(1 / (1 + 1))
    assert checked.pairs == 2


def test_no_pair_chooses_and_checks():
    """The nearest image is always the partner: on the choosing pairs every threshold is correct."""
    samples = [
        Original(f"n{place}", [0.9], hits(**{f"n{place ^ 1}": 0.5 + place // 2 / 1000}))
        for place in range(100)
    ]
    choosing, checking = pools(samples)
    assert choosing.judge(0.0).pairs == 50  # only the changes, because every partner checks
    assert checking.judge(0.0).pairs == 100


def changed(number, unclear):
    """Return originals with changes at 0.9, a wrong pair at 0.5, and some unclear pairs at 0.95."""
    return [
        Original(f"n{place}", [0.9], hits(x=0.5), unclear=hits(y=0.95) if place < unclear else ())
        for place in range(number)
    ]


def test_unclear_pairs_are_left_out_and_reported():
    choice = choose_threshold(changed(100, 4), precision=0.99)
    # every second original checks: 50 right pairs, and 2 unclear ones
    assert (choice.threshold, choice.checked.precision, choice.unclear) == (0.9, 1.0, 4)
    assert choice.cautious.precision == pytest.approx(50 / 52)


def test_too_many_unclear_pairs_rule_out_every_threshold():
    """With a quarter of unclear pairs 50 of 62.5 are correct, less than 0.9 times 0.99."""
    with pytest.raises(PrecisionUnreached) as refused:
        choose_threshold(changed(100, 25), precision=0.99)
    assert refused.value.wanted == pytest.approx(0.9 * 0.99)


def test_every_second_pair_is_a_copy_among_candidates():
    samples = [Original(f"n{place}", [0.9], hits(x=0.7, y=0.2)) for place in range(40)]
    calibration = choose_threshold(samples, precision=0.99)
    assert (calibration.threshold, calibration.candidates) == (0.9, 0.7)


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "fötos", 24)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path / "fötos")
        yield opened


@pytest.mark.long
def test_threshold_that_fails_its_check_is_rejected(library):
    """Smooth colors are as similar to each other as to their changed copies."""
    with pytest.raises(PrecisionUnreached, match=r"wanted precision 0\.9, checked 0\.4") as refused:
        calibrate(library.collection, load("classic"), precision=0.9)
    facts = refused.value
    assert facts.interval[0] <= facts.checked <= facts.interval[1] < facts.wanted == 0.9


@pytest.mark.long
def test_copies_in_the_library_are_not_wrong_pairs(library, tmp_path):
    encoder = load("classic")
    library.remove(*sorted((tmp_path / "fötos").iterdir())[6:])
    alone, unread = originals(library.collection, encoder)
    assert (sum(original.copies for original in alone), len(alone), unread) == (0, 6, 0)
    (tmp_path / "kopien").mkdir()
    for place in range(6):
        copy = TRANSFORMS["aspect_150"](picture(place))
        Image.fromarray(copy).save(tmp_path / f"kopien/{place}.png")
    library.add(tmp_path / "kopien")
    progress = []
    mixed = calibrate(
        library.collection, encoder, precision=0.9, on_progress=lambda *now: progress.append(now)
    )
    assert mixed.copies >= 10  # of 12, each image of a pair finds the other
    assert progress[-1] == ("comparing", 12, 12)
    assert mixed == calibrate(library.collection, encoder, precision=0.9)


def test_another_encoder_is_rejected(library):
    with pytest.raises(EncoderMismatch):
        calibrate(library.collection, load())
