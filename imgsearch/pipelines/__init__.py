"""Pipelines that embed images, insert them into a collection, and search with images or texts."""

from imgsearch.pipelines.chunks import image_steps, text_steps
from imgsearch.pipelines.embed import embed_pipeline
from imgsearch.pipelines.insert import insert_pipeline
from imgsearch.pipelines.search import query_steps, search_pipeline, text_search_pipeline

__all__ = [
    "embed_pipeline",
    "image_steps",
    "insert_pipeline",
    "query_steps",
    "search_pipeline",
    "text_search_pipeline",
    "text_steps",
]
