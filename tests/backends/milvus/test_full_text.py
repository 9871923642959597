"""Searches by words with Milvus' BM25: the requests, and real ones on milvus-lite.

No server of the tests has BM25. Milvus-lite has it with one tokenizer, which splits words that are
separated by spaces in the same way.
"""

import json

import numpy as np
import pytest
from pymilvus import DataType, FunctionType, MilvusClient
from pymilvus.client.prepare import Prepare

import imgsearch
from imgsearch import Field
from imgsearch.backends import connect
from imgsearch.backends.milvus import full_text
from imgsearch.backends.milvus.connection import Connection
from imgsearch.backends.word_search import Fusion
from imgsearch.library.keyword_search import KeywordSearch
from tests.pictures import picture

ROWS = [
    {"image": picture(0), "path": "IMG_2019.jpg", "label": "red buses", "year": 2019},
    {"image": picture(1), "path": "b.jpg", "label": "bus", "note": "東京の赤いバス"},
    {"image": picture(2), "path": "c.jpg", "label": "Käse", "year": 2019, "note": "red red"},
    {"image": picture(3), "path": "d.jpg"},
]


@pytest.fixture
def lite(monkeypatch):
    """Let embedded stores have BM25, as servers from 2.5 on do."""
    monkeypatch.setattr(Connection, "has_full_text", True)
    monkeypatch.setattr(full_text, "ANALYZER", {"tokenizer": "standard"})


def test_new_collection_has_words_and_a_function_of_them():
    columns = MilvusClient.create_schema(enable_dynamic_field=True)
    columns.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    full_text.add_columns(columns)
    request = Prepare.create_collection_request("bilder", columns)
    sent = type(Prepare.get_schema_from_collection_schema("x", columns))()
    sent.ParseFromString(request.schema)
    words, sparse = sent.fields[1:]
    params = {pair.key: pair.value for pair in words.type_params}
    assert (words.name, words.data_type) == ("imgsearch_words", DataType.VARCHAR)
    assert (params["max_length"], params["enable_analyzer"]) == ("65535", "true")
    assert json.loads(params["analyzer_params"]) == {"tokenizer": "whitespace"}
    assert (sparse.name, sparse.data_type) == ("imgsearch_bm25", DataType.SPARSE_FLOAT_VECTOR)
    assert sparse.is_function_output
    (function,) = sent.functions
    assert function.type == FunctionType.BM25
    assert list(function.input_field_names) == ["imgsearch_words"]
    assert list(function.output_field_names) == ["imgsearch_bm25"]


def test_search_sends_words_as_text():
    options = full_text.search_options(["red", "bus"])
    request = Prepare.search_requests_with_expr(
        "bilder",
        anns_field=options["anns_field"],
        param=options["search_params"],
        limit=3,
        data=options["data"],
        expr="year == 2019",
    )
    params = {pair.key: pair.value for pair in request.search_params}
    assert (params["anns_field"], params["metric_type"]) == ("imgsearch_bm25", "BM25")
    assert (params["topk"], request.dsl, request.nq) == ("3", "year == 2019", 1)
    assert b"red bus" in request.placeholder_group


def test_words_of_a_record_fit_in_the_column():
    assert full_text.words_column({"path": "IMG_1.jpg", "label": "Käse", "year": 3}) == (
        "img 1 jpg käse"
    )
    column = full_text.words_column({"text": " ".join(["ö" * 40] * 2_000)})
    assert len(column.encode()) in (65_534, 65_535)


