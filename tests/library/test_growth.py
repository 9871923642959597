"""Advice to move a large collection from the embedded store to a server."""

import json
import logging
import re

import numpy as np
import pytest

import imgsearch
from imgsearch.archive import libraries
from imgsearch.backends import Index, Schema, StoreOptions, connect
from imgsearch.library import growth
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.library.doctor import Store, growth_advice
from imgsearch.types import Record
from tests.pictures import write

LINE = re.compile(
    r"3 rows in the embedded store: a search takes \d+ ms, and more with each row\. "
    r"Move to a server: imgsearch copy (\S+|'.+') milvus://HOST:19530( --collection \S+)?"
)


@pytest.fixture
def three_are_many(monkeypatch):
    """Make 3 rows worth a server, because 100,000 take minutes to write."""
    monkeypatch.setattr(growth, "MANY", 3)


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Return the path of an embedded store with three photos; tests do not change it."""
    folder = tmp_path_factory.mktemp("große Sammlung")
    write(folder / "bilder", 3)
    with imgsearch.open(folder / "x.db", model="classic", index="flat") as library:
        library.add(folder / "bilder")
    return folder / "x.db"


@pytest.mark.usefixtures("three_are_many")
def test_info_measures_a_search_and_names_the_command(run, db):
    done = run("info", "--db", db)
    assert done.exit_code == 0
    assert LINE.fullmatch(done.stderr.strip())
    assert f"imgsearch copy '{db}' milvus" in done.stderr


@pytest.mark.usefixtures("three_are_many")
def test_add_advises_once_and_not_in_json(run, db):
    done = run("add", db.parent / "bilder", "--db", db, "--json")
    assert json.loads(done.stdout)["count"] == 3
    assert LINE.fullmatch(done.stderr.strip())


@pytest.mark.usefixtures("three_are_many")
def test_doctor_advises_for_each_large_collection(db):
    (line,) = growth_advice(Store(str(db)), 5)
    assert LINE.fullmatch(line)
    assert growth_advice(Store(str(db.parent / "missing.db")), 5) == []
    assert growth_advice(Store("no store"), 5) == []


def test_small_collections_need_no_server(run, db):
    assert run("info", "--db", db).stderr == ""


@pytest.mark.usefixtures("three_are_many")
def test_only_the_embedded_store_is_left():
    with connect("memory://growth") as store:
        collection = store.create("images", Schema(2, "cosine", Index("flat")))
        collection.upsert(
            Record(str(place), np.array([1, place], np.float32)) for place in (1, 2, 3)
        )
        assert growth.advice(store.url, collection) == ""


def test_the_time_of_a_search_is_positive():
    with connect("memory://growth") as store:
        collection = store.create("images", Schema(2, "cosine", Index("flat")))
        assert growth.search_seconds(collection) > 0


@pytest.mark.usefixtures("three_are_many")
def test_service_logs_the_advice_once_a_collection(db, caplog):
    with caplog.at_level(logging.WARNING):
        archive = libraries.Libraries(StoreOptions(db), CollectionOptions(model="classic"))
        archive.log_growth("images")
        archive.log_growth("images")
        archive.log_growth("missing")
        archive.close()
    assert [bool(LINE.fullmatch(line)) for line in caplog.messages] == [True]
