"""Two models' vectors of the same images, compared."""

import uuid

import numpy as np
import pytest

from imgsearch.backends import Index, Schema, connect
from imgsearch.errors import DatasetError
from imgsearch.evaluation.model_comparison import compare_models
from imgsearch.types import Record


@pytest.fixture
def store():
    with connect(f"memory://{uuid.uuid4().hex}") as opened:
        yield opened


def collection(store, name, angles, labels="aabb"):
    """Return a collection of unit vectors at these angles in degrees."""
    opened = store.create(name, Schema(2, "cosine", Index("flat"), {"path": "str", "label": "str"}))
    opened.upsert(
        Record(
            f"bild-{number}",
            np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], np.float32),
            {"path": "", "label": label},
        )
        for number, (angle, label) in enumerate(zip(angles, labels, strict=True))
    )
    return opened


def test_labels_and_agreement_are_worked_by_hand(store):
    """Former: 0 and 1, and 2 and 3 are neighbors. New: 0 and 2, and 1 and 3, so all are wrong.

    With k = 1 precision and recall of labels are 1 and 0, and no nearest image is the same.
    """
    former = collection(store, "alt", [0, 5, 90, 95])
    new = collection(store, "neu", [0, 90, 5, 95])
    comparison = compare_models(former, new, k=1)
    assert [(one.measure, one.first, one.second, one.n) for one in comparison.labels] == [
        ("precision@1", 1.0, 0.0, 4),
        ("recall@1", 1.0, 0.0, 4),
    ]
    assert (comparison.queries, comparison.agreement, comparison.same_nearest) == (4, 0.0, 0.0)
    assert comparison.copies is None  # the collections record no encoder, and have no files


def test_half_of_the_neighbors_agree(store):
    """Former neighbors of 0: 1 and 2. New: 1 and 3. So 0 agrees by half; see the others below."""
    former = collection(store, "alt", [0, 5, 11, 40], labels=["", "", "", ""])
    new = collection(store, "neu", [0, 5, 40, 11], labels=["", "", "", ""])
    comparison = compare_models(former, new, k=2)
    # 0: {1, 2} and {1, 3}, 1: {0, 2} and {0, 3}, 2: {1, 0} and {3, 1}, 3: {2, 1} and {1, 0}
    assert comparison.agreement == pytest.approx(0.5)
    # 0: 1 and 1, 1: 0 and 0, 2: 1 and 3, 3: 2 and 1
    assert comparison.same_nearest == pytest.approx(0.5)
    assert comparison.labels == ()


def test_one_shared_image_is_not_enough(store):
    former, new = collection(store, "alt", [0], "a"), collection(store, "neu", [0], "a")
    with pytest.raises(DatasetError, match="fewer than two images in common"):
        compare_models(former, new)
