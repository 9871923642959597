"""Near-duplicates: groups without chains and hits without repetition, worked by hand."""

import math
import uuid

import numpy as np
import pytest

from imgsearch.backends import Schema, connect
from imgsearch.errors import ConfigError
from imgsearch.filters import Field
from imgsearch.library.duplicates import distinct, groups, scores, search_distinct
from imgsearch.query import SearchOptions
from imgsearch.types import MAX_K, Record

FIELDS = {"path": "str"}


def turned(degrees):
    """Return the unit vector at an angle. The score of two is the cosine of their difference."""
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)


@pytest.fixture(params=["cosine", "l2", "ip"])
def circle(request):
    """Return a function that creates a collection of named images at angles."""
    with connect(f"memory://{uuid.uuid4().hex}") as store:

        def create(**angles):
            if "bilder" in store.names():
                store.drop("bilder")
            collection = store.create("bilder", Schema(2, request.param, fields=FIELDS))
            collection.upsert(
                Record(name, turned(angle), {"path": f"ü/{name}.jpg"})
                for name, angle in angles.items()
            )
            return collection

        yield create


def as_ids(duplicates):
    return [(group.kept.id, [other.id for other in group.others]) for group in duplicates]


NEAR = math.cos(math.radians(11))  # ten degrees apart are near, twenty are not


def test_groups_hold_images_near_the_kept_one(circle):
    collection = circle(a=0, b=8, c=90, d=180, e=185, f=188)
    duplicates = groups(collection, NEAR)
    assert as_ids(duplicates) == [("d", ["e", "f"]), ("a", ["b"])]  # d, e and f are near each other
    assert duplicates[0].others[0].score == pytest.approx(math.cos(math.radians(5)), abs=1e-6)
    assert duplicates[0].others[0].fields == {"path": "ü/e.jpg"}


class Look:
    """A second look with given results by pair, "ab"; all other pairs are the same picture."""

    def __init__(self, **results):
        self.results, self.compared, self.passed_over = results, [], 0

    def __call__(self, kept, other, *, near):
        pair = "".join(sorted((kept.id, other.id)))
        self.compared.append(pair if near else f"{pair}?")
        return self.results.get(pair, True)

    def pass_over(self, pairs):
        self.passed_over += pairs


def test_second_look_ends_after_eight_different_pictures(circle):
    collection = circle(**{name: place for place, name in enumerate("abcdefghijk")})
    look = Look(**{f"a{name}": False for name in "bcdefghijk"})
    # a differs from its eight nearest, so j and k are skipped; then b is kept with all others
    assert as_ids(groups(collection, NEAR, second_look=look)) == [("b", list("cdefghijk"))]
    assert look.passed_over == 2
    assert look.compared == [*(f"a{name}" for name in "bcdefghi"), *(f"b{x}" for x in "cdefghijk")]


def test_candidates_below_the_threshold_are_grouped_if_they_are_the_same(circle):
    collection = circle(a=0, b=8, c=30, d=55, e=80, f=100)
    look = Look(cd=False, de=None)
    candidates = math.cos(math.radians(26))
    duplicates = groups(collection, NEAR, candidates=candidates, second_look=look, unread=True)
    # a and b are near; c is 22 degrees from b, but joins only by a verified pair with the kept
    # image a, which is 30 degrees from it. Of d and e one cannot be read, which is not enough
    assert as_ids(duplicates) == [("a", ["b"]), ("e", ["f"])]
    assert look.compared == ["ab", "cd?", "de?", "ef?"]
    assert [other.verified for group in duplicates for other in group.others] == [True, True]


def test_candidates_without_a_second_look_are_not_grouped(circle):
    collection = circle(a=0, b=8, c=26)
    duplicates = groups(collection, NEAR, candidates=math.cos(math.radians(26)))
    assert as_ids(duplicates) == [("a", ["b"])]


def test_unread_images_are_grouped_only_on_request(circle):
    collection = circle(a=0, b=5, c=8)
    look = Look(ab=None)
    (group,) = groups(collection, NEAR, second_look=look)
    assert [(other.id, other.verified) for other in group.others] == [("c", True)]
    (group,) = groups(collection, NEAR, second_look=look, unread=True)
    assert [(other.id, other.verified) for other in group.others] == [("b", False), ("c", True)]


def test_chain_does_not_become_one_group(circle):
    # a-b-c-d-e at ten degrees: b, c and d have two near ones each, b comes first and takes a and
    # c; d is no more than twenty from b, so it stays, with e
    collection = circle(a=0, b=10, c=20, d=30, e=40)
    duplicates = groups(collection, NEAR)
    assert as_ids(duplicates) == [("b", ["a", "c"]), ("d", ["e"])]
    for group in duplicates:
        assert all(other.score >= NEAR for other in group.others)


def test_image_with_the_shorter_path_is_kept(circle):
    assert as_ids(groups(circle(bild_kopie=0, bild=1), NEAR)) == [("bild", ["bild_kopie"])]


