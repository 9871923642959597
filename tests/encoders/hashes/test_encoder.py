"""Perceptual hashes as encoders and as bits in a store."""

import imagehash
import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch import encoders
from imgsearch.errors import ConfigError, TextUnsupported
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import picture, write

NAMES = ("phash", "dhash")


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_imagehash(name):
    encoder = encoders.load(name)
    pixels = picture(3, (320, 240))
    (vector,) = encoder.encode([pixels])
    expected = getattr(imagehash, name)(Image.fromarray(pixels), hash_size=16).hash.reshape(-1)
    assert vector == pytest.approx(np.where(expected, 1 / 16, -1 / 16))
    assert (encoder.dim, vector.dtype) == (256, np.float32)


def test_dhash_by_hand():
    """Brightness rises to the right, so that each pixel is brighter than its left neighbor."""
    ramp = np.broadcast_to(np.arange(17, dtype=np.uint8)[None, :, None] * 15, (16, 17, 3))
    (vector,) = encoders.load("dhash").encode([ramp])
    assert vector.tolist() == [1 / 16] * 256
    (mirrored,) = encoders.load("dhash").encode([ramp[:, ::-1]])
    assert mirrored.tolist() == [-1 / 16] * 256


@pytest.mark.parametrize("name", NAMES)
def test_compressed_and_scaled_copies_are_nearest(name):
    encoder = encoders.load(name)
    images = [picture(number, (320, 240)) for number in range(20)]
    gallery = encoder.encode(images)
    for change in ("jpeg_10", "thumbnail_96", "gray", "blur"):
        changed = encoder.encode([TRANSFORMS[change](image) for image in images])
        assert (changed @ gallery.T).argmax(axis=1).tolist() == list(range(20))


def test_hashes_take_neither_texts_nor_options():
    with pytest.raises(TextUnsupported):
        encoders.load("phash").encode_texts(["a dog"])
    with pytest.raises(ConfigError, match="phash takes neither weights nor options"):
        encoders.load("phash", options={"precision": "f32"})


def test_library_of_bits_finds_copies(tmp_path):
    paths = write(tmp_path, 5)
    with imgsearch.open("memory://bits", model="phash", metric="hamming") as library:
        library.add(tmp_path)
        assert str(library.collection.schema.index) == "flat"
        hits = library.search(paths[2], k=5)
        assert hits[0].path == str(paths[2])
        assert (hits[0].score, hits[0].distance) == (1, 0)
        assert all(hit.distance == 128 * (1 - hit.score) for hit in hits)
        assert library.search(paths[2], min_score=0.99)[0].distance == 0


def test_bits_and_floats_give_the_same_hits(tmp_path):
    paths = write(tmp_path, 8)
    results = []
    for metric in ("hamming", "cosine"):
        with imgsearch.open(f"memory://{metric}", model="dhash", metric=metric) as library:
            library.add(tmp_path)
            results.append([(hit.path, round(hit.score, 5)) for hit in library.search(paths[0])])
    assert sorted(results[0]) == sorted(results[1])
