"""Runs shards as tasks of Ray, one on each node or GPU at a time.

Ray's own retries are off: a task that died is run again by `JobRun`, a bounded number of times.
"""

import math
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import ray
from ray import exceptions
from typing_extensions import override

from imgsearch.backends.vectors.folder import ShardOutcome
from imgsearch.errors import EngineFailed, ImgSearchError
from imgsearch.jobs.engines.base import Engine, Result
from imgsearch.jobs.shard import ShardWork
from imgsearch.library.progress import Progress
from imgsearch.threads import available_cores, share_memory

_AHEAD: Final = 2  # tasks for each worker, so that no worker waits for the driver
_CONNECTS: Final = 10.0  # seconds


class RayEngine(Engine):
    """The engine `ray`. A connection that the program opened is used, and stays open."""

    _is_shared = False

    @override
    @contextmanager
    def connected(self) -> Iterator[None]:
        is_open, self._is_shared = ray.is_initialized(), True
        try:
            yield
        finally:
            self._is_shared = False
            if not is_open:
                ray.shutdown()  # also ends the processes of a cluster that `_connection` started

    @override
    def map(
        self, work: ShardWork, shards: Iterator[int], on_progress: Callable[[Progress], None]
    ) -> Iterator[Result]:
        with self._connection():
            cores, workers = self._workers()
            task = ray.remote(num_cpus=cores, num_gpus=self.options.gpus, max_retries=0)(_run)
            granted = replace(work, threads=work.threads or cores)
            running = {
                task.remote(granted, shard): shard for shard in islice(shards, workers * _AHEAD)
            }
            while running:
                (done,), _ = ray.wait(list(running), num_returns=1)
                yield running.pop(done), _outcome(done)
                for shard in islice(shards, 1):
                    running[task.remote(granted, shard)] = shard

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Connect to a cluster, or start one on this machine, unless there is a connection.

        Raises:
            EngineFailed: there is no cluster at the address.
        """
        if ray.is_initialized():
            yield
            return
        try:
            _require_open_port(self.options.cluster)
            starts = self.options.cluster is None
            with _few_pools() if starts else nullcontext():
                ray.init(
                    address=self.options.cluster,
                    include_dashboard=False if starts else None,
                    log_to_driver=False,
                    configure_logging=False,
                )
        except Exception as error:  # Ray raises Exception itself if a node starts too slowly
            raise EngineFailed(
                f"Ray cannot connect to {self.options.cluster or 'a new cluster'}: {error}. Start "
                "it, or check its address."
            ) from error
        try:
            yield
        finally:
            if not self._is_shared:
                ray.shutdown()

    def _workers(self) -> tuple[int, int]:
        """Return the cores of a worker, and the number of workers that run at the same time.

        Raises:
            EngineFailed: no node has the resources.
        """
        cores, workers, gpus = math.inf, 0, self.options.gpus
        for node in ray.nodes():
            resources = node["Resources"] if node["Alive"] else {}
            number = int(resources.get("GPU", 0) // gpus) if gpus else 1
            if number and resources.get("CPU", 0) >= 1:
                workers += number
                cores = min(cores, max(1, resources["CPU"] // number))
        if not workers:
            raise EngineFailed(f"no node of the cluster has a core and {gpus:g} GPUs.")
        return int(cores), workers


@contextmanager
def _few_pools() -> Iterator[None]:
    """Let processes that start inside the block have few pools of memory; see `share_memory`.

    Ray's own `runtime_env` would set the variable, too, but then a worker never starts if the path
    of Python has a space.
    """
    name = "MALLOC_ARENA_MAX"
    if name in os.environ:  # noqa: TID251  # of glibc, not a setting
        yield
        return
    os.environ[name] = str(max(2, available_cores()))  # noqa: TID251  # as above
    try:
        yield
    finally:
        del os.environ[name]  # noqa: TID251  # as above


def _require_open_port(cluster: str | None) -> None:
    """Check that something listens at an address HOST:PORT, for which Ray waits minutes.

    Raises:
        OSError: nothing does.
    """
    host, _, port = (cluster or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECTS).close()


def _run(work: ShardWork, shard: int) -> tuple[ShardOutcome | None, ImgSearchError | None]:
    """Run a shard in a worker. Errors are values, because Ray would wrap them."""
    share_memory()
    try:
        return work(shard), None
    except ImgSearchError as error:
        return None, error


def _outcome(done: Any) -> ShardOutcome | None:
    """Return the outcome of a task, None if its worker or node died.

    Raises:
        ImgSearchError: an error of the shard.
        EngineFailed: the task cannot run.
    """
    try:
        outcome, error = ray.get(done)
    except (
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.OutOfMemoryError,
        exceptions.ObjectLostError,
    ):
        return None
    except exceptions.RayError as error:
        raise EngineFailed(f"a task of Ray failed: {error}") from error
    if error is not None:
        raise error
    result: ShardOutcome | None = outcome
    return result
