"""Named pipelines for Towhee's ``AutoConfig`` and ``AutoPipes``.

Towhee 1.1.3 holds a lock while it calls these functions, so they must not call ``AutoPipes``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imgsearch.backends import FieldNames
from imgsearch.encoders import DEFAULT
from imgsearch.filters import Filter
from imgsearch.images import MAX_PIXELS
from imgsearch.pipelines.embed import embed_pipeline
from imgsearch.pipelines.insert import insert_pipeline
from imgsearch.pipelines.search import search_pipeline
from imgsearch.towhee import Runtime


@dataclass
class EmbedConfig:
    """Arguments of `imgsearch.embed_pipeline`, to be passed to ``AutoPipes``."""

    model: str | None = DEFAULT
    weights: str | None = None
    options: Mapping[str, Any] | None = None
    on_error: str = "keep"
    max_pixels: int = MAX_PIXELS


@dataclass
class InsertConfig(EmbedConfig):
    """Arguments of `imgsearch.insert_pipeline`. `url` must be set."""

    url: str = ""
    collection: str = "images"
    index: str = "hnsw"
    metric: str = "cosine"
    regions: str | None = None


@dataclass
class SearchConfig(EmbedConfig):
    """Arguments of `imgsearch.search_pipeline`. `url` must be set."""

    model: str | None = None
    url: str = ""
    collection: str = "images"
    k: int = 10
    where: Filter | None = None
    min_score: float | None = None
    names: FieldNames = field(default_factory=FieldNames)


def embed(config: EmbedConfig | None = None) -> Runtime:
    """Return a closed pipeline: source → path, image, vector; one row per image."""
    return embed_pipeline(**_plain(config or EmbedConfig())).output("path", "image", "vector")


def insert(config: InsertConfig | None = None) -> Runtime:
    """Return a closed pipeline: source → path, id; one row per image."""
    return insert_pipeline(**_plain(config or InsertConfig())).output("path", "id")


def search(config: SearchConfig | None = None) -> Runtime:
    """Return a closed pipeline: source → path, hits; one row per query image."""
    return search_pipeline(**_plain(config or SearchConfig())).output("path", "hits")


CONFIGS: Final[Mapping[str, type[EmbedConfig]]] = {
    "imgsearch_embed": EmbedConfig,
    "imgsearch_insert": InsertConfig,
    "imgsearch_search": SearchConfig,
}
"""The classes for ``AutoConfig.load_config(NAME, …)``, by name."""

PIPES: Final[Mapping[str, Callable[..., Runtime]]] = {
    "imgsearch_embed": embed,
    "imgsearch_insert": insert,
    "imgsearch_search": search,
}
"""The functions for ``AutoPipes.pipeline(NAME, config=…)``, by name."""


def _plain(config: EmbedConfig) -> dict[str, Any]:
    return dict(vars(config))