def test_store_and_process_find_the_same_images(lite, tmp_path, monkeypatch):
    with imgsearch.open(str(tmp_path / "ü.db"), model="classic", fields={"year": int}) as library:
        assert library.add(ROWS).added == 4
        library.add([("e.jpg", picture(4)), ("f.jpg", picture(5))])
        results = {}
        for place in ("store", "process"):
            if place == "process":
                monkeypatch.setattr(KeywordSearch, "_native", lambda *_arguments: None)
            for query in ("red bus", "img 2019", "東京", "käse", "nothing", "bus."):
                for where in (None, "year = 2019"):
                    hits = library.search(query, mode="text", k=3, where=where)
                    results.setdefault((query, where), []).append([hit.path for hit in hits])
        assert all(first == second for first, second in results.values()), results
        assert set(results["red bus", None][0]) == {"IMG_2019.jpg", "b.jpg", "c.jpg"}
        assert results["東京", None][0] == ["b.jpg"]


def test_columns_are_hidden_and_follow_changes(lite, tmp_path):
    with imgsearch.open(str(tmp_path / "a.db"), model="classic") as library:
        library.add(ROWS[:1])
        (record,) = library
        assert set(record.fields) == {"path", "label", "year"}
        record = imgsearch.Record(record.id, np.ones(722), {**record.fields, "label": "grün"})
        library.collection.upsert([record])
        (hit,) = library.search("grün", mode="text")
        assert (hit.label, hit.score > 0, hit.distance) == ("grün", True, -hit.score)
        assert list(library.search("red", mode="text")) == []
        assert library.search("grün", mode="text", where=Field("path").glob("*.jpg"))[0].label
        assert library.remove("IMG_2019.jpg") + library.remove(record.id) >= 1
        assert list(library.search("grün", mode="text")) == []


def test_collection_without_the_columns_is_searched_in_the_process(tmp_path, monkeypatch):
    with imgsearch.open(str(tmp_path / "a.db"), model="classic") as library:
        library.add(ROWS[:2])
    monkeypatch.setattr(Connection, "has_full_text", True)
    with imgsearch.open(str(tmp_path / "a.db")) as library:
        assert library.collection.search_words(["bus"], k=3) is None
        assert len(library.search("jpg", mode="text")) == 2


def test_server_that_refuses_the_columns_gets_a_plain_collection(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Connection, "has_full_text", True)
    monkeypatch.setattr(full_text, "ANALYZER", {"tokenizer": "unknown"})
    with imgsearch.open(str(tmp_path / "ü.db"), model="classic") as library:
        assert library.add(ROWS[:2]).added == 2
        assert library.collection.search_words(["bus"], k=3) is None
        assert len(library.search("jpg", mode="text")) == 2
    assert "'images' has no full-text search, which the server refused" in caplog.text


