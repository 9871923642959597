"""Towhee pipelines that cannot deadlock, hold little in memory and raise typed errors."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import wraps
from itertools import islice
from typing import Any, Final, TypeAlias

from typing_extensions import override

from imgsearch.errors import ConfigError
from imgsearch.towhee.errors import handed_back
from imgsearch.towhee.imports import (
    FlatMapConst,
    InputConst,
    MapConst,
    OPType,
    OutputConst,
    RuntimePipeline,
    TimeProfiler,
    TowheePipeline,
    _Graph,
)
from imgsearch.towhee.operator import failed, failure_in
from imgsearch.towhee.registry import require
from imgsearch.types import Failure

Row: TypeAlias = dict[str, Any]
"""A pipeline's output: each column by name, and under "error" None or why the row failed."""

_WORKERS: Final = 32  # threads; Towhee's cores + 4 hang where a run has more nodes than that
_DEPTH: Final = 16  # rows between two nodes: enough to overlap, few enough for decoded images


class Pipeline(TowheePipeline):
    """An open Towhee pipeline: go on with Towhee's own `map`, `flat_map`, …, `output`.

    Those that `imgsearch.pipelines` makes can be called as they are: they close themselves over
    `columns` at the first call, once, and give rows.
    """

    def __init__(
        self,
        dag: dict[str, Any],
        clo_node: str = InputConst.name,
        *,
        columns: tuple[str, ...] = (),
    ) -> None:
        super().__init__(dag, clo_node)
        self.columns = columns
        self._runtime: Runtime | None = None
        self._building = threading.Lock()

    def returning(self, *columns: str) -> "Pipeline":
        """Return this pipeline, callable, with rows of `columns`."""
        return Pipeline(self._dag, self._clo_node, columns=columns)

    def output(self, *columns: str) -> "Runtime":
        """Close the pipeline over `columns`: build its operators, return Towhee's kind of callable.

        Raises:
            OperatorNotFound: an operator is not on this machine.
            ImgSearchError: an operator's own, where one cannot be built.
        """
        schema = self._check_schema(columns)
        dag = deepcopy(self._dag)
        for node in dag.values():
            if node["op_info"]["type"] == OPType.HUB:
                require(node["op_info"]["operator"], node["op_info"]["tag"])
        dag[OutputConst.name] = self._nop_node_dict(schema, schema)
        dag[self._clo_node]["next_nodes"].append(OutputConst.name)
        return Runtime(dag)

    def build(self) -> "Runtime":
        """Return the pipeline closed over its own columns; built at the first call.

        Raises:
            ConfigError: it has none, since steps were added: close it with `output`.
            ImgSearchError: an operator's own, where one cannot be built.
        """
        if not self.columns:
            raise ConfigError("close the pipeline with .output(COLUMN, …) before calling it")
        with self._building:
            if self._runtime is None:
                self._runtime = self.output(*self.columns)
            return self._runtime

    def __call__(self, *inputs: Any) -> list[Row]:
        """Run once; return the rows. All rows are worked on before an error is raised.

        Raises:
            ImgSearchError: the first failed row's own error.
        """
        rows = list(self.stream([inputs[0] if len(inputs) == 1 else inputs]))
        for row in rows:
            if row["error"] is not None:
                raise row["error"]
        return rows

    def stream(self, inputs: Iterable[Any]) -> Iterator[Row]:
        """Run once for each of `inputs`; yield the rows, the failed ones too, in order.

        A failed row holds its error under "error", and None in the columns that it never got.
        An input of several columns is a tuple.
        """
        runtime = self.build()
        for given in inputs:
            queue = runtime(*given) if runtime.width > 1 else runtime(given)
            for _ in range(queue.size):
                yield _row(self.columns, queue.get())

    def close(self) -> None:
        """Let go of the operators; a later call builds them anew."""
        with self._building:
            if self._runtime is not None:
                self._runtime.close()
                self._runtime = None


def _row(columns: tuple[str, ...], values: list[Any]) -> Row:
    failure = failure_in(values)
    row: Row = {
        name: None if isinstance(value, Failure) else value
        for name, value in zip(columns, values, strict=True)
    }
    row["error"] = failure.error if failure else None
    return row


