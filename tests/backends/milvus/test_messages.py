"""Messages to a Milvus server: equal to those of pymilvus, which packs each value."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType
from pymilvus.client.prepare import Prepare

from imgsearch.backends import connect
from imgsearch.backends.checks import check_records
from imgsearch.backends.milvus import messages
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.full_text import WORDS
from imgsearch.backends.milvus.layout import Layout
from imgsearch.backends.milvus.messages import upsert_request
from imgsearch.backends.schema import Metric, Schema
from imgsearch.fields import FieldType
from imgsearch.testing.contract.bench import Bench, records
from imgsearch.types import Record, Value
from tests.backends import foreign
from tests.conftest import Place

FIELDS: dict[str, FieldType] = {
    "pfad": "str",
    "year": "int",
    "rank": "float",
    "sharp": "bool",
    "late": "str",
}
COLUMNS = {"pfad": "VARCHAR", "year": "INT64", "rank": "DOUBLE", "sharp": "BOOL"}


def layout_of(metric: Metric, dim: int, *extra: str) -> Layout:
    columns = ("id", "vector", *COLUMNS, *extra)  # "late" was added later and has no column
    return Layout(Schema(dim, metric, fields=FIELDS), columns=columns)


def expected_request(layout: Layout, records: Sequence[Record]) -> Any:
    vector = "BINARY_VECTOR" if layout.schema.is_binary else "FLOAT_VECTOR"
    types = {"id": "VARCHAR", "vector": vector, **COLUMNS}
    if WORDS in layout.columns:
        types[WORDS] = "VARCHAR"
    params = {"max_length": 65_535, "dim": layout.schema.dim}
    columns = [
        {"name": name, "type": DataType[kind], "params": params} for name, kind in types.items()
    ]
    rows = [layout.row(record) for record in records]
    return Prepare.row_upsert_param("bilder", rows, "", columns, [], enable_dynamic=True)


@pytest.mark.parametrize(
    ("metric", "extra"),
    [("cosine", ()), ("hamming", ()), ("ip", (WORDS, "imgsearch_bm25"))],
)
def test_message_equals_pymilvus_message(metric: Metric, extra: tuple[str, ...]) -> None:
    layout = layout_of(metric, 16, *extra)
    drawn = np.random.default_rng(3).normal(size=(3, 16)).astype(np.float32)
    fields: list[dict[str, Value]] = [
        {"pfad": "/fotos/猫.jpg", "year": -(2**62), "rank": 0.1, "sharp": True, "late": "ü"},
        {},
        {"pfad": '"', "other": 'ß"\\\n', "number": 2**53 + 1, "part": 0.125, "yes": False},
    ]
    checked = check_records(
        layout.schema, (Record(f"id-ü{n}", drawn[n], row) for n, row in enumerate(fields))
    )
    assert upsert_request("bilder", layout, checked) == expected_request(layout, checked)


@pytest.mark.servers
def test_rows_are_written_where_pymilvus_lacks_a_private_part(
    place_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, token = place_of("milvus")
    bench = Bench("milvus", url, connect(url, token=token), token, foreign.milvus)
    try:
        assert isinstance(bench.store, Backend)
        with bench.store.calling() as client:
            assert messages.is_supported(client)
            monkeypatch.setattr(client, "_generate_call_context", object)  # has no get_db_name
            assert not messages.is_supported(client)
            monkeypatch.undo()
        monkeypatch.setattr(messages, "is_supported", lambda _client: False)
        collection = bench.collection()
        collection.upsert(records("ab"))
        assert sorted(collection.get(["a", "b"])) == ["a", "b"]
    finally:
        bench.clear()
