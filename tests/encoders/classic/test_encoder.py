"""The encoder without weights distinguishes pictures and recognizes changed copies."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.encoders.classic.encoder import ClassicEncoder
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Matrix, Pixels

SUBSET = Path(__file__).parents[4] / "shared" / "data" / "imagenet-subset"


@pytest.fixture(scope="module")
def encoder() -> ClassicEncoder:
    return ClassicEncoder()


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return [picture(seed) for seed in range(40)]


@pytest.fixture(scope="module")
def gallery(encoder: ClassicEncoder, pictures: list[Pixels]) -> Matrix:
    return encoder.encode(pictures)


def picture(seed: int) -> Pixels:
    """Return a smooth colored background with some blocks on it, 240 x 320."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC))
    for _ in range(12):
        top, left = random.integers(0, (220, 300))
        height, width = random.integers(10, 90, 2)
        pixels[top : top + height, left : left + width] = random.integers(0, 256, 3)
    return pixels


def half(image: Pixels) -> Pixels:
    height, width, _ = image.shape
    return np.array(Image.fromarray(image).resize((width // 2, height // 2)))


def test_vectors_are_unit_rows_of_the_fingerprints_dimension(encoder, gallery):
    assert gallery.shape == (40, encoder.dim)
    assert gallery.dtype == np.float32
    assert gallery.flags.c_contiguous
    assert encoder.dim == encoder.fingerprint.dim <= 1024
    np.testing.assert_allclose(np.linalg.norm(gallery, axis=1), 1, atol=1e-6)


def test_fingerprint_names_the_model_without_weights(encoder):
    fingerprint = encoder.fingerprint
    assert (fingerprint.model, fingerprint.weights, fingerprint.options) == ("classic", "", "v1")
    assert fingerprint.normalized
    assert "96x96" in fingerprint.preprocessing


def test_features_of_no_inputs_have_no_rows(encoder):
    assert encoder.features([]).shape == (0, encoder.dim)


def test_prepared_inputs_are_small_copies_of_equal_shape(encoder, pictures):
    original = pictures[0].copy()
    prepared = encoder.prepare(original)
    original[:] = 0
    assert prepared.shape == (96, 96, 3)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared, encoder.prepare(pictures[0]))


def test_another_instance_gives_the_same_vectors(pictures, gallery):
    np.testing.assert_array_equal(ClassicEncoder().encode(pictures), gallery)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 32])
def test_vector_does_not_depend_on_its_batch(encoder, pictures, gallery, size):
    batches = [encoder.encode(pictures[i : i + size]) for i in range(0, 40, size)]
    np.testing.assert_allclose(np.concatenate(batches), gallery, atol=1e-6)


def test_plain_pictures_have_distinct_directions(encoder):
    colors = {
        "черный": (0, 0, 0),
        "белый": (255, 255, 255),
        "红": (255, 0, 0),
        "绿": (0, 255, 0),
        "蓝": (0, 0, 255),
        "gülgûn": (255, 150, 180),
    }
    plain = [np.full((60, 80, 3), color, np.uint8) for color in colors.values()]
    vectors = encoder.encode(plain)
    near = vectors @ vectors.T - 2 * np.eye(len(plain))
    assert near.max() < 0.99
    np.testing.assert_allclose(vectors, encoder.encode([half(image) for image in plain]), atol=1e-5)


def test_invisible_noise_does_not_move_a_plain_picture(encoder):
    plain = np.full((100, 100, 3), 128, np.uint8)
    speck = plain.copy()
    speck[50, 50] = 129
    first, second = encoder.encode([plain, speck])
    assert first @ second > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 3), (5000, 3), (3, 5000)])
def test_odd_sizes_have_vectors(encoder, shape):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    vectors = encoder.encode([pixels, pixels.swapaxes(0, 1)])  # the second is not contiguous
    assert np.isfinite(vectors).all()


