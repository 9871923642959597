"""Verification: verdicts on pairs of files, and their counts."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.evaluation.verification import Verification
from imgsearch.images.sources import content_id
from imgsearch.library.duplicates import Member
from tests.pictures import page, picture


@pytest.fixture
def member(tmp_path):
    """Return a function that writes a picture and returns it as a group member."""

    def member(name, pixels):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        return Member(content_id(path.read_bytes()), 0.9, {"path": str(path)})

    return member


def test_verification_counts_its_verdicts(member):
    one, other = member("seite", page(1)), member("andere", page(2))
    copy = member("kopie", np.ascontiguousarray(page(1)[::-1]))
    missing = Member("0" * 64, 0.8, {"path": "/nowhere.png"})
    look = Verification()
    verdicts = [look(one, other_member, near=True) for other_member in (copy, other, missing)]
    look.pass_over(3)
    assert verdicts == [True, False, None]
    assert look.counts.to_dict() == {
        "same": 1, "different": 1, "unclear": 0, "unread": 1, "skipped": 3
    }  # fmt: skip
    assert look.counts.unverified == 5
    assert [pair.verdict for pair in look.unverified] == ["different", "unread"]
    assert look.unverified[0].to_dict()["other"]["id"] == other.id


def test_file_that_changed_since_it_was_added_is_unread(member):
    before = member("bild", page(1))
    member("bild", page(2))
    look = Verification()
    assert look(before, member("kopie", page(1)), near=True) is None
    assert "changed since it was added" in look.unverified[0].reason


def test_candidates_count_only_if_they_may_be_the_same(member):
    one, other = member("seite", page(1)), member("bild", picture(2))
    copy = member("kopie", TRANSFORMS["flip"](page(1)))
    bars = member("bedeckt", TRANSFORMS["text_bars"](picture(2)))
    missing = Member("0" * 64, 0.8, {"path": "/nowhere.png"})
    look = Verification()
    pairs = [(one, copy), (one, other), (other, bars), (one, missing)]
    assert [look(*pair, near=False) for pair in pairs] == [True, False, False, None]
    assert {name: number for name, number in look.counts.to_dict().items() if number} == {
        "same": 1, "unclear": 1
    }  # fmt: skip
    assert [pair.verdict for pair in look.unverified] == ["unclear"]
