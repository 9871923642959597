"""Vector → nearest rows of a folder, with the interface of ``ops.ann_search.faiss_index``."""

from typing import Any

from imgsearch.backends.faiss_rows import FaissRows
from imgsearch.towhee import Operator


class FaissSearch(Operator):
    """Search the folder of `faiss_insert` exhaustively with faiss."""

    def __init__(self, data_dir: str, top_k: int = 5) -> None:
        self._rows, self._k = FaissRows.open(data_dir), top_k

    def __call__(self, vector: Any) -> list[Any]:
        """Return ``[[id, distance, [*values]], …]``: squared L2 distances, nearest first."""
        return self._rows.search(vector, self._k)


faiss_search = FaissSearch  # the name that Towhee looks for
