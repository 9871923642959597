"""What is noticed of a collection that was created again, and how often the store is asked."""

from dataclasses import replace

import pytest

from imgsearch.backends import Index, Schema
from imgsearch.backends.identity import Identity, adopted
from imgsearch.errors import SchemaMismatch
from imgsearch.types import Fingerprint

SCHEMA = Schema(4, encoder=Fingerprint("one", 4, weights="ab"))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"dim": 8}, "dimension: 8 now, 4 before"),
        ({"metric": "l2"}, "metric: l2 now, cosine before"),
        ({"fields": {"n": "int"}}, "fields: {'n': 'int'} now, {} before"),
        ({"encoder": None}, "encoder: none noted now, one before"),
        ({"encoder": Fingerprint("one", 4, weights="cd")}, "encoder's weights: cd now, ab before"),
    ],
)
def test_collection_of_other_vectors_is_refused(other, difference):
    with pytest.raises(SchemaMismatch, match=f"{difference}.*Open it again"):
        adopted("images", SCHEMA, replace(SCHEMA, **other))


def test_collection_with_another_index_is_taken():
    rebuilt = replace(SCHEMA, index=Index("flat"))
    assert adopted("images", SCHEMA, rebuilt) is rebuilt


def test_store_is_asked_for_each_write_and_after_each_drop_of_our_own():
    answers, asked, drops = ["old", "old", "old", "new"], [], 0

    def read():
        asked.append(answers[len(asked)])
        return asked[-1]

    def changed(*, now):
        identity._due = float("inf")  # as right after a check that took long
        return identity.changed(now=now)

    identity = Identity(read, "old", drops=lambda: drops)
    assert not changed(now=False)
    assert asked == []
    assert not changed(now=True)
    assert not changed(now=True)
    drops = 1
    assert not changed(now=False)
    assert not changed(now=False)
    assert len(asked) == 3
    drops = 2
    assert changed(now=False)


def test_store_is_asked_until_the_other_collection_is_accepted():
    identity = Identity(lambda: "new", "old", drops=lambda: 0)
    assert identity.changed(now=True)
    assert identity.changed(now=False)
    identity.accept("new")
    assert not identity.changed(now=False)
