"""Runs shards as calls of a function over a column of Daft, in processes of its workers."""

import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import daft
from typing_extensions import override

from imgsearch.errors import EngineFailed, ImgSearchError
from imgsearch.jobs.engines.base import Engine, Result
from imgsearch.jobs.folder import JobFolder
from imgsearch.jobs.shard import ShardWork
from imgsearch.library.progress import Progress
from imgsearch.text import counted
from imgsearch.threads import share_memory

_WAVE: Final = 1_000  # shards in a query of Daft, which yields nothing before its end


class DaftEngine(Engine):
    """The engine `daft`: Daft's own runner on this machine, or on Ray at the address `cluster`."""

    @override
    def map(
        self, work: ShardWork, shards: Iterator[int], on_progress: Callable[[Progress], None]
    ) -> Iterator[Result]:
        if self.options.cluster is not None:
            daft.set_runner_ray(self.options.cluster)
        job = JobFolder.open(work.url, token=work.token)
        while wave := list(islice(shards, _WAVE)):
            before = job.tries()
            error, failure = _collect(work, wave, self.options.gpus)
            if error is not None:
                raise error
            done = set(job.shards())
            if failure is not None and not done & set(wave) and job.tries() == before:
                waiting = counted(len(wave), "shard")
                raise EngineFailed(f"Daft ran none of {waiting}: {failure}") from failure
            for shard in wave:
                yield shard, job.outcome(shard) if shard in done else None


def _collect(
    work: ShardWork, wave: list[int], gpus: float
) -> tuple[ImgSearchError | None, Exception | None]:
    """Run the shards; return an error of a shard, and Daft's error, if its worker died."""
    worker = daft.cls(_Worker, use_process=True, max_concurrency=1, max_retries=0, gpus=gpus)
    function = worker(work).run
    try:
        rows = daft.from_pydict({"shard": wave}).select(function(daft.col("shard")).alias("error"))
        errors = rows.to_pydict()["error"]
    except Exception as error:  # noqa: BLE001 - Daft raises RuntimeError and its own classes
        return None, error
    return next((_unpickled(error) for error in errors if error), None), None


class _Worker:
    """Runs shards in a process of Daft's. Errors are values, because Daft would wrap them."""

    def __init__(self, work: ShardWork) -> None:
        share_memory()
        self._work = work

    @daft.method(return_dtype=daft.DataType.binary())
    def run(self, shard: int) -> bytes:
        """Run a shard; return its error, pickled, or nothing."""
        try:
            self._work(shard)
        except ImgSearchError as error:
            return pickle.dumps(error)
        return b""


def _unpickled(data: bytes) -> ImgSearchError:
    error: ImgSearchError = pickle.loads(data)  # noqa: S301 - of our own worker
    return error
