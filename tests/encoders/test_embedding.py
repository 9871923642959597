"""The batch step: references or bytes in, an Arrow record batch out."""

import hashlib
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imgsearch.encoders import Recipe, embedding, load
from imgsearch.encoders.embedding import SCHEMA, Embedding
from imgsearch.errors import ConfigError, EncoderError
from tests.pictures import write

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe.of("classic")


@pytest.fixture
def files(tmp_path):
    return write(tmp_path, 5, suffix=".jpg")


@pytest.fixture(autouse=True, params=["amid", "beside"])
def way(request, monkeypatch):
    """Run with decoding in the model's threads, and with decoding beside a device."""
    monkeypatch.setattr(load("classic"), "offloaded", request.param == "beside", raising=False)
    return request.param


def test_rows_keep_order_and_references(files):
    data = files[0].read_bytes()
    items = [files[1], str(files[2]), data, ("wo/ü.jpg", data)]
    batch = Embedding(RECIPE)(items)
    assert batch.schema == SCHEMA
    assert batch.column("source").to_pylist() == [str(files[1]), str(files[2]), "", "wo/ü.jpg"]
    contents = [files[1].read_bytes(), files[2].read_bytes(), data, data]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    assert batch.column("sha256").to_pylist() == batch.column("id").to_pylist() == digests
    assert batch.column("status").to_pylist() == ["ok"] * 4
    vectors = np.array(batch.column("vector").to_pylist(), dtype=np.float32)
    from imgsearch.images import decode

    expected = load("classic").encode([decode(content) for content in contents])
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert batch.schema.field("vector").type == pa.list_(pa.float32())


def test_few_images_are_shared_among_the_cores(files, way, monkeypatch):
    encoder, sizes = type(load("classic")), []
    features = encoder.features

    def watched(self, rows):
        sizes.append(len(rows))
        return features(self, rows)

    monkeypatch.setattr(encoder, "features", watched)
    monkeypatch.setattr(embedding, "available_cores", lambda: 2)
    Embedding(RECIPE)(files)  # 5 images, far fewer than a batch of `classic`
    assert sorted(sizes) == ([2, 3] if way == "amid" else [5])


def test_one_core_gives_the_same_result_from_one_thread(files, tmp_path, way, monkeypatch):
    kaputt = tmp_path / "kaputt.jpg"
    kaputt.write_bytes(b"\xff\xd8\xff")
    items, seen = [*files, kaputt], set()
    usual = Embedding(RECIPE)(items)
    encoder = type(load("classic"))
    features = encoder.features

    def watched(self, rows):
        seen.add((len(rows), threading.current_thread().name))
        return features(self, rows)

    # patched on the class, because pytest before 9.2 leaves a patched method on an object
    monkeypatch.setattr(encoder, "features", watched)
    alone = Embedding(RECIPE)(items, one_core=True)
    assert alone.drop_columns("vector") == usual.drop_columns("vector")
    rows = [batch.column("vector").to_pylist()[:5] for batch in (alone, usual)]
    np.testing.assert_allclose(*rows, atol=1e-5)
    if way == "amid":
        ((number, name),) = seen
        assert (number, name.startswith("imgsearch-embedding")) == (1, True)


def test_error_affects_only_its_row(files, tmp_path):
    cut = files[0].read_bytes()[:-300]
    batch = Embedding(RECIPE)([files[0], tmp_path / "fehlt.jpg", b"no image", cut, files[1]])
    assert batch.column("status").to_pylist() == ["ok", "read", "header", "decode", "ok"]
    errors = batch.column("error").to_pylist()
    assert [error.partition(":")[0] for error in errors] == [
        "", "SourceError", "FormatRefused", "ImageCorrupt", "",
    ]  # fmt: skip
    assert batch.column("vector").is_null().to_pylist() == [False, True, True, True, False]
    assert batch.column("id").is_null().to_pylist() == [False, True, False, False, False]


def test_zero_vector_is_the_error_of_its_row(files, monkeypatch):
    encoder = load("classic")
    features = type(encoder).features

    def some_are_zero(self, inputs):
        vectors = features(self, inputs)
        vectors[[np.array_equal(pixels, bad) for pixels in inputs]] = 0
        return vectors

    from imgsearch.images import decode

    bad = encoder.prepare(decode(files[3].read_bytes()))
    monkeypatch.setattr(type(encoder), "features", some_are_zero)
    batch = Embedding(RECIPE)(files)
    assert batch.column("status").to_pylist() == ["ok", "ok", "ok", "embed", "ok"]
    assert "EncoderError: " in batch.column("error")[3].as_py()


def test_rows_of_several_batches_keep_their_order(files):
    many = files * 30
    batch = Embedding(RECIPE)(many)
    assert batch.column("source").to_pylist() == [str(file) for file in many]
    whole = np.array(batch.column("vector").to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(whole, np.tile(whole[:5], (30, 1)), atol=1e-6)


def test_empty_input_gives_an_empty_batch():
    batch = Embedding()([])
    assert (batch.num_rows, batch.schema) == (0, SCHEMA)


@pytest.mark.long
def test_embedding_is_pickled_by_its_configuration(files):
    step = Embedding(RECIPE)
    step(files[:1])
    sent = pickle.dumps(step)
    assert len(sent) < 400
    code = (
        "import pickle, sys\n"
        f"step = pickle.loads({sent!r})\n"
        "print(step(sys.argv[1:]).column('id').to_pylist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == f"{step(files).column('id').to_pylist()}\n", done.stderr


@pytest.mark.torch
def test_encoder_that_cannot_be_built_raises(files):
    with pytest.raises(EncoderError):
        Embedding(Recipe("größe"))(files)
    with pytest.raises(ConfigError):
        Embedding(Recipe("classic", options={"mean": 0.5}))(files)


def test_threads_are_used_again(files):
    def threads():
        Embedding(RECIPE)(files)
        all_threads = threading.enumerate()
        return {one.ident for one in all_threads if one.name.startswith("imgsearch-embedding")}

    assert threads() == threads() != set()


FORKED = """
import os, sys
from imgsearch.encoders import Recipe
from imgsearch.encoders.embedding import Embedding

step = Embedding(Recipe.of("classic"))
before = step(sys.argv[1:])
if child := os.fork():
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
else:
    os._exit(not step(sys.argv[1:]).equals(before))
"""


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_embeds_with_threads_of_its_own(tmp_path):
    files = map(str, write(tmp_path, 3))
    subprocess.run([sys.executable, "-c", FORKED, *files], check=True, timeout=60)