def _staying_ours(step: Callable[..., TowheePipeline]) -> Callable[..., Pipeline]:
    """Return Towhee's method, giving our kind of pipeline and keeping failures from functions."""

    @wraps(step)
    def ours(self: Pipeline, *args: Any, **config: Any) -> Pipeline:
        longer = step(self, *args, **config)
        node = longer._dag[longer._clo_node]
        action = node["op_info"]
        if node["iter_info"]["type"] in _BY_ROW and callable(action["operator"]):
            flat = node["iter_info"]["type"] == FlatMapConst.name
            action["operator"] = _sparing(action["operator"], len(node["outputs"]), flat=flat)
        return Pipeline(longer._dag, longer._clo_node)

    return ours


def _sparing(function: Callable[..., Any], outputs: int, *, flat: bool) -> Callable[..., Any]:
    """Return `function`, but passing a row's failure on instead of being called with it."""

    @wraps(function)
    def spared(*columns: Any) -> Any:
        failure = failure_in(columns)
        if failure is None:
            return function(*columns)
        result = failed(failure, outputs)
        return [result] if flat else result

    return spared


_BY_ROW: Final = (MapConst.name, FlatMapConst.name)


for _name in (
    "map",
    "flat_map",
    "filter",
    "window",
    "window_all",
    "time_window",
    "reduce",
    "concat",
):
    setattr(Pipeline, _name, _staying_ours(getattr(TowheePipeline, _name)))


class Runtime(RuntimePipeline):
    """A closed pipeline: Towhee's, with typed errors, bounded queues and no deadlock.

    Every node of a run holds a thread until its stream ends, so a run is let in only when all
    its nodes find one: `_WORKERS` are shared out before, not fought for.
    """

    def __init__(self, dag: dict[str, Any]) -> None:
        super().__init__(dag, max_workers=1)  # replaced below, when the nodes are counted
        nodes = len(self._dag_repr.nodes)
        self._runs = max(1, _WORKERS // nodes)
        self._turns = threading.BoundedSemaphore(self._runs)
        self._thread_pool = ThreadPoolExecutor(
            max_workers=self._runs * nodes, thread_name_prefix="imgsearch"
        )
        # The garbage collector may free a node, which asks for this lock, while an operator is
        # being built under it by the same thread.
        self._operator_pool._lock = threading.RLock()
        with handed_back():
            self.width = self.preload().input_col_size

    @override
    def _call(
        self, *inputs: Any, profiler: bool, tracer: bool, trace_edges: Any = None
    ) -> tuple[Any, Any, Any]:
        with handed_back(), self._turns:
            graph = _Graph(
                self._dag_repr.nodes,
                self._dag_repr.edges,
                self._operator_pool,
                self._thread_pool,
                TimeProfiler(profiler),
                trace_edges,
            )
            for queue in graph.data_queues.values():
                if queue.max_size > _DEPTH:
                    queue.max_size = _DEPTH
            result = graph(inputs)
            return (
                result,
                [graph.time_profiler] if profiler else None,
                [graph.data_queues] if tracer else None,
            )

    @override
    def _batch(
        self, batch_inputs: Iterable[Any], profiler: bool, tracer: bool, trace_edges: Any = None
    ) -> tuple[list[Any], Any, Any]:
        def run(given: Any) -> tuple[Any, Any, Any]:
            inputs = (given,) if self.width == 1 else given
            return self._call(*inputs, profiler=profiler, tracer=tracer, trace_edges=trace_edges)

        results: list[tuple[Any, Any, Any]] = []
        with ThreadPoolExecutor(self._runs) as callers:
            stream = iter(batch_inputs)
            while chunk := list(islice(stream, 1_000)):
                results += callers.map(run, chunk)
        return (
            [result for result, _, _ in results],
            [profile for _, profiles, _ in results for profile in profiles or ()] or None,
            [queues for _, _, traced in results for queues in traced or ()] or None,
        )

    def close(self) -> None:
        """End the threads and close the operators."""
        self._thread_pool.shutdown()
        for storage in self._operator_pool._all_ops.values():
            for operator in storage._ops:
                getattr(operator, "close", lambda: None)()
