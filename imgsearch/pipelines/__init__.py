"""The three pipelines: embed, insert, search."""

from imgsearch.pipelines.embed import embed_pipeline
from imgsearch.pipelines.insert import insert_pipeline, records_pipeline
from imgsearch.pipelines.search import search_pipeline, vector_pipeline

__all__ = [
    "embed_pipeline",
    "insert_pipeline",
    "records_pipeline",
    "search_pipeline",
    "vector_pipeline",
]
