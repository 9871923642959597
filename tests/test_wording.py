"""Numbers agree with their nouns, and names like a wrong one are offered."""

import pytest

from imgsearch.wording import counted, meant


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (1234, "query", "1,234 queries"),
        (2, "class", "2 classes"),
        (2, "near-duplicate", "2 near-duplicates"),
        (2, "day", "2 days"),
        (2, "batch", "2 batches"),
        (1, "labelled image", "1 labelled image"),
    ],
)
def test_a_number_agrees_with_its_noun(number, noun, text):
    assert counted(number, noun) == text


def test_other_plurals_are_given():
    assert counted(1, "file is", "files are") == "1 file is"
    assert counted(3, "file is", "files are") == "3 files are"


def test_near_names_are_offered_whatever_their_case():
    assert meant("COSIN", ["cosine", "ip", "l2"]) == "; did you mean cosine?"
    assert meant("größe", ["cosine", "ip", "l2"]) == ""
    assert meant(5, ["cosine"]) == ""
