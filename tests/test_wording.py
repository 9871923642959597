"""Numbers agree with their nouns, and similar names are suggested."""

import pytest

from imgsearch.wording import counted, did_you_mean


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
        (1, "labeled image", "1 labeled image"),
    ],
)
def test_counted_agrees_with_its_noun(number, noun, text):
    assert counted(number, noun) == text


def test_counted_accepts_an_irregular_plural():
    assert counted(1, "file is", "files are") == "1 file is"
    assert counted(3, "file is", "files are") == "3 files are"


def test_did_you_mean_ignores_case():
    assert did_you_mean("COSIN", ["cosine", "ip", "l2"]) == "; did you mean cosine?"
    assert did_you_mean("größe", ["cosine", "ip", "l2"]) == ""
    assert did_you_mean(5, ["cosine"]) == ""
