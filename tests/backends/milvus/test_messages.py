"""Messages to a Milvus server: equal to those of pymilvus, which packs each value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType
from pymilvus.client.prepare import Prepare

from imgsearch.backends.checks import check_records
from imgsearch.backends.milvus.full_text import WORDS
from imgsearch.backends.milvus.layout import Layout
from imgsearch.backends.milvus.messages import upsert_request
from imgsearch.backends.schema import Metric, Schema
from imgsearch.fields import FieldType
from imgsearch.types import Record, Value

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
    records = check_records(
        layout.schema, (Record(f"id-ü{n}", drawn[n], row) for n, row in enumerate(fields))
    )
    assert upsert_request("bilder", layout, records) == expected_request(layout, records)
