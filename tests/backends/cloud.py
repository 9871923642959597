"""What tests of Tencent VectorDB share: a key to look for, and the bare SDK beside our adapter."""

import traceback
from typing import Any

import pytest

from imgsearch.testing.tencent import Emulator

KEY = "Gehe1m-x77-key"  # to be looked for in messages
TOKEN = f"root:{KEY}"
PROTOCOLS = ["tencent", "tencent+grpc"]


def sdk(emulator: Emulator) -> Any:
    """Return the bare SDK's client, with nothing of ours."""
    import tcvectordb

    return tcvectordb.VectorDBClient(emulator.url, "root", KEY)


def indexes(**fields: Any) -> Any:
    """Return what another program makes a collection with."""
    from tcvectordb.model.enum import FieldType, IndexType, MetricType
    from tcvectordb.model.index import FilterIndex, HNSWParams, VectorIndex
    from tcvectordb.model.index import Index as Indexes

    return Indexes(
        FilterIndex("id", FieldType.String, IndexType.PRIMARY_KEY),
        VectorIndex("vector", 4, IndexType.HNSW, MetricType.COSINE, HNSWParams(16, 200)),
        *(FilterIndex(name, kind, IndexType.FILTER) for name, kind in fields.items()),
    )


def told(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return all that a program would log of an error, its causes and notes included."""
    chain = traceback.format_exception(error.value)
    return "".join(chain) + repr(error.value)