def many_rows():
    """Return 110 images in three groups of words; more than a ranking of 100 holds."""
    labels = ("red bus", "blue bus at night", "Käfer 東京")
    return [
        {"image": picture(seed), "path": f"{seed:03d}.png", "label": labels[seed % 3], "year": seed}
        for seed in range(110)
    ]


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    """Return a library whose store has BM25, as servers from 2.5 on do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "has_full_text", True)
        patch.setattr(full_text, "ANALYZER", {"tokenizer": "standard"})
        url = str(tmp_path_factory.mktemp("fused") / "ü.db")
        with imgsearch.open(url, model="lite", fields={"year": int}) as library:
            assert library.add(many_rows(), progress=False).added == 110
            yield library


def joined(hits):
    return {hit.id: pytest.approx(hit.score, rel=1e-5) for hit in hits}


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (imgsearch.Query(picture(7)).plus("red bus"), {}),
        (imgsearch.Query(picture(7)).plus("red bus").minus("night"), {"where": "year >= 55"}),
        ("blue bus", {"where": "label = 'blue bus at night' and year < 20"}),
        ("東京", {"order_by": "-year"}),  # words that the encoder does not know
        (picture(3), {}),  # no words
    ],
)
@pytest.mark.filterwarnings("ignore::imgsearch.errors.TextWarning")
def test_store_and_process_fuse_the_same_images(fused, monkeypatch, query, options):
    """Equal scores have no order, so the last of `k` may differ; all are compared here."""
    by_store = fused.search(query, mode="hybrid", k=200, **options)
    monkeypatch.setattr(type(fused.collection), "fuses", False)
    in_process = fused.search(query, mode="hybrid", k=200, **options)
    assert len(by_store) == len(in_process)
    assert joined(by_store) == {hit.id: hit.score for hit in in_process}
    scores = [hit.score for hit in by_store]
    assert scores == sorted(scores, reverse=True) or "order_by" in options
    assert all(hit.distance == -hit.score for hit in by_store)
    assert {hit.id: hit.fields for hit in by_store} == {hit.id: hit.fields for hit in in_process}


def test_fused_search_is_one_request(fused, monkeypatch):
    calls = []
    call = type(fused.collection)._call

    def counted(self, method, *arguments, **options):
        calls.append((method, options.get("limit")))
        return call(self, method, *arguments, **options)

    monkeypatch.setattr(type(fused.collection), "_call", counted)
    query = imgsearch.Query(picture(7)).plus("red bus")
    hits = fused.search(query, mode="hybrid", k=3, offset=2)
    assert calls == [("hybrid_search", 5)]
    assert [hit.score for hit in hits] == [
        hit.score for hit in fused.search(query, mode="hybrid", k=5)[2:]
    ]


def test_search_that_the_store_cannot_fuse_is_fused_here(fused):
    query = imgsearch.Query(picture(7)).plus("red bus")
    nearest = fused.search(query, mode="hybrid", k=9, where=Field("path").glob("*4.png"))
    assert {hit.path[-5] for hit in nearest} == {"4"}
    scores = sorted(hit.score for hit in fused.search(query, k=110))
    some = fused.search(query, mode="hybrid", k=110, min_score=scores[-5])
    assert len(some) < len(fused.search(query, mode="hybrid", k=110))


def test_requests_have_both_fields_and_the_filter():
    fusion = Fusion(["red", "bus"], k=5, depth=100, rank_constant=60)
    params = {"metric_type": "COSINE", "params": {"ef": 200}}
    options = full_text.fusion_options(np.ones(2), "vector", params, fusion, "year == 2019")
    request = Prepare.hybrid_search_request_with_ranker(
        "bilder",
        [
            Prepare.search_requests_with_expr(
                "bilder", anns_field=part.anns_field, param=part.param, limit=part.limit,
                data=part.data, expr=part.expr,
            )
            for part in options["reqs"]
        ],
        options["ranker"],
        options["limit"],
    )  # fmt: skip
    by_vector, by_words = (
        {pair.key: pair.value for pair in part.search_params} for part in request.requests
    )
    assert (by_vector["anns_field"], by_vector["topk"]) == ("vector", "100")
    assert json.loads(by_vector["params"])["ef"] == 200
    assert (by_words["anns_field"], by_words["topk"]) == ("imgsearch_bm25", "100")
    assert {part.dsl for part in request.requests} == {"year == 2019"}
    ranking = {pair.key: pair.value for pair in request.rank_params}
    assert (ranking["strategy"], ranking["limit"]) == ("rrf", "5")
    assert json.loads(ranking["params"]) == {"k": 60}


@pytest.mark.parametrize("name", ["milvus"])
def test_server_without_full_text_is_fused_here(name, place_of):
    url, token = place_of(name)  # 2.3.5
    with (
        connect(url, token=token) as store,
        imgsearch.open(url, token=token, model="lite", collection="fused_here") as library,
    ):
        try:
            library.add(ROWS, progress=False)
            assert not library.collection.can_fuse()
            query = imgsearch.Query(picture(0)).plus("red bus")
            hits = library.search(query, mode="hybrid")
            rankings = library.search(query), library.search("red bus", mode="text")
            scores = [
                sum(1 / (61 + place) for ranking in rankings for place, other in enumerate(ranking)
                    if other.id == hit.id)
                for hit in hits
            ]  # fmt: skip
            assert [hit.score for hit in hits] == pytest.approx(scores)
            assert hits[0].path == "IMG_2019.jpg"
        finally:
            store.drop("fused_here")
