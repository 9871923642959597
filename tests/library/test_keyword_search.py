"""Searches by words, alone and with vectors; one suite for libraries and a client."""

import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch import Client, Query
from imgsearch.errors import ConfigError
from imgsearch.library import keyword_search
from imgsearch.types import Record
from tests.pictures import picture, write
from tests.service.running import running
from tests.service.topologies import plain


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    with running(plain(folder / "größe"), folder / "data") as service:
        yield service


@pytest.fixture(params=["library", "client"])
def images(request, tmp_path):
    write(tmp_path / "Fotos/red bus", 2)
    write(tmp_path / "Fotos/blue cars", 2, start=2)
    write(tmp_path / "Fotos/東京", 2, start=4)
    if request.param == "client":
        service = request.getfixturevalue("service")
        opened = Client(service.url, service.secrets["admin"], collection=service.collection())
    else:
        opened = imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite")
    with opened:
        opened.add(tmp_path / "Fotos")
        yield opened


def labels(hits):
    return [hit.label for hit in hits]


def test_words_find_labels(images):
    hits = images.search("a Red BUS!", mode="text")
    assert labels(hits) == ["red bus"] * 2
    assert hits[0].score >= hits[1].score > 0
    assert hits[0].distance == -hits[0].score
    assert labels(images.search("car", mode="text")) == ["blue cars"] * 2
    assert labels(images.search("京", mode="text", k=1)) == ["東京"]
    assert (
        labels(images.search("red cars", mode="text", where="label like 'b%'")) == ["blue cars"] * 2
    )
    assert labels(images.search("bus 東京", mode="text", order_by="-label")) == [
        *["東京"] * 2, *["red bus"] * 2,
    ]  # fmt: skip
    assert images.search("nothing", mode="text") == []
    everything = images.search("red bus cars", mode="text")
    page = images.search("red bus cars", mode="text", k=2, offset=1)
    assert [hit.id for hit in page] == [hit.id for hit in everything[1:3]]


def test_hybrid_fuses_both_rankings(images):
    query = Query(picture(3)).plus("red bus")
    nearest = [hit.id for hit in images.search(query)]
    by_words = [hit.id for hit in images.search("red bus", mode="text")]
    scores = {
        id_: sum(1 / (61 + ranking.index(id_)) for ranking in (nearest, by_words) if id_ in ranking)
        for id_ in nearest
    }
    hits = images.search(query, mode="hybrid")
    assert [hit.score for hit in hits] == pytest.approx(sorted(scores.values(), reverse=True))
    assert [hit.score for hit in hits] == pytest.approx([scores[hit.id] for hit in hits])
    assert len(images.search(picture(1), mode="hybrid", k=3)) == 3  # without words


@pytest.mark.filterwarnings("ignore::imgsearch.errors.TextWarning")
def test_words_that_the_encoder_does_not_know_are_compared(images):
    assert labels(images.search("qwertzu 東京", mode="hybrid", k=2)) == ["東京"] * 2
    assert labels(images.search("東京", mode="hybrid", k=2)) == ["東京"] * 2


def test_index_follows_additions_changes_and_removals(images, tmp_path):
    assert images.search("lighthouse", mode="text") == []
    write(tmp_path / "mehr/lighthouse", 1, start=9)
    images.add(tmp_path / "mehr")
    (hit,) = images.search("lighthouse", mode="text")
    images.remove(hit.id)
    assert images.search("lighthouse", mode="text") == []


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (picture(1), {"mode": "text"}),
        ("red", {"mode": "words"}),
        ("red", {"mode": "text", "min_score": 0.5}),
        ("red", {"mode": "hybrid", "hide_duplicates": True}),
    ],
)
def test_invalid_searches_raise(images, query, options):
    with pytest.raises(ConfigError):
        images.search(query, **options)


def test_changes_of_other_programs_are_seen_in_time(tmp_path, monkeypatch):
    name = f"memory://{uuid.uuid4().hex}"
    write(tmp_path / "cat", 1)
    with imgsearch.open(name, model="lite") as ours, imgsearch.open(name, model="lite") as other:
        ours.add(tmp_path / "cat")
        (hit,) = ours.search("cat", mode="text")
        vector = np.ones(384, np.float32)
        other.collection.upsert([Record(hit.id, vector, {**hit.fields, "label": "dog"})])
        assert ours.search("dog", mode="text") == []  # the number of records is the same
        now = keyword_search.monotonic()
        monkeypatch.setattr(keyword_search, "monotonic", lambda: now + 61)
        assert labels(ours.search("dog", mode="text")) == ["dog"]


def test_several_queries_are_searched_by_words(images):
    results = images.search_many(["bus", "car"], mode="text")
    assert [labels(hits) for hits in results] == [["red bus"] * 2, ["blue cars"] * 2]
