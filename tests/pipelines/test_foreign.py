"""Pipelines and operators on a collection without a recorded encoder."""

import numpy as np
import pytest

import imgsearch
from imgsearch.backends import FieldNames, Schema
from imgsearch.errors import EncoderMismatch, EncoderWarning, SchemaMismatch
from imgsearch.pipelines.auto import InsertConfig, SearchConfig, insert, search
from imgsearch.types import Record
from tests.pictures import write

URL = "memory://pipelines-foreign"


@pytest.fixture
def unmarked():
    dim = imgsearch.load_encoder().dim
    with imgsearch.connect(URL) as store:
        collection = store.create("images", Schema(dim, fields={"path": "str", "label": "str"}))
        collection.upsert([Record("theirs", np.ones(dim), {"path": "their.jpg"})])
        yield collection
        store.drop("images")


def test_insert_into_a_foreign_collection_is_rejected(unmarked, tmp_path):
    write(tmp_path, 1)
    with pytest.raises(SchemaMismatch, match="encoder: none noted there, lite asked for"):
        imgsearch.insert_pipeline(URL)(tmp_path)
    with pytest.raises(SchemaMismatch, match="none noted"):
        insert(InsertConfig(url=URL))(str(tmp_path))
    assert unmarked.count() == 1


def test_foreign_collection_is_searched_only_with_a_named_model(unmarked, tmp_path):
    write(tmp_path, 1)
    with pytest.raises(EncoderMismatch, match="Name that encoder"):
        imgsearch.search_pipeline(URL)(tmp_path)
    with pytest.raises(EncoderMismatch, match="Name that encoder"):
        search(SearchConfig(url=URL))(str(tmp_path))
    with pytest.warns(EncoderWarning, match="nothing vouches that 'lite' made"):
        rows = imgsearch.search_pipeline(URL, model="lite")(tmp_path)
    assert [hit.id for hit in rows[0]["hits"]] == ["theirs"]
    names = FieldNames(label="path")
    with pytest.warns(EncoderWarning):
        rows = imgsearch.text_search_pipeline(URL, model="lite", names=names)(["dog"])
    assert rows[0]["hits"][0].fields == {"label": "their.jpg"}
