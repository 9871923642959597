"""Shared parts of the Tencent VectorDB tests: a key, the bare SDK, and full error texts."""

import traceback
from typing import Any

import pytest

from imgsearch.testing.tencent import Emulator

KEY = "Gehe1m-x77-key"  # must not appear in messages
TOKEN = f"root:{KEY}"
PROTOCOLS = ["tencent", "tencent+grpc"]


def sdk(emulator: Emulator) -> Any:
    """Return a client of the bare SDK."""
    import tcvectordb

    return tcvectordb.VectorDBClient(emulator.url, "root", KEY)


def indexes(**fields: Any) -> Any:
    """Return an index as another program creates it."""
    from tcvectordb.model.enum import FieldType, IndexType, MetricType
    from tcvectordb.model.index import FilterIndex, HNSWParams, VectorIndex
    from tcvectordb.model.index import Index as Indexes

    return Indexes(
        FilterIndex("id", FieldType.String, IndexType.PRIMARY_KEY),
        VectorIndex("vector", 4, IndexType.HNSW, MetricType.COSINE, HNSWParams(16, 200)),
        *(FilterIndex(name, kind, IndexType.FILTER) for name, kind in fields.items()),
    )


def error_text(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the full text of an error, with its causes and notes."""
    chain = traceback.format_exception(error.value)
    return "".join(chain) + repr(error.value)
