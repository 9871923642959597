"""Rankings of several encoders as one."""

import pytest

import imgsearch
from imgsearch.errors import ConfigError
from imgsearch.library.fusion import fused
from imgsearch.types import Hit
from tests.pictures import write


def ranking(**scores):
    return [Hit(name, score, 1 - score, {"from": str(score)}) for name, score in scores.items()]


def test_ranks_are_fused_by_hand():
    first, second = ranking(a=0.9, b=0.8, c=0.1), ranking(c=0.7, a=0.6)
    hits = fused([first, second])
    # a 1/61 + 1/62, c 1/63 + 1/61, b 1/62
    assert [hit.id for hit in hits] == ["a", "c", "b"]
    assert [hit.score for hit in hits] == pytest.approx([1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62])
    assert [hit["from"] for hit in hits] == ["0.9", "0.1", "0.8"]
    assert all(hit.distance == -hit.score for hit in hits)


def test_weights_and_scores_by_hand():
    first, second = ranking(a=0.9, b=0.5, c=0.1), ranking(c=3.0, a=1.0)
    # scaled: a 1, b 1/2, c 0 and c 1, a 0; with weights 1 and 3: c 3, a 1, b 1/2
    hits = fused([first, second], weights=[1, 3], method="score")
    assert [(hit.id, round(hit.score, 6)) for hit in hits] == [("c", 3), ("a", 1), ("b", 0.5)]
    same = fused([ranking(a=0.5, b=0.5)], method="score")
    assert [hit.score for hit in same] == [1, 1]
    assert fused([[], []], method="score") == []


@pytest.fixture
def pair(tmp_path):
    write(tmp_path, 8)
    with (
        imgsearch.open("memory://fused-1", model="classic") as one,
        imgsearch.open("memory://fused-2", model="lite") as two,
    ):
        for library in (one, two):
            if not library.exists():
                library.add(tmp_path)
        yield one, two, tmp_path


def test_two_encoders_have_one_ranking(pair):
    one, two, folder = pair
    query = sorted(folder.iterdir())[3]
    hits = imgsearch.search_fused([one, two], query, k=8)
    assert len({hit.id for hit in hits}) == 8
    assert hits[0].score == pytest.approx(2 / 61)
    ranks = {}
    for library in (one, two):
        for rank, hit in enumerate(library.search(query, k=8), 1):
            ranks[hit.id] = ranks.get(hit.id, 0) + 1 / (60 + rank)
    assert {hit.id: pytest.approx(hit.score) for hit in hits} == ranks
    assert imgsearch.search_fused([one, two], query, k=3, offset=2) == hits[2:5]
    filtered = imgsearch.search_fused([one, two], query, where={"path": hits[4].path})
    assert [hit.id for hit in filtered] == [hits[4].id]


def test_each_library_can_have_its_own_query(pair):
    one, two, folder = pair
    first, second = sorted(folder.iterdir())[:2]
    hits = imgsearch.search_fused([one, two], [first, second], weights=[1, 10], k=2)
    assert hits[0].id == two.search(second, k=1)[0].id
    text = imgsearch.search_fused([one, two], [first, "a dog"], method="score", k=1)
    assert len(text) == 1


def test_wrong_arguments_are_named(pair):
    one, two, folder = pair
    for arguments, message in (
        (([], "x.jpg"), "no libraries"),
        (([one, two], ["a", "b", "c"]), "3 queries for 2 libraries"),
    ):
        with pytest.raises(ConfigError, match=message):
            imgsearch.search_fused(*arguments)
    query = next(folder.iterdir())
    for options, message in (
        ({"weights": [1]}, "1 weights for 2"),
        ({"weights": [1, 0]}, "above 0"),
        ({"method": "sum"}, "invalid method"),
        ({"k": 0}, "k must"),
    ):
        with pytest.raises(ConfigError, match=message):
            imgsearch.search_fused([one, two], query, **options)
