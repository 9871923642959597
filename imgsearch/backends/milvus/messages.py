"""Writes rows to a Milvus server as one message, made of whole columns.

pymilvus 3.0.2 packs a row value by value, which takes 46 µs for 512 dimensions and two fields, most
of it for the vector. As columns the same message takes 2 to 4 µs. Sending it needs private parts of
pymilvus; where a later version lacks one, `is_supported` is False and rows are written instead.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pymilvus import DataType, MilvusClient
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from imgsearch.backends.milvus import full_text
from imgsearch.backends.milvus.layout import Layout, packed
from imgsearch.backends.milvus.schema import COLUMNS
from imgsearch.fields import FieldType
from imgsearch.types import Record, Value

DYNAMIC: Final = "$meta"
"""The column of undeclared fields."""

_SCALARS: Final[Mapping[FieldType, tuple[str, Any]]] = {
    "str": ("string_data", schema_pb2.StringArray),
    "int": ("long_data", schema_pb2.LongArray),
    "float": ("double_data", schema_pb2.DoubleArray),
    "bool": ("bool_data", schema_pb2.BoolArray),
}


def is_supported(client: MilvusClient) -> bool:
    """Return whether this pymilvus has the private parts that `upsert` uses."""
    try:
        from pymilvus.client.call_context import _api_level_md  # noqa: F401
        from pymilvus.client.ts_utils import update_collection_ts  # noqa: F401
        from pymilvus.client.utils import check_status  # noqa: F401
        from pymilvus.decorators import retry_on_rpc_failure  # noqa: F401

        client._generate_call_context().get_db_name  # noqa: B018
        handler = client._get_connection()
        return hasattr(handler, "_stub") and hasattr(handler, "server_address")
    except (ImportError, AttributeError):
        return False


def upsert(
    client: MilvusClient, name: str, layout: Layout, records: Sequence[Record], *, timeout: float
) -> None:
    """Write checked records to a collection that imgsearch created.

    A call after a temporary failure is repeated as in `MilvusClient.upsert`.

    Raises:
        MilvusException: the server rejected the records, or did not respond in time.
    """
    from pymilvus.client import ts_utils
    from pymilvus.client.call_context import _api_level_md
    from pymilvus.client.utils import check_status
    from pymilvus.decorators import retry_on_rpc_failure

    handler, context = client._get_connection(), client._generate_call_context()
    request = upsert_request(name, layout, records)

    @retry_on_rpc_failure()  # type: ignore[untyped-decorator]  # of pymilvus
    def send(handler: Any, *, timeout: float) -> None:  # the decorator reads the timeout
        response = handler._stub.Upsert(request, timeout=timeout, metadata=_api_level_md(context))
        check_status(response.status)
        # reads with Session consistency wait for the last write
        ts_utils.update_collection_ts(
            name, response.timestamp, handler.server_address, context.get_db_name()
        )

    send(handler, timeout=timeout)


def upsert_request(name: str, layout: Layout, records: Sequence[Record]) -> Any:
    """Return the request that upserts checked records: the same message that pymilvus sends."""
    kinds = layout.schema.fields
    stored = [field for field in kinds if field in layout.columns]
    columns = [
        _scalars(layout.key, "str", [record.id for record in records]),
        _vectors(layout, records),
        *(
            _scalars(field, kinds[field], [row.fields[field] for row in records])
            for field in stored
        ),
    ]
    if layout.has_words:
        words = [full_text.words_column(record.fields) for record in records]
        columns.append(_scalars(full_text.WORDS, "str", words))
    columns.append(_undeclared(layout.columns, [record.fields for record in records], len(stored)))
    return milvus_pb2.UpsertRequest(
        collection_name=name, num_rows=len(records), fields_data=columns
    )


def _scalars(name: str, kind: FieldType, values: Sequence[Any]) -> Any:
    attribute, array = _SCALARS[kind]
    data = schema_pb2.ScalarField(**{attribute: array(data=values)})
    return schema_pb2.FieldData(field_name=name, type=DataType[COLUMNS[kind]], scalars=data)


def _vectors(layout: Layout, records: Sequence[Record]) -> Any:
    dim = layout.schema.dim
    vectors = [record.vector for record in records if record.vector is not None]
    if layout.schema.is_binary:
        bits = b"".join(map(packed, vectors))
        data, kind = schema_pb2.VectorField(dim=dim, binary_vector=bits), DataType.BINARY_VECTOR
    else:
        # packed floats have the encoding of one element of bytes, which is copied in one piece
        floats = schema_pb2.BytesArray(
            data=[b"".join([vector.data for vector in vectors])]
        ).SerializeToString()
        array = schema_pb2.FloatArray.FromString(floats)
        data, kind = schema_pb2.VectorField(dim=dim, float_vector=array), DataType.FLOAT_VECTOR
    return schema_pb2.FieldData(field_name=layout.vector, type=kind, vectors=data)


def _undeclared(columns: Iterable[str], rows: Sequence[Mapping[str, Value]], stored: int) -> Any:
    """Return the column of the fields without a column; the first `stored` fields have one."""
    known = frozenset(columns)
    texts = [
        json.dumps(
            {name: value for name, value in fields.items() if name not in known},
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        if len(fields) > stored
        else b"{}"
        for fields in rows
    ]
    data = schema_pb2.ScalarField(json_data=schema_pb2.JSONArray(data=texts))
    return schema_pb2.FieldData(
        field_name=DYNAMIC, type=DataType.JSON, is_dynamic=True, scalars=data
    )
