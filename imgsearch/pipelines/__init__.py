"""Pipelines that embed images, insert them into a collection, and search with images or texts."""

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
