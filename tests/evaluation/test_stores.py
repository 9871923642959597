"""The ImageNet subset, embedded once, has the same hits in every store."""

from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock  # torch requires it

import imgsearch
from imgsearch.backends import Schema
from imgsearch.backends.schema import Index
from imgsearch.datasets.dataset import load as load_dataset
from imgsearch.types import Record

SHARED = Path(__file__).resolve().parents[3] / "shared"

pytestmark = pytest.mark.skipif(
    not (SHARED / "data/imagenet-subset").is_dir(), reason="the subset is not beside the project"
)


@pytest.fixture(scope="module")
def subset(request, features_folder):
    """Return the gallery's records, the queries' vectors and the queries' labels.

    The images are embedded once in a run, because the stores are tested in two workers.
    """
    dataset = load_dataset(SHARED / "data/imagenet-subset")
    kept = features_folder / "subset.npy"
    with FileLock(features_folder / "subset.lock"):
        if not kept.exists():
            recipe = request.getfixturevalue("mobilenet")
            items = [str(item.path) for item in (*dataset.gallery, *dataset.queries)]
            embed = imgsearch.embed_pipeline(**recipe.config())
            np.save(kept, np.stack([row["vector"] for row in embed(items)]))
        vectors = np.load(kept)
    gallery = [
        Record(f"{place:04d}", vector, {"label": item.label})
        for place, (item, vector) in enumerate(zip(dataset.gallery, vectors, strict=False))
    ]
    return gallery, vectors[len(gallery) :], [item.label for item in dataset.queries]


def exact(gallery, queries):
    """Return the ten highest cosines of each query, computed in double precision."""
    matrix = np.stack([record.vector for record in gallery]).astype(np.float64)
    return -np.sort(-(queries.astype(np.float64) @ matrix.T))[:, :10]


@pytest.mark.parametrize("index", ["flat", "hnsw"])
def test_every_store_agrees_with_exact_search(bench, subset, index):
    gallery, queries, labels = subset
    schema = Schema(queries.shape[1], "cosine", Index(index), {"label": "str"})
    collection = bench.store.create(bench.new_name(), schema)
    collection.upsert(gallery)
    collection.flush()
    hits_by_query = collection.search(queries, k=10)
    right = [
        hit.fields["label"] == label
        for hits, label in zip(hits_by_query, labels, strict=True)
        for hit in hits
    ]
    assert np.mean(right) == pytest.approx(0.612, abs=0.005)
    if index == "flat":
        scores = [[hit.score for hit in hits] for hits in hits_by_query]
        assert np.abs(np.array(scores) - exact(gallery, queries)).max() < 2e-5
