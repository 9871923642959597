"""Indexes for size: built on a real server, and requests of newer ones."""

import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient

from imgsearch.backends import Index, Schema
from imgsearch.backends.milvus import backend as backend_module
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.indexes import build_params, own_params, require_version
from imgsearch.errors import ConfigError, IndexRefused
from imgsearch.library.doctor import Store, check_store
from imgsearch.types import Record
from tests.conftest import Place

ROWS, DIM = 2_000, 32


def test_server_builds_and_searches_product_quantization(store: Backend) -> None:
    name = f"pq_{uuid.uuid4().hex[:8]}"
    rng = np.random.default_rng(2)
    centers = rng.standard_normal((40, DIM)) * 2
    rows = (centers[rng.integers(40, size=ROWS)] + rng.standard_normal((ROWS, DIM))).astype("f4")
    images = store.create(name, Schema(DIM, index=Index("ivf_pq", {"nlist": 16, "M": 16})))
    try:
        images.upsert([Record(str(number), row) for number, row in enumerate(rows)])
        images.flush()
        images.settle()
        opened = store.open(name)
        assert opened.schema.index == Index("ivf_pq", {"nlist": 16, "M": 16})
        results = opened.search(rows[:100], k=10)
        assert np.mean([str(n) in {hit.id for hit in hits} for n, hits in enumerate(results)]) > 0.9
    finally:
        store.drop(name)


@pytest.mark.parametrize(
    ("index", "version"), [("hnsw_sq", "2.5"), ("ivf_rabitq", "2.6"), ("gpu_cagra", "2.4")]
)
def test_error_names_the_version_that_an_index_needs(
    store: Backend, index: str, version: str
) -> None:
    with pytest.raises(IndexRefused, match=rf"{index}, which needs Milvus {version} .*2\.3"):
        store.create("never", Schema(8, index=Index(index)))
    assert "never" not in store.names()


def test_doctor_names_the_versions(store: Backend, place_of: Callable[[str], Place]) -> None:
    url, token = place_of("milvus")
    (finding, *_) = check_store(Store(url, token), 10)
    assert "has no gpu_cagra (2.4), hnsw_sq (2.5), ivf_rabitq (2.6)" in finding.fact
    assert store.limits() in finding.fact


def test_product_quantization_needs_equal_parts(store: Backend) -> None:
    with pytest.raises(IndexRefused, match="20 dimensions cannot be cut into 8 equal parts"):
        store.create("never", Schema(20, index=Index("ivf_pq")))


# the parameters of https://milvus.io/docs: hnsw-sq, ivf-rabitq, ivf-pq, diskann, gpu-cagra
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("hnsw_sq:M=30,efConstruction=360,bits=8", {"M": 30, "efConstruction": 360, "sq_type": "SQ8"}),
    ("hnsw_sq:bits=16", {"M": 16, "efConstruction": 200, "sq_type": "FP16"}),
    ("ivf_rabitq:nlist=1024", {"nlist": 1024, "refine": True, "refine_type": "SQ8"}),
    ("ivf_pq:nlist=64,M=4", {"nlist": 64, "m": 4, "nbits": 8}),
    ("diskann", {}),
    (
        "gpu_cagra:intermediate_graph_degree=128",
        {"intermediate_graph_degree": 128, "graph_degree": 32},
    ),
]


@pytest.mark.parametrize(("index", "params"), REQUESTS)
def test_request_has_the_documented_parameters(index: str, params: dict[str, Any]) -> None:
    parsed = Index.parse(index)
    assert build_params(parsed) == params
    answer = {name: str(value) for name, value in params.items()}
    answer["index_type"] = parsed.kind.upper()
    assert Index.of_store(parsed.kind, own_params(answer)) == parsed
    require_version("milvus://host", parsed, "2.6.0")


def test_request_of_a_newer_server_is_sent_as_documented() -> None:
    sent: list[Any] = []

    class Newer:
        """A client of a newer server, which accepts each index."""

        prepare_index_params = staticmethod(MilvusClient.prepare_index_params)

        def create_index(self, name: str, params: Any, **_options: Any) -> None:
            sent.append(next(iter(params)).to_dict())

    schema = Schema(8, index=Index("ivf_rabitq", {"nlist": 64}))
    answer = {"index_type": "IVF_RABITQ", "metric_type": "COSINE", "nlist": "64"}
    index = {**answer, "refine": "true", "refine_type": "SQ8"}
    this = SimpleNamespace(index=lambda _name: index, connection=SimpleNamespace(long=60.0))
    backend_module.Backend._build(this, Newer(), "photos", schema)  # type: ignore[arg-type]  # a part
    (request,) = sent
    assert request["index_type"] == "IVF_RABITQ"
    assert request["params"] == {"nlist": 64, "refine": True, "refine_type": "SQ8"}


@pytest.mark.parametrize("text", ["hnsw_sq:bits=7", "ivf_rabitq:refine_bits=1", "gpu_cagra:M=3"])
def test_invalid_parameters_are_rejected(text: str) -> None:
    with pytest.raises(ConfigError):
        Index.parse(text)
