"""Maps of vectors on a plane."""

import numpy as np
import pytest

from imgsearch.backends import Schema, connect
from imgsearch.evaluation import embedding_map as maps
from imgsearch.evaluation.embedding_map import embedding_map, principal_components
from imgsearch.types import Record


@pytest.fixture(scope="module", autouse=True)
def interpreted():
    """Run UMAP's functions in Python: numba takes 15 s to compile them, for maps of 40 points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        yield


@pytest.fixture
def store():
    with connect("memory://karte") as store:
        yield store
        for name in store.names():
            store.drop(name)


@pytest.fixture
def clouds(store):
    """Return a collection of two clouds, far apart."""
    random = np.random.default_rng(3)
    centers = np.repeat([[1, 0, 0, 0], [0, 0, 1, 0]], 20, axis=0)
    vectors = (centers + random.normal(0, 0.05, size=(40, 4))).astype(np.float32)
    collection = store.create("images", Schema(4))
    collection.upsert(
        Record(f"{place:02d}", vector, {"path": f"{place}.jpg"})
        for place, vector in enumerate(vectors)
    )
    collection.flush()
    return collection


def test_points_on_a_line_lie_on_the_first_axis():
    line = np.outer([0, 1, 2, 5], [0.6, 0.8]).astype(np.float32)
    places = principal_components(line)
    assert places[:, 0] == pytest.approx([-2, -1, 0, 3], abs=1e-6)
    assert places[:, 1] == pytest.approx(0, abs=1e-6)


def test_axes_agree_with_scikit_learn():
    from sklearn.decomposition import PCA

    vectors = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    theirs = PCA(2).fit_transform(vectors.astype(np.float64))
    assert np.abs(principal_components(vectors)) == pytest.approx(np.abs(theirs), abs=1e-5)


@pytest.mark.parametrize("method", [pytest.param("UMAP", marks=pytest.mark.torch), "PCA"])
def test_two_clouds_stay_separate_and_the_map_is_reproducible(clouds, monkeypatch, method):
    if method == "PCA":
        monkeypatch.setattr(maps, "find_spec", lambda _name: None)
    first, second = (embedding_map(clouds, seed=7) for _ in range(2))
    assert first.method == method
    assert first.ids == sorted(first.ids)
    assert first.paths[3] == "3.jpg"
    assert (first.places == second.places).all()
    assert first.places.min(axis=0).tolist() == [0, 0]
    assert first.places.max(axis=0) == pytest.approx([1, 1])
    one, other = first.places[:20], first.places[20:]
    between = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert between > 2 * max(one.std(), other.std())


def test_map_of_one_image(store):
    collection = store.create("images", Schema(3))
    collection.upsert([Record("ñ", np.array([1, 0, 0], dtype=np.float32))])
    single = embedding_map(collection, seed=1)
    assert (single.method, single.places.tolist()) == ("PCA", [[0, 0]])
