"""The pipelines that a library runs, built at the first use.

Towhee is imported then, too, so that opening a library does not wait for it.
"""

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

from imgsearch.encoders import Recipe
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.embedding import Chunk
from imgsearch.encoders.text_reader import require_reader
from imgsearch.errors import ConfigError, ImgSearchError, StepFailed
from imgsearch.types import Closeable

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline

_KEPT: Final = 6  # pipelines; each has threads
T = TypeVar("T")


class PipelineCache(Closeable):
    """Builds pipelines for recipes and users' steps, and keeps the last ones. Thread-safe."""

    def __init__(self, *, regions: Detection | None, max_pixels: int) -> None:
        self._regions, self.max_pixels = regions, max_pixels
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def insert(
        self, recipe: Recipe, steps: "Pipeline | None", *, nested: bool = False
    ) -> Callable[[Chunk], Any]:
        """Return the pipeline that embeds and writes a chunk.

        With `nested` it is another one, which the `write` of a chunk may run: so it never waits for
        the threads of the runs that wait for it.

        Raises:
            ConfigError: `steps` is not an open pipeline, or cannot be combined with regions.
        """
        from imgsearch.pipelines.chunks import IngestPipeline

        return self._cached(
            ("insert", _key(recipe), _open(steps), _niceness(), nested),
            lambda: IngestPipeline(
                recipe, steps=steps, regions=self._regions, max_pixels=self.max_pixels
            ),
        )

    def encode(self, recipe: Recipe | None, steps: "Pipeline | None") -> "Pipeline":
        """Return the pipeline: query → encoded.

        Raises:
            ConfigError: `steps` is not an open pipeline.
        """
        from imgsearch.pipelines.search import query_pipeline

        def build() -> "Pipeline":
            queries = query_pipeline(recipe, steps=steps, max_pixels=self.max_pixels)
            return queries.returning("encoded")

        return self._cached(("encode", _key(recipe), _open(steps)), build)

    def search(self, recipe: Recipe | None, steps: "Pipeline | None") -> "Pipeline":
        """Return the pipeline: query, search → encoded, hits.

        Raises:
            ConfigError: `steps` is not an open pipeline.
        """
        from imgsearch.pipelines.search import hits_pipeline

        return self._cached(
            ("search", _key(recipe), _open(steps)),
            lambda: hits_pipeline(recipe, steps=steps, max_pixels=self.max_pixels),
        )

    def with_texts(self, steps: "Pipeline | None") -> "Pipeline":
        """Return a user's steps followed by one that reads the text in each image.

        Raises:
            MissingExtra: the extra `ocr` is not installed.
            ConfigError: `steps` is not an open pipeline.
        """
        from imgsearch.pipelines.chunks import text_steps

        require_reader()
        key = ("texts", _open(steps))
        return self._cached(key, lambda: text_steps(steps, max_pixels=self.max_pixels))

    @override
    def close(self) -> None:
        """Stop the pipelines' threads. Idempotent."""
        with self._lock:
            while self._kept:
                self._kept.popitem()[1].close()

    def _cached(self, key: Hashable, build: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = build()
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)  # its threads end with the last run
            pipeline: T = self._kept[key]
            return pipeline


def query_row(pipeline: "Pipeline", steps: "Pipeline | None", *inputs: Any) -> Mapping[str, Any]:
    """Run a pipeline, which has a user's `steps` or None, over a query; return its row.

    Raises:
        StepFailed: a step raised an exception.
        ConfigError: the steps left the query out, or made several of it.
    """
    try:
        rows = pipeline(*inputs)
    except ImgSearchError:
        raise
    except Exception as error:
        if steps is None:
            raise
        raise StepFailed.of(error) from error
    if len(rows) != 1:
        raise ConfigError(f"the pipeline made {len(rows)} rows of a query: it must make one.")
    return rows[0]


def _niceness() -> int:
    """Return this thread's niceness. A pipeline's threads have that of its first caller."""
    if sys.platform != "linux" or not hasattr(os, "getpriority"):
        return 0
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def _key(recipe: Recipe | None) -> str:
    return recipe.to_json() if recipe else ""


def _open(steps: "Pipeline | None") -> "Pipeline | None":
    """Check that a user's steps are an open pipeline.

    Raises:
        ConfigError: they are closed, or of another type.
    """
    if steps is None:
        return None
    from imgsearch.towhee import Pipeline

    if isinstance(steps, Pipeline):
        return steps
    raise ConfigError(
        f"the pipeline is a {type(steps).__name__}: pass an open one, without .output(…)."
    )
