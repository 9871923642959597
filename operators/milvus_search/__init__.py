"""Vector → nearest rows in Milvus, with the interface of ``ops.ann_search.milvus_client``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgsearch.backends.milvus.address import Address
from imgsearch.backends.milvus.rows import MilvusRows
from imgsearch.settings import TIMEOUT
from imgsearch.towhee import Operator


class MilvusSearch(Operator):
    """Search an existing collection that any program may have created."""

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
        limit: int = 10,
        output_fields: Sequence[str] | None = None,
        param: Mapping[str, Any] | None = None,
        metric_type: str | None = None,
        anns_field: str | None = None,
        expr: str | None = None,
        partition_names: Sequence[str] | None = None,
        db_name: str = "",
        secure: bool = True,
        timeout: float = TIMEOUT,
    ) -> None:
        address = Address(host, port, uri, user, password, token, db_name, secure)
        self._rows = MilvusRows(address, collection_name, timeout=timeout)
        self._search: dict[str, Any] = {
            "limit": limit, "output_fields": output_fields or (), "param": param,
            "metric_type": metric_type, "anns_field": anns_field, "expr": expr,
            "partition_names": partition_names,
        }  # fmt: skip

    def __call__(self, vector: Any) -> list[Any]:
        """Return ``[[id, distance, *output_fields], …]``, nearest first.

        For several vectors, return a list of such lists.
        """
        results = self._rows.search(vector, **self._search)
        return results if np.ndim(vector[0]) else results[0]


milvus_search = MilvusSearch  # the name that Towhee looks for
