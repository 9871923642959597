"""The three pipelines: embed, insert, search; and search by texts."""

from imgsearch.pipelines.embed import embed_pipeline
from imgsearch.pipelines.insert import insert_pipeline
from imgsearch.pipelines.search import (
    search_pipeline,
    text_search_pipeline,
)

__all__ = [
    "embed_pipeline",
    "insert_pipeline",
    "search_pipeline",
    "text_search_pipeline",
]
