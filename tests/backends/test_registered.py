"""Stores registered by a program."""

from typing import ClassVar

import pytest

import imgsearch
from imgsearch import backends
from imgsearch.backends import connect, memory, register
from imgsearch.errors import ConfigError
from tests.pictures import write


class Shelves(memory.Backend):
    """A memory store under another scheme that records its arguments."""

    called: ClassVar[list] = []

    def __init__(self, url, *, token, timeout):
        self.called.append((url, token, timeout))
        super().__init__(url.replace("regal", "memory"), token=token, timeout=timeout)
        self.url = url


@pytest.fixture
def shelves(monkeypatch):
    monkeypatch.setattr(backends, "_registered", {})
    monkeypatch.setattr(Shelves, "called", [])
    register("regal", Shelves)
    return Shelves


def test_registered_store_is_opened_by_its_url(shelves):
    with connect("regal://süd", token="x", timeout=3) as store:
        assert store.url == "regal://süd"
        with connect("regal://süd") as again:
            assert again is store
    assert shelves.called == [("regal://süd", "x", 3)]


def test_library_and_pipelines_use_the_registered_store(shelves, tmp_path):
    write(tmp_path / "bilder", 3)
    with imgsearch.open("regal://bilder", model="classic") as library:
        library.add(tmp_path / "bilder")
        insert = imgsearch.insert_pipeline("regal://bilder", model="classic")
        insert(str(tmp_path / "bilder"))
        insert.close()
        assert library.count() == 3


@pytest.mark.parametrize(
    ("scheme", "message"),
    [("milvus", "imgsearch's own"), ("Regal", "is invalid"), ("a b", "is invalid")],
)
def test_invalid_scheme_is_rejected(shelves, scheme, message):
    with pytest.raises(ConfigError, match=message):
        register(scheme, Shelves)


def test_unregistered_scheme_raises():
    with pytest.raises(ConfigError, match="unknown store regal://. The stores are memory"):
        connect("regal://x")
    with pytest.raises(ConfigError, match="unknown store milvs://; did you mean milvus"):
        connect("milvs://x")
