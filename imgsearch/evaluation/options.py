"""Options of an evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imgsearch.backends import Metric
from imgsearch.evaluation.run import SEED
from imgsearch.images import MAX_PIXELS

OnProgress = Callable[[str, int, int], None]
"""Called with the stage ("index" or "search"), the number of images done, and the total."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What an evaluation measures.

    `ks` are the numbers of hits that the measures count. `timed` also measures the speed, which
    takes some seconds, unless the queries are stored vectors. `mapped` adds a map of the gallery.
    `seed` draws queries and the map's images. `max_pixels` limits the decoded pixels of an image.
    """

    ks: Sequence[int] = (1, 5, 10)
    timed: bool = False
    mapped: bool = False
    seed: int = SEED
    max_pixels: int = MAX_PIXELS
    on_progress: OnProgress | None = None

    @property
    def k(self) -> int:
        """The largest of `ks`."""
        return max(self.ks)

    def report(self, stage: str, done: int, total: int) -> None:
        """Call `on_progress`, if there is one."""
        if self.on_progress is not None:
            self.on_progress(stage, done, total)


@dataclass(frozen=True)
class Target:
    """The collection that a dataset's vectors are written to.

    Without `url` it is in memory, and dropped after the evaluation. With `url` it stays in that
    store. The default name is derived from dataset, encoder, index and metric.
    """

    url: str | None = None
    collection: str | None = None
    index: str = "flat"
    metric: Metric = "cosine"
