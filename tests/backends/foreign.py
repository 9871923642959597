"""Collections as other programs create them, with the drivers alone."""

from typing import Any

from imgsearch.testing.contract.bench import FOREIGN, unit


def milvus(store: Any, name: str, dim: int = 4) -> None:
    """Create a collection with the rows of `FOREIGN`, whose key is a number."""
    from pymilvus import DataType

    with store.calling() as client:
        schema = client.create_schema(enable_dynamic_field=True)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("emb", DataType.FLOAT_VECTOR, dim=dim)
        for column in ("file", "class"):
            schema.add_field(column, DataType.VARCHAR, max_length=100)
        schema.add_field("year", DataType.INT32)
        index = client.prepare_index_params()
        index.add_index(
            "emb", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 64}
        )
        client.create_collection(name, schema=schema, index_params=index)
        rows = [
            {"pk": number, "emb": unit(number, dim), "note": f"n{number}", **fields}
            for number, fields in enumerate(FOREIGN, 1)
        ]
        client.insert(name, rows)


def tencent(store: Any, name: str, dim: int = 4) -> None:
    """Create a collection with the rows of `FOREIGN`, and its database."""
    from tcvectordb.model.enum import FieldType, IndexType, MetricType
    from tcvectordb.model.index import FilterIndex, HNSWParams, Index, VectorIndex

    indexes = Index(
        FilterIndex("id", FieldType.String, IndexType.PRIMARY_KEY),
        VectorIndex("vector", dim, IndexType.HNSW, MetricType.L2, HNSWParams(16, 200)),
        *(FilterIndex(name, FieldType.String, IndexType.FILTER) for name in ("file", "class")),
        FilterIndex("year", FieldType.Uint64, IndexType.FILTER),
    )
    rows = [
        {"id": str(number), "vector": unit(number, dim).tolist(), **fields}
        for number, fields in enumerate(FOREIGN, 1)
    ]

    def make(client: Any, seconds: float) -> None:
        client.create_database_if_not_exists(store.database, timeout=seconds)
        client.create_collection(store.database, name, 1, 0, index=indexes, timeout=seconds)
        client.upsert(store.database, name, rows, timeout=seconds)

    store.calls(make, again=False)
