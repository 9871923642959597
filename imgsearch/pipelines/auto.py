"""Named pipelines for Towhee's ``AutoConfig`` and ``AutoPipes``.

Towhee 1.1.3 holds a lock while it calls these functions, so they must not call ``AutoPipes``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imgsearch.backends import FieldNames
from imgsearch.encoders import DEFAULT
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter
from imgsearch.images import MAX_PIXELS
from imgsearch.pipelines.embed import embed_pipeline
from imgsearch.pipelines.insert import insert_pipeline
from imgsearch.pipelines.search import search_pipeline
from imgsearch.towhee import Pipeline, Runtime
from imgsearch.towhee.imports import towhee


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


@dataclass
class TcvdbInsertConfig:
    """The collection of Tencent VectorDB that ``insert_tcvdb`` writes to.

    The fields have the names of Towhee's ``MilvusInsertConfig``. `password` is the account's key.
    """

    host: str = "127.0.0.1"
    port: str | int = "19530"
    collection_name: str | None = None
    user: str | None = "root"
    password: str | None = field(default=None, repr=False)
    db_name: str = "image-search"
    timeout: float = 20.0


@dataclass
class TcvdbSearchConfig(TcvdbInsertConfig):
    """The collection that ``search_tcvdb`` searches.

    `search_params` are keyword arguments of the operator `tcvdb_search`, such as ``{"limit": 5}``.
    """

    search_params: Mapping[str, Any] = field(default_factory=dict)


def embed(config: EmbedConfig | None = None) -> Runtime:
    """Return a closed pipeline: source → path, image, vector; one row per image."""
    return embed_pipeline(**_plain(config or EmbedConfig())).output("path", "image", "vector")


def insert(config: InsertConfig | None = None) -> Runtime:
    """Return a closed pipeline: source → path, id; one row per image."""
    return insert_pipeline(**_plain(config or InsertConfig())).output("path", "id")


def search(config: SearchConfig | None = None) -> Runtime:
    """Return a closed pipeline: source → path, hits; one row per query image."""
    return search_pipeline(**_plain(config or SearchConfig())).output("path", "hits")


def insert_tcvdb(config: TcvdbInsertConfig | None = None) -> Runtime:
    """Return a closed pipeline: a row ``(path, vector)`` → the result of `tcvdb_insert`."""
    insert = towhee.ops.ann_insert.tcvdb_client(**_collection(config or TcvdbInsertConfig()))
    rows: Pipeline = Pipeline.input("row").map("row", ("path", "vector"), tuple)
    longer: Pipeline = rows.map(("path", "vector"), "mr", insert)
    return longer.output("mr")


def search_tcvdb(config: TcvdbSearchConfig | None = None) -> Runtime:
    """Return a closed pipeline: a vector → ``[[path, score], …]``, nearest first."""
    config = config or TcvdbSearchConfig()
    search = towhee.ops.ann_search.tcvdb_client(**_collection(config), **config.search_params)
    longer: Pipeline = Pipeline.input("vec").map("vec", "rows", search)
    return longer.output("rows")


CONFIGS: Final[Mapping[str, type[EmbedConfig] | type[TcvdbInsertConfig]]] = {
    "imgsearch_embed": EmbedConfig,
    "imgsearch_insert": InsertConfig,
    "imgsearch_search": SearchConfig,
    "insert_tcvdb": TcvdbInsertConfig,
    "search_tcvdb": TcvdbSearchConfig,
}
"""The classes for ``AutoConfig.load_config(NAME, …)``, by name."""

PIPES: Final[Mapping[str, Callable[..., Runtime]]] = {
    "imgsearch_embed": embed,
    "imgsearch_insert": insert,
    "imgsearch_search": search,
    "insert_tcvdb": insert_tcvdb,
    "search_tcvdb": search_tcvdb,
}
"""The functions for ``AutoPipes.pipeline(NAME, config=…)``, by name."""


def _plain(config: EmbedConfig) -> dict[str, Any]:
    return dict(vars(config))


def _collection(config: TcvdbInsertConfig) -> dict[str, Any]:
    """Return the arguments of the Tencent operators.

    Raises:
        ConfigError: the collection's name or the key is missing.
    """
    if not (config.collection_name and config.password):
        raise ConfigError(
            "collection_name or password is missing. Set both in the configuration; the password "
            "is the account's key."
        )
    return {
        "host": config.host,
        "port": config.port,
        "username": config.user or "root",
        "key": config.password,
        "dbName": config.db_name,
        "collectionName": config.collection_name,
        "timeout": config.timeout,
    }
