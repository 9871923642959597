"""columns → a row of a Milvus collection, as ``ops.ann_insert.milvus_client`` does."""

from typing import Any

from imgsearch.backends.milvus.address import Address
from imgsearch.backends.milvus.rows import MilvusRows
from imgsearch.backends.rows import Inserted
from imgsearch.towhee import Operator


class MilvusInsert(Operator):
    """Write rows into a collection that is there, by the places of its columns."""

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        collection_name: str | None = None,
        uri: str | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        *,
        db_name: str = "",
        secure: bool = True,
        timeout: float = 10.0,
    ) -> None:
        address = Address(host, port, uri, user, password, token, db_name, secure)
        self._rows = MilvusRows(address, collection_name, timeout=timeout)

    def __call__(self, *columns: Any) -> Inserted:
        """Return what went in: `insert_count` and `primary_keys`."""
        return self._rows.insert(*columns)
