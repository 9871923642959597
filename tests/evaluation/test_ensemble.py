"""Combined scores of two encoders, and a collection's images in the combined space."""

import os
import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch.encoders import load
from imgsearch.errors import EncoderMismatch
from imgsearch.evaluation.ensemble import EnsembleEncoder, can_ensemble, ensemble_collection
from imgsearch.images import sources
from tests.pictures import picture, write


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "fötos", 6)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite") as opened:
        opened.add(tmp_path / "fötos")
        yield opened


def test_combined_score_is_the_weighted_mean_of_both():
    classic, other = load("classic"), load("lite")
    images = [picture(1), picture(2)]
    first, second = (encoder.encode(images) for encoder in (classic, other))
    vectors = EnsembleEncoder(classic, other, share=0.25).encode(images)
    expected = (first[0] @ first[1] + 0.25 * (second[0] @ second[1])) / 1.25
    assert float(vectors[0] @ vectors[1]) == pytest.approx(float(expected), abs=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_stored_vectors_are_combined_with_vectors_of_the_files(library, tmp_path):
    missing = min((tmp_path / "fötos").iterdir())
    missing.unlink()
    progress = []
    with ensemble_collection(
        library.collection, load("lite"), on_progress=lambda *now: progress.append(now)
    ) as (images, both):
        assert images.count() == 5
        # a file's image, embedded again by both encoders, has the vector of its record
        hits = images.search(both.encode([picture(3)]), k=1)[0]
        assert hits[0].fields["path"].endswith("bild-ü 0003.png")
        assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert progress == [("reading", 6, 6)]


def test_collections_of_classic_are_not_joined(library, tmp_path):
    assert can_ensemble(library.collection)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as other:
        other.add(tmp_path / "fötos")
        assert not can_ensemble(other.collection)


def test_another_encoder_is_rejected(library):
    with pytest.raises(EncoderMismatch), ensemble_collection(library.collection, load("classic")):
        pass


def test_signatures_are_remembered(library, tmp_path, monkeypatch):
    def vectors():
        with ensemble_collection(
            library.collection, load("lite"), memory=library.signature_memory
        ) as (images, _):
            return {record.id: record.vector.tolist() for record in images.iterate()}

    first = vectors()
    assert len(first) == 6
    changed = min((tmp_path / "fötos").iterdir())
    read, files = sources.read, []
    monkeypatch.setattr(sources, "read", lambda path: files.append(path) or read(path))
    assert (vectors(), files) == (first, [])
    os.utime(changed, ns=(1, 1))  # it may have other bytes now
    assert (vectors(), files) == (first, [str(changed)])
