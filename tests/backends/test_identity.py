"""Detection of changes to an open collection, and the number of checks."""

from dataclasses import replace

import pytest

from imgsearch.backends import Index, Schema
from imgsearch.backends.identity import IdentityCheck, require_same
from imgsearch.errors import SchemaMismatch
from imgsearch.types import Fingerprint

SCHEMA = Schema(4, fields={"path": "str"}, encoder=Fingerprint("one", 4, weights="ab"))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"dim": 8}, "dimension: 4 before, 8 now"),
        ({"metric": "l2"}, "metric: cosine before, l2 now"),
        ({"fields": {"n": "int"}}, "fields: {'path': 'str'} before, {} now"),
        ({"fields": {"path": "int"}}, "fields: {'path': 'str'} before, {'path': 'int'} now"),
        ({"encoder": None}, "encoder: one before, none noted now"),
        ({"encoder": Fingerprint("one", 4, weights="cd")}, "encoder's weights: ab before, cd now"),
    ],
)
def test_collection_with_another_schema_is_rejected(other, difference):
    with pytest.raises(SchemaMismatch, match=f"{difference}.*Open it again"):
        require_same("images", SCHEMA, replace(SCHEMA, **other))


def test_collection_with_another_index_or_further_fields_is_accepted():
    require_same("images", SCHEMA, replace(SCHEMA, index=Index("flat")))
    require_same("images", SCHEMA, replace(SCHEMA, fields={"path": "str", "year": "int"}))


def test_schema_is_checked_at_every_write_and_after_our_own_drop():
    answers, reads, drops = ["old", "old", "old", "new"], [], 0

    def read():
        reads.append(answers[len(reads)])
        return reads[-1]

    def changed(*, now):
        identity._due = float("inf")  # the state after a slow check
        return identity.changed(now=now)

    identity = IdentityCheck(read, "old", drops=lambda: drops)
    assert not changed(now=False)
    assert reads == []
    assert not changed(now=True)
    assert not changed(now=True)
    drops = 1
    assert not changed(now=False)
    assert not changed(now=False)
    assert len(reads) == 3
    drops = 2
    assert changed(now=False)


def test_owner_is_checked_at_every_write_and_the_rest_now_and_then():
    identities, owners = [("ours", "hnsw")] * 2 + [("theirs", "hnsw")], ["ours", "theirs"]
    identity = IdentityCheck(
        lambda: identities.pop(0), ("ours", "hnsw"), drops=lambda: 0, owner=lambda: owners.pop(0)
    )
    assert not identity.changed(now=True)  # the first check is a full one
    identity._due = float("inf")
    assert not identity.changed(now=False)
    assert not identity.changed(now=True)
    assert (len(identities), owners) == (2, ["theirs"])
    identity._due = 0.0
    assert not identity.changed(now=True)  # a full check again
    identity._due = float("inf")
    assert identity.changed(now=True)
    assert (identities, owners) == ([], [])


def test_schema_is_checked_until_the_new_collection_is_accepted():
    identity = IdentityCheck(lambda: "new", "old", drops=lambda: 0)
    assert identity.changed(now=True)
    assert identity.changed(now=False)
    identity.accept("new")
    assert not identity.changed(now=False)
