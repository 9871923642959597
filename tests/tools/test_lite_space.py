"""The tool that writes the constants of `lite`'s space: the projection and what it drops."""

import numpy as np
import pytest

from imgsearch.encoders import registry
from imgsearch.encoders.lite.encoder import CLASSIFIER, DIM, class_directions
from imgsearch.encoders.weights.pth import read_tensors
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import picture

pytest.importorskip("onnx", reason="the tool needs the extra onnx")

from tools.lite import space as tool


@pytest.fixture(scope="module")
def row():
    return registry.find("lite")


@pytest.fixture(scope="module")
def tensors(row):
    tensors = read_tensors(row.weights_file.locate())
    mean = np.zeros(1280, dtype=np.float32)
    return {**tensors, "directions": class_directions(tensors[CLASSIFIER]), "mean": mean}


def test_weaker_directions_of_the_classes_count_more(tensors):
    directions = tensors["directions"]
    kept = tool.projection(directions)[:, :192]
    strength = np.linalg.norm(directions @ (kept / np.linalg.norm(kept, axis=0)), axis=0)
    # by hand: the length of each kept column is 1.15 (root mean square of all / strength)^0.5
    expected = 1.15 * np.sqrt(np.sqrt(np.mean(strength**2)) / strength)
    np.testing.assert_allclose(np.linalg.norm(kept, axis=0), expected, rtol=1e-5)


def test_directions_of_changes_are_dropped_and_orthogonal_ones_kept():
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(1280, DIM))
    moves = rng.normal(size=(6, 1280))
    narrow = tool.without(matrix, moves)
    np.testing.assert_allclose(moves @ narrow, 0, atol=1e-9)
    other = rng.normal(size=1280)
    other -= np.linalg.lstsq(moves.T, other, rcond=None)[0] @ moves
    np.testing.assert_allclose(other @ narrow, other @ matrix, atol=1e-9)


def test_shifts_are_zero_for_changes_that_the_encoder_does_not_see(row, tensors):
    half = picture(5, (120, 160))
    mirrored = np.concatenate([half, half[:, ::-1]], axis=1)
    moves = tool.shifts(row, tensors, [mirrored])
    assert moves.shape == (14, 1280)
    lengths = dict(zip(TRANSFORMS, np.linalg.norm(moves, axis=1), strict=True))
    assert lengths.pop("flip") < 1e-5
    assert lengths.pop("padding_50") < 1e-5  # flat borders are cut off
    assert min(lengths.values()) > 1e-3
