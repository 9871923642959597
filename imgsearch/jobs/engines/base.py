"""The interface of engines: an engine maps a function over the numbers of shards."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from imgsearch.backends.vectors.folder import ShardOutcome
from imgsearch.jobs.shard import ShardWork
from imgsearch.library.progress import Progress

Result = tuple[int, ShardOutcome | None]
"""The number of a shard and its outcome; None if its worker died, or it failed too often."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where an engine runs: the address of a cluster, and GPUs for each worker."""

    cluster: str | None = None
    gpus: float = 0.0


class Engine(ABC):
    """Runs shards, in any order and on any machine."""

    def __init__(self, options: EngineOptions = EngineOptions()) -> None:
        self.options = options

    def connected(self) -> AbstractContextManager[None]:
        """Return a context in which calls of `map` share a connection, which its end closes.

        The first call of `map` connects.
        """
        return nullcontext()

    @abstractmethod
    def map(
        self, work: ShardWork, shards: Iterator[int], on_progress: Callable[[Progress], None]
    ) -> Iterator[Result]:
        """Yield the result of each shard once it ends. `shards` may wait for the planner.

        `on_progress` is called with the progress of a shard, if it runs in this process.

        Raises:
            ImgSearchError: an error that every shard would have, such as one of the encoder.
        """
