"""Searches by words with Milvus' own BM25, on servers from 2.5 on.

A collection that imgsearch creates on such a server has two more columns: the words of a record's
text fields, and a sparse vector that the server computes from them. The words are separated as for
searches in the process (see `imgsearch.backends.words`), so both find the same images.

Not run on a server: the newest one that runs in the tests is 2.3.5. The tests run the same requests
on milvus-lite, whose BM25 has one tokenizer only, and compare the messages with pymilvus' own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imgsearch.backends.checks import MAX_TEXT
from imgsearch.backends.word_search import Fusion
from imgsearch.backends.words import record_words
from imgsearch.types import Value

if TYPE_CHECKING:
    from pymilvus import CollectionSchema
    from pymilvus.milvus_client.index import IndexParams

WORDS: Final = "imgsearch_words"
"""The column of the words. No field of a user may have this name."""

SPARSE: Final = "imgsearch_bm25"
"""The column of the sparse vectors, and the name of their index."""

FIRST_VERSION: Final = (2, 5)  # has functions that compute BM25 vectors
ANALYZER: Final[Mapping[str, Any]] = {"tokenizer": "whitespace"}
"""How the server splits the words, which are separated by spaces."""

# as in searches in the process; the server's own defaults are the same
_BUILD: Final = {"inverted_index_algo": "DAAT_MAXSCORE", "bm25_k1": 1.2, "bm25_b": 0.75}


def is_supported(version: str) -> bool:
    """Return whether a server of this version has BM25.

    >>> [is_supported(version) for version in ("v2.3.5", "2.5", "v2.6.1-dev", "")]
    [False, True, True, False]
    """
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= FIRST_VERSION


def add_columns(columns: "CollectionSchema") -> None:
    """Add the columns and the function to the schema of a new collection."""
    from pymilvus import DataType, Function, FunctionType

    columns.add_field(
        WORDS,
        DataType.VARCHAR,
        max_length=MAX_TEXT,
        enable_analyzer=True,
        analyzer_params=dict(ANALYZER),
    )
    columns.add_field(SPARSE, DataType.SPARSE_FLOAT_VECTOR)
    columns.add_function(
        Function(
            name=SPARSE,
            function_type=FunctionType.BM25,
            input_field_names=[WORDS],
            output_field_names=[SPARSE],
        )
    )


def add_index(params: "IndexParams") -> None:
    """Add the index of the sparse vectors."""
    params.add_index(
        SPARSE,
        index_type="SPARSE_INVERTED_INDEX",
        index_name=SPARSE,
        metric_type="BM25",
        params=dict(_BUILD),
    )


def words_column(fields: Mapping[str, Value]) -> str:
    """Return the words of a record, at most 65,535 bytes."""
    text = " ".join(record_words(fields)).encode()
    return text[:MAX_TEXT].decode(errors="ignore")


def fusion_options(
    vector: Any, vector_field: str, params: Mapping[str, Any], fusion: Fusion, condition: str
) -> dict[str, Any]:
    """Return the options of `MilvusClient.hybrid_search` for a vector and words.

    `params` are the search parameters of `vector_field`, and `condition` filters both rankings.
    """
    from pymilvus import AnnSearchRequest, RRFRanker

    words = search_options(fusion.words)
    both = (
        ([vector], vector_field, dict(params)),
        (words["data"], words["anns_field"], words["search_params"]),
    )
    return {
        "reqs": [
            AnnSearchRequest(data, field, param, fusion.depth, expr=condition)
            for data, field, param in both
        ],
        "ranker": RRFRanker(fusion.rank_constant),
        "limit": fusion.k,
        "consistency_level": words["consistency_level"],
    }


def search_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of `MilvusClient.search` for words. Scores are by BM25, 0 or more."""
    return {
        "data": [" ".join(words)],
        "anns_field": SPARSE,
        "search_params": {"metric_type": "BM25", "params": {}},
        "consistency_level": "Session",
    }