def test_read_only_pixels_are_accepted(encoder, pictures, gallery):
    pixels = pictures[3].copy()
    pixels.setflags(write=False)
    np.testing.assert_allclose(encoder.encode([pixels])[0], gallery[3], atol=1e-6)


@pytest.mark.parametrize("color", [0, 255, 90])
def test_flat_borders_are_ignored(encoder, color):
    # noise, noise, so that no line of the picture looks like a border
    inner = np.random.default_rng(2).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    framed = np.full((150, 260, 3), color, np.uint8)
    framed[40:130, 25:155] = inner
    np.testing.assert_array_equal(encoder.prepare(framed), encoder.prepare(inner))


@pytest.fixture(scope="module")
def hits(encoder: ClassicEncoder, pictures: list[Pixels], gallery: Matrix) -> dict[str, float]:
    """Return the share of generated pictures that are found after each change."""
    changes = {**TRANSFORMS, "half": half}
    return hit_at_1(encoder, pictures, gallery, np.arange(40), changes)


@pytest.mark.long
@pytest.mark.parametrize("change", ["jpeg_10", "gray", "blur", "brightness_160", "half"])
def test_degraded_copy_is_nearer_than_any_other_picture(hits, change):
    assert hits[change] == 1


def test_generated_pictures_are_found_after_fourteen_transforms(hits):
    hits = {name: hits[name] for name in TRANSFORMS}
    assert np.mean(list(hits.values())) >= 0.92, hits  # 0.964 when written
    assert min(hits.values()) >= 0.5, hits  # the corner crop; chance is 0.025


@pytest.fixture(scope="module")
def subset() -> tuple[list[Pixels], list[str]]:
    """Return thumbnails and classes of every second labeled picture, five for each class."""
    if not SUBSET.is_dir():
        pytest.skip("the ImageNet subset is not beside this checkout")
    with (SUBSET / "reverse_image_search.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[::2]
    return [thumbnail(SUBSET / row["path"]) for row in rows], [row["label"] for row in rows]


@pytest.fixture(scope="module")
def subset_gallery(encoder: ClassicEncoder, subset: tuple[list[Pixels], list[str]]) -> Matrix:
    return encoder.encode(subset[0])


@pytest.mark.long
def test_subset_pictures_are_found_after_fourteen_transforms(encoder, subset, subset_gallery):
    images, _ = subset
    own = np.arange(0, 500, 17)  # 30, from as many classes: classes have five consecutive pictures
    hits = hit_at_1(encoder, [images[row] for row in own], subset_gallery, own)
    assert np.mean(list(hits.values())) >= 0.90, hits


@pytest.mark.long
def test_same_class_search_is_weak_but_above_chance(encoder, subset, subset_gallery):
    _, labels = subset
    queries = sorted((SUBSET / "test").glob("*/*.JPEG"))
    vectors = encoder.encode([thumbnail(path) for path in queries])
    nearest = np.argsort(-(vectors @ subset_gallery.T), axis=1)[:, :10]
    relevant = np.array(labels)[nearest] == np.array([[path.parent.name] for path in queries])
    # chance is 0.01; a higher value would need an explanation
    assert 0.03 <= relevant.mean() <= 0.09


def thumbnail(path: Path) -> Pixels:
    with Image.open(path) as picture:
        picture.draft("RGB", (400, 400))
        small = picture.convert("RGB")
    small.thumbnail((400, 400))
    return np.array(small)


def hit_at_1(
    encoder: ClassicEncoder,
    originals: list[Pixels],
    gallery: Matrix,
    own: np.ndarray,
    changes: Mapping[str, Callable[[Pixels], Pixels]] = TRANSFORMS,
) -> dict[str, float]:
    """Return for each change the share of originals that are first, of `gallery` rows `own`."""
    hits = {}
    for name, change in changes.items():
        near = encoder.encode([change(image) for image in originals]) @ gallery.T
        hits[name] = float((near.argmax(axis=1) == own).mean())
    return hits