def test_group_larger_than_the_first_search_is_complete(circle):
    collection = circle(**{f"n{place:03d}": place / 100 for place in range(100)}, z=90)
    seen = []
    (group,) = groups(collection, NEAR, on_progress=lambda *now: seen.append(now))
    assert (group.kept.id, len(group.others)) == ("n000", 99)
    assert seen[-1] == (101, 101)


def test_groups_are_the_same_in_any_order_of_writing(circle):
    angles = {f"n{place}": float(angle) for place, angle in enumerate(range(0, 300, 7))}
    first = as_ids(groups(circle(**angles), NEAR))
    backwards = circle(**dict(reversed(angles.items())))
    assert as_ids(groups(backwards, NEAR)) == first


def test_only_the_nearest_of_near_hits_is_returned_up_to_k(circle):
    copies = {f"kopie{place:02d}": 1 + place / 10 for place in range(40)}
    collection = circle(original=0, **copies, far=60, farther=70, farthest=80)
    hits = search_distinct(collection, turned(0), SearchOptions(k=3), threshold=NEAR)
    # every copy is nearer than eleven degrees; then comes 60, and 70 is only ten degrees from it
    assert [hit.id for hit in hits] == ["original", "far", "farthest"]
    page = search_distinct(collection, turned(0), SearchOptions(k=1, offset=1), threshold=NEAR)
    assert [hit.id for hit in page] == ["far"]
    assert len(search_distinct(collection, turned(0), SearchOptions(k=20), threshold=NEAR)) == 3
    some = search_distinct(
        collection,
        turned(0),
        SearchOptions(k=3, where=Field("path") != "ü/original.jpg"),
        threshold=NEAR,
    )
    assert [hit.id for hit in some] == ["kopie00", "far", "farthest"]
    high = search_distinct(collection, turned(0), SearchOptions(k=3, min_score=0.9), threshold=NEAR)
    assert [hit.id for hit in high] == ["original"]


def test_only_returned_hits_hide_others(circle):
    collection = circle(a=0, b=10, c=20)
    hits = collection.search(turned(0)[None], k=3)[0]
    # a hides b; c is near b, which is hidden, and not near a
    assert [hit.id for hit in distinct(collection, hits, threshold=NEAR)] == ["a", "c"]
    collection.delete(["a"])  # between the search and the comparison of its hits
    assert [hit.id for hit in distinct(collection, hits, threshold=NEAR)] == ["b"]


def test_invalid_k_raises(circle):
    collection = circle(a=0)
    for options in ({"k": 0}, {"offset": -1}, {"k": MAX_K, "offset": 1}):
        with pytest.raises(ConfigError):
            search_distinct(collection, turned(0), SearchOptions(**options), threshold=0.9)


def test_groups_and_distinct_hits_in_every_store(bench):
    collection = bench.collection(dim=2, index="hnsw", fields=FIELDS)
    angles = {"ä": 0, "b": 10, "c": 19, "d": 28, "e": 38, "f": 90}
    collection.upsert(Record(name, turned(angle), {"path": name}) for name, angle in angles.items())
    collection.flush()
    assert as_ids(groups(collection, NEAR)) == [("b", ["c", "ä"]), ("d", ["e"])]
    hits = search_distinct(collection, turned(-1), SearchOptions(k=3), threshold=NEAR)
    assert [hit.id for hit in hits] == ["ä", "c", "e"]


def test_whole_images_are_compared_not_regions():
    fields = dict.fromkeys((*FIELDS, "image", "box", "object"), "str")
    parts = [  # the regions of a and b are similar, but not the images; the images a and c are
        ("a", "a", "", 0), ("a#1", "a", "0,0,9,9", 50), ("b", "b", "", 100),
        ("b#1", "b", "0,0,9,9", 51), ("c", "c", "", 1), ("c#1", "c", "0,0,9,9", 150),
    ]  # fmt: skip
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        collection = store.create("bilder", Schema(2, fields=fields))
        collection.upsert(
            Record(id_, turned(angle), {"path": f"{image}.jpg", "image": image, "box": box})
            for id_, image, box, angle in parts
        )
        assert as_ids(groups(collection, NEAR)) == [("a", ["c"])]
        hits = search_distinct(collection, turned(50), SearchOptions(k=3), threshold=NEAR)
        assert [hit.id for hit in hits] == ["a#1", "b#1"]


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_scores_agree_with_a_search(metric):
    vectors = np.random.default_rng(5).normal(size=(20, 6)).astype(np.float32)
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        collection = store.create("x", Schema(6, metric))
        collection.upsert(Record(f"é{place}", vector) for place, vector in enumerate(vectors))
        by_id = {hit.id: hit.score for hit in collection.search(vectors[:1], k=20)[0]}
    expected = [by_id[f"é{place}"] for place in range(20)]
    np.testing.assert_allclose(scores(metric, vectors, vectors[0]), expected, atol=1e-5)
