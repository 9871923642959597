"""Columns → Milvus row, with the interface of ``ops.ann_insert.milvus_client``."""

from typing import Any

from typing_extensions import override

from imgsearch.backends.milvus.address import Address
from imgsearch.backends.milvus.rows import MilvusRows
from imgsearch.backends.rows import Inserted
from imgsearch.settings import TIMEOUT
from imgsearch.towhee import Operator


class MilvusInsert(Operator):
    """Write rows into an existing collection. Columns must be in the collection's order."""

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
        timeout: float = TIMEOUT,
    ) -> None:
        address = Address(host, port, uri, user, password, token, db_name, secure)
        self._rows = MilvusRows(address, collection_name, timeout=timeout)

    def __call__(self, *columns: Any) -> Inserted:
        """Write the rows; return their number and primary keys."""
        return self._rows.insert(*columns)

    @override
    def end_run(self) -> None:
        self._rows.end_run()

    @override
    def flush(self) -> None:
        self._rows.flush()


milvus_insert = MilvusInsert  # the name that Towhee looks for
