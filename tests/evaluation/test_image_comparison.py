"""Comparison of two images: score, verdict, alignment and difference."""

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.errors import ConfigError, SourceError
from imgsearch.evaluation.image_comparison import compare_files, compare_images, file_of
from tests.evaluation.test_pixel_similarity import scene
from tests.pictures import write


def embedded(files):
    """Return the vectors of an angle of 60 degrees, whose cosine is 1/2."""
    assert all(isinstance(file, bytes) for file in files)
    return np.array([[1, 0], [0.5, 3**0.5 / 2]], dtype=np.float32)


def compare(one, other, **options):
    return compare_files(file_of(one), file_of(other), embedded, **options)


def test_equal_images_differ_nowhere():
    comparison = compare(scene(3), scene(3))
    assert (comparison.verdict, comparison.reason) == ("same", "")
    assert comparison.score == pytest.approx(0.5)
    assert comparison.distance == pytest.approx(0.5)
    assert comparison.overlap == 1
    assert comparison.correlation == pytest.approx(1, abs=1e-3)
    assert np.asarray(comparison.difference).max() <= 1


def test_changed_part_is_where_the_difference_is():
    changed = scene(3).copy()
    changed[100:140, 200:240] = 255 - changed[100:140, 200:240]
    comparison = compare(scene(3), changed)
    assert comparison.verdict == "different"
    bright = np.asarray(comparison.difference).max(axis=2) > 60
    assert bright[100:140, 200:240].mean() > 0.5
    bright[98:142, 198:242] = False
    assert bright.mean() < 0.01


def test_crop_is_laid_over_its_place():
    crop = scene(3)[40:200, 60:280]
    comparison = compare(scene(3), crop)
    assert comparison.verdict == "same"
    assert comparison.overlap == pytest.approx(160 * 220 / (240 * 320), abs=0.03)
    laid = np.asarray(comparison.aligned, dtype=float)[60:180, 80:260]
    assert np.abs(laid - scene(3)[60:180, 80:260]).mean() < 12
    assert np.asarray(comparison.difference)[0, 0].tolist() == [64, 64, 96]


@pytest.mark.long
def test_threshold_decides_near_by_score():
    assert compare(scene(3), scene(4)).near is None
    assert compare(scene(3), scene(4), threshold=0.4).near
    assert not compare(scene(3), scene(4), threshold=0.6).near


def test_plain_images_of_one_color_are_the_same():
    gray = np.full((40, 60, 3), 128, np.uint8)
    comparison = compare(gray, gray[:20, :30])
    assert (comparison.verdict, comparison.overlap) == ("same", 1)
    assert not np.asarray(comparison.difference).any()


def test_plain_image_and_scene_cannot_be_aligned():
    comparison = compare(np.full((240, 320, 3), 128, np.uint8), scene(3))
    assert (comparison.verdict, comparison.correlation, comparison.overlap) == ("different", 0, 0)
    assert comparison.aligned is None
    assert comparison.difference is None


def test_every_kind_of_image_is_taken_and_others_are_refused(tmp_path):
    path = write(tmp_path, 1)[0]
    pixels = np.asarray(Image.open(path).convert("RGB"))
    for image in (path, str(path), path.read_bytes(), Image.open(path), pixels):
        comparison = compare_images(path, image, model="classic")
        assert (comparison.verdict, round(comparison.score, 5)) == ("same", 1)
    with pytest.raises(SourceError, match=r"nothing\.jpg"):
        compare_images(path, tmp_path / "nothing.jpg")
    with pytest.raises(ConfigError, match="not an image"):
        compare_images(path, 7)


@pytest.mark.long
def test_library_brings_its_encoder_and_threshold(tmp_path):
    one, other = write(tmp_path, 2)
    with imgsearch.open("memory://compared", model="classic") as library:
        assert compare_images(one, other, library=library).threshold is None  # nothing added yet
        library.add(tmp_path)
        library.thresholds.keep_duplicates({"threshold": 0.25})
        comparison = compare_images(one, other, library=library)
        a, b = library.embed([one, other])
    assert comparison.score == pytest.approx(float(a @ b), abs=1e-6)
    assert comparison.threshold == 0.25
    assert comparison.to_dict()["near"] is (comparison.score >= 0.25)


def test_notebooks_show_three_pictures():
    html = compare(scene(3), scene(3))._repr_html_()
    assert html.count("data:image/png;base64,") == 3
    assert "score 0.5000, same" in html
