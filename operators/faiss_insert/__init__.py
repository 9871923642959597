"""Vector and values → row of a folder, with the interface of ``ops.ann_insert.faiss_index``."""

from typing import Any

from imgsearch.backends.faiss_rows import FaissRows
from imgsearch.backends.rows import Inserted
from imgsearch.towhee import Operator


class FaissInsert(Operator):
    """Append vectors, each with values, to a folder that `faiss_search` searches."""

    def __init__(self, data_dir: str, dimension: int | None = None) -> None:
        self._rows = FaissRows.open(data_dir, dimension)

    def __call__(self, vector: Any, *values: Any) -> Inserted:
        """Write one row; return its id, which counts from 0."""
        return Inserted(1, [self._rows.insert(vector, values)])


faiss_insert = FaissInsert  # the name that Towhee looks for
