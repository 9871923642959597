"""Vectors of an encoder: raw, normalized, and projected."""

from pathlib import Path

import numpy as np
import pytest

from imgsearch.datasets import dataset
from imgsearch.errors import DatasetError
from imgsearch.evaluation.comparison import differences
from imgsearch.evaluation.evaluator import evaluate
from imgsearch.evaluation.variants import variants
from tests.pictures import write

SHARED = Path(__file__).resolve().parents[3] / "shared"
SUBSET = SHARED / "data/imagenet-subset"


@pytest.fixture
def labeled(tmp_path):
    write(tmp_path / "bilder/katze", 6)
    write(tmp_path / "bilder/ñandú", 6, start=6)
    return dataset.load(tmp_path / "bilder")


def test_unit_vectors_agree_with_the_evaluator(labeled):
    runs = variants(labeled, model="classic")
    expected = evaluate(labeled, model="classic").measures.metrics
    assert list(runs) == ["raw", "normalised", "raw → 512", "normalised → 512"]
    assert runs["normalised"].measures.metrics == pytest.approx(expected)
    assert runs["normalised → 512"].encoder.dim == 512
    assert differences(runs["raw"], runs["normalised"])[0].n == 12


def test_projection_to_more_dimensions_is_omitted(labeled):
    assert list(variants(labeled, model="classic", dim=5_000)) == ["raw", "normalised"]


def test_same_seed_gives_the_same_figures(labeled):
    first, second = (variants(labeled, model="classic", dim=64) for _ in range(2))
    for name, run in first.items():
        assert run.measures.metrics == second[name].measures.metrics


def test_projection_keeps_distances_as_predicted(labeled):
    """On average; with a matrix of 64 columns within a few hundredths."""
    runs = variants(labeled, model="classic", dim=64)
    plain, shorter = (
        [hit.distance for answer in runs[name].answers for hit in answer.hits]
        for name in ("normalised", "normalised → 64")
    )
    assert np.mean(shorter) / np.mean(plain) == pytest.approx(1, rel=0.25)


def test_bad_image_is_noted_and_an_empty_set_raises(labeled, tmp_path):
    (tmp_path / "bilder/katze/kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    run = variants(dataset.load(tmp_path / "bilder"), model="classic", dim=8)["raw"]
    assert any("1 image could not be used" in note for note in run.notes)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DatasetError, match="no image of 13 could be used"):
        variants(dataset.load(tmp_path / "bilder"), model="classic")


@pytest.mark.skipif(not SUBSET.is_dir(), reason="the ImageNet subset is not beside the project")
def test_mobilenet_is_better_normalized_and_loses_little_by_projection(mobilenet):
    runs = variants(dataset.load(SUBSET), model=mobilenet)
    metrics = {name: run.measures.metrics for name, run in runs.items()}
    assert metrics["normalised"]["recall@10"] == pytest.approx(0.611, abs=0.005)
    assert metrics["normalised"]["ap_hits@10"] == pytest.approx(0.790, abs=0.005)
    assert metrics["raw"]["recall@10"] < metrics["normalised"]["recall@10"]
    kept = metrics["normalised → 512"]["recall@10"] / metrics["normalised"]["recall@10"]
    assert 0.9 < kept < 1.02
