"""The engine `here`, which needs no cluster."""

from collections.abc import Callable, Iterator

from typing_extensions import override

from imgsearch.jobs.engines.base import Engine, Result
from imgsearch.jobs.shard import ShardWork
from imgsearch.library.progress import Progress


class HereEngine(Engine):
    """Runs the shards in this process, one after the other, on all cores."""

    @override
    def map(
        self, work: ShardWork, shards: Iterator[int], on_progress: Callable[[Progress], None]
    ) -> Iterator[Result]:
        for shard in shards:
            yield shard, work(shard, on_progress)
