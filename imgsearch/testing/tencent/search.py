"""Exact search by brute force, for all index kinds.

Higher scores are nearer for COSINE and IP, lower scores for L2:
    COSINE  a·b / (|a| |b|), 0 if a or b is a zero vector
    IP      a·b
    L2      Σ (a - b)², squared as in faiss and hnswlib, which the SDK's protocol names as engines;
            it is unknown whether the service takes the square root
Scores are computed in float64 from float32 vectors, and rounded to float32 at the end.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.testing.tencent.filters import Predicate
from imgsearch.testing.tencent.schema import Document, Floats
from imgsearch.testing.tencent.store import View

Doubles = npt.NDArray[np.float64]

BLOCK: Final = 4096  # rows converted to float64 at once; 64 MB with 2,048 dimensions


def nearest(
    view: View,
    queries: Floats,
    *,
    metric: str,
    limit: int,
    radius: float | None = None,
    where: Predicate | None = None,
) -> list[list[tuple[Document, float]]]:
    """Return at most `limit` documents for each row of `queries`, shape (n, d), nearest first.

    `radius` is the worst score to return; None sets no limit. Ties keep the insertion order.
    """
    documents = list(view.documents.values())
    rows = [i for i, document in enumerate(documents) if not where or where(document.fields)]
    if not rows:
        return [[] for _ in queries]
    results = []
    matrix = view.matrix if len(rows) == len(documents) else view.matrix[rows]
    for scores in _scores(queries, matrix, metric):
        distances = scores if metric == "L2" else -scores
        order = np.argsort(distances, kind="stable")[:limit]
        if radius is not None:
            order = order[distances[order] <= (radius if metric == "L2" else -radius)]
        results.append([(documents[rows[i]], float(scores[i])) for i in order])
    return results


def sort_key(document: Document, field: str) -> tuple[bool, str | float]:
    """Return the sort key of a document for a field. Documents without the field come first."""
    value = document.id if field == "id" else document.fields.get(field)
    return (value is not None, "" if value is None else value)


def matching(view: View, ids: list[str] | None, where: Predicate | None) -> list[Document]:
    """Return the documents that match `where`. If `ids` is set, only documents with these ids."""
    by_id: Mapping[str, Document] = view.documents
    chosen = by_id.values() if ids is None else [by_id[id_] for id_ in ids if id_ in by_id]
    return [document for document in chosen if not where or where(document.fields)]


def _scores(queries: Floats, matrix: Floats, metric: str) -> Floats:
    """Return the scores, float32, shape (queries, rows)."""
    doubles = queries.astype(np.float64)
    blocks = [
        _block(doubles, matrix[start : start + BLOCK].astype(np.float64), metric)
        for start in range(0, len(matrix), BLOCK)
    ]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _block(queries: Doubles, stored: Doubles, metric: str) -> Doubles:
    if metric == "L2":
        return np.stack([((stored - query) ** 2).sum(axis=1) for query in queries])
    products: Doubles = queries @ stored.T
    if metric == "IP":
        return products
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(stored, axis=1)
    cosines: Doubles = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return cosines
