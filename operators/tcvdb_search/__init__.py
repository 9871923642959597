"""Vector → paths in Tencent VectorDB, like the tutorial's ``ops.local.search_tcvdb_client``."""

from typing import Any

import numpy as np

from imgsearch.backends.rows import matrix
from imgsearch.backends.tencent.database import TencentDatabase
from imgsearch.towhee import Operator


class TcvdbSearch(Operator):
    """Search a collection whose documents have a path."""

    def __init__(
        self,
        host: str,
        port: str | int,
        username: str,
        key: str,
        dbName: str,  # noqa: N803 - the tutorial's signature
        collectionName: str,  # noqa: N803 - the tutorial's signature
        timeout: float = 20,
        *,
        limit: int = 10,
    ) -> None:
        self._database = TencentDatabase(host, port, username, key, dbName, timeout)
        self._name, self._limit = collectionName, limit

    def __call__(self, vector: Any) -> list[Any]:
        """Return ``[[path, score], …]``, nearest first.

        For several vectors, return a list of such lists.
        """
        collection = self._database.open(self._name)
        results = collection.search(matrix(vector), k=self._limit)
        # Tencent's own score is the distance for L2
        score = "distance" if collection.schema.metric == "l2" else "score"
        rows = [
            [[hit.fields.get("path", ""), getattr(hit, score)] for hit in hits] for hits in results
        ]
        return rows if np.ndim(vector[0]) else rows[0]


tcvdb_search = TcvdbSearch  # the name that Towhee looks for
