"""Signatures of files that de-duplication remembers in the store's notes."""

import uuid

import numpy as np
import pytest

from imgsearch.backends import Schema, connect
from imgsearch.library import signature_memory
from imgsearch.library.signature_memory import SignatureMemory
from imgsearch.types import Fingerprint

SMALL = Fingerprint("small", 4)


@pytest.fixture(params=["memory", "milvus-lite"])
def store(request, tmp_path):
    url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "ü.db")
    with connect(url) as opened:
        yield opened


@pytest.fixture
def collection(store):
    return store.create("bilder", Schema(8, encoder=Fingerprint("toy", 8)))


def test_signatures_are_rounded_to_signed_bytes_and_kept(store, collection):
    memory = SignatureMemory(store, collection, SMALL)
    assert memory.get("a") is None
    vector = np.array([0.8, -0.6, 0, 0.002], dtype=np.float32)
    kept = memory.keep("a", vector)
    # 127 / 0.8 = 158.75 a unit: 127, -95.25, 0, 0.3175; the norm of (127, -95) is 158.6001
    np.testing.assert_allclose(kept, np.array([127, -95, 0, 0]) / 158.6001, atol=1e-6)
    memory.finish({"a"})
    again = SignatureMemory(store, collection, SMALL)
    np.testing.assert_array_equal(again.get("a"), kept)
    assert again.get("a").dtype == np.float32
    assert SignatureMemory(store, collection, Fingerprint("other", 4)).get("a") is None
    forced = SignatureMemory(store, collection, SMALL, again=True)
    assert forced.get("a") is None
    forced.keep("b", vector)
    forced.finish({"b"})
    last = SignatureMemory(store, collection, SMALL)
    assert (last.get("a") is None, last.get("b") is None) == (True, False)


def test_signatures_are_saved_meanwhile_and_unused_ones_forgotten(store, collection, monkeypatch):
    monkeypatch.setattr(signature_memory, "_SAVED", 100)
    monkeypatch.setattr(signature_memory, "_ROWS", 30)
    vectors = np.random.default_rng(1).normal(size=(250, 4)).astype(np.float32)
    memory = SignatureMemory(store, collection, SMALL)
    for place, vector in enumerate(vectors):
        memory.keep(f"ü{place}", vector)
    killed = SignatureMemory(store, collection, SMALL)  # 250 were kept, `finish` was not called
    assert sum(killed.get(f"ü{place}") is not None for place in range(250)) == 200
    memory.finish({f"ü{place}" for place in range(140)})
    assert SignatureMemory(store, collection, SMALL).get("ü249") is not None  # fewer than a half
    memory.finish({"ü0", "ü1"})
    last = SignatureMemory(store, collection, SMALL)
    assert [place for place in range(250) if last.get(f"ü{place}") is not None] == [0, 1]


def test_collection_of_another_program_has_no_memory(store):
    plain = store.create("plain", Schema(8))
    memory = SignatureMemory(store, plain, SMALL)
    memory.keep("a", np.ones(4, np.float32))
    memory.finish({"a"})
    assert SignatureMemory(store, plain, SMALL).get("a") is None
