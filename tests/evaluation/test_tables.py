"""Tables of a run, with figures worked by hand."""

import math

import pytest

from imgsearch.evaluation import tables
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.results import judge
from imgsearch.types import Hit

LABELS = {
    "k1": frozenset({"katze"}),
    "k2": frozenset({"katze"}),
    "h1": frozenset({"hund"}),
    "h2": frozenset({"hund", "ñandú"}),
    "n1": frozenset({"ñandú"}),
}


def answer(query, label, own, ids):
    hits = [Hit(id_, 1 - 0.1 * rank, 0.1 * rank) for rank, id_ in enumerate(ids)]
    relevant = {id_ for id_, names in LABELS.items() if label in names}
    return judge(query, label, hits, relevant, k=2, own=own)


@pytest.fixture
def answers():
    return [
        answer("a.jpg", "katze", "x1", ["k1", "k2", "h1"]),  # both correct
        # itself excluded; then wrong, correct
        answer("b.jpg", "katze", "k1", ["k1", "h1", "k2"]),
        answer("c.jpg", "hund", "x2", ["k1", "h2"]),  # wrong, correct
        answer("d.jpg", "pferd", "x3", ["k1", "k2"]),  # no relevant image
    ]


@pytest.fixture
def measures(answers):
    return measure([query_answer.ranking for query_answer in answers], ks=(1, 2))


def test_query_in_the_gallery_is_excluded(answers):
    assert [hit.id for hit in answers[1].hits] == ["h1", "k2"]
    assert answers[1].ranking.relevant == 1


def test_queries_without_relevant_images_have_no_row(answers, measures):
    table = tables.per_query(answers, measures)
    assert table.index.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert table["relevant"].tolist() == [2, 1, 2]
    assert table["hit@1"].tolist() == [1, 0, 0]
    assert table["map@2"].tolist() == [1, 0.5, 0.25]


def test_classes_are_means_of_their_queries_worst_first(answers, measures):
    table = tables.per_class(answers, measures, seed=1)
    assert table.index.tolist() == ["hund", "katze"]
    assert table["queries"].tolist() == [1, 2]
    assert table["map@2"].tolist() == [0.25, 0.75]
    assert table["hit@1"].tolist() == [0, 0.5]
    assert math.isnan(table["low"]["hund"])
    assert table["low"]["katze"] == 0.5
    assert table["high"]["katze"] == 1


def test_confusion_counts_an_image_of_two_classes_in_parts(answers):
    table = tables.confusion(answers, LABELS)
    assert table.loc["katze"].to_dict() == {"hund": 0.25, "katze": 0.75, "pferd": 0, "ñandú": 0}
    assert table.loc["hund"].to_dict() == {"hund": 0.25, "katze": 0.5, "pferd": 0, "ñandú": 0.25}
    assert table.loc["pferd"]["katze"] == 1


def test_most_confused_pairs_come_first(answers):
    pairs = tables.confused(tables.confusion(answers, LABELS), most=3)
    assert list(pairs.itertuples(index=False, name=None)) == [
        ("pferd", "katze", 1.0),
        ("hund", "katze", 0.5),
        ("hund", "ñandú", 0.25),
    ]


def test_worst_queries_come_first(answers, measures):
    worst = tables.worst(answers, measures, most=2)
    assert [row.query for row in worst] == ["c.jpg", "b.jpg"]


def test_summary_has_means_and_intervals(measures):
    table = tables.summary(measures, dict.fromkeys(measures.metrics, (0.1, 0.9)))
    assert table.loc["map@2"].to_dict() == {
        "mean": pytest.approx(1.75 / 3),
        "low": 0.1,
        "high": 0.9,
    }
