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
from imgsearch.backends.milvus import full_text
from imgsearch.backends.milvus.connection import Connection
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
