"""Towhee pipelines with typed errors, bounded memory and no deadlocks."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from copy import deepcopy
from functools import wraps
from itertools import islice
from time import monotonic
from typing import Any, Final, TypeAlias

from typing_extensions import override

from imgsearch.errors import ConfigError
from imgsearch.threads import DaemonPool
from imgsearch.towhee.errors import restore_error
from imgsearch.towhee.imports import (
    InputConst,
    MapConst,
    OPType,
    OutputConst,
    RuntimePipeline,
    TimeProfiler,
    TowheePipeline,
    _Graph,
)
from imgsearch.towhee.operator import first_failure
from imgsearch.towhee.registry import require_operator
from imgsearch.towhee.row_errors import keep_row_errors, skip_failed_rows
from imgsearch.types import FailedRow

Row: TypeAlias = dict[str, Any]
"""One output row: the columns by name, and "error", which is None unless the row failed."""

_WORKERS: Final = 32  # threads; with Towhee's default, cores + 4, a run with more nodes hangs
_PATIENCE: Final = 5.0  # seconds to wait for runs when a pipeline is closed
_DEPTH: Final = 16  # rows queued between nodes: they overlap, and few decoded images are held


class Pipeline(TowheePipeline):
    """An open Towhee pipeline. Extend it with `map`, `flat_map`, …, and close it with `output`.

    Pipelines from `imgsearch.pipelines` can also be called: the first call closes them with the
    output columns `columns` and builds their operators. Each call returns rows.
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
        """Return a copy of this pipeline that returns rows with `columns` when called."""
        return Pipeline(self._dag, self._clo_node, columns=columns)

    def inputs(self) -> tuple[str, ...]:
        """Return the names of the input columns."""
        return tuple(self._dag[InputConst.name]["outputs"])

    def names(self) -> set[str]:
        """Return the names of all columns that the pipeline's steps have set."""
        return {name for node in self._dag.values() for name in node["outputs"]}

    def sets(self, name: str) -> bool:
        """Return whether a step sets the column `name`, which may also be an input column."""
        steps = (node for key, node in self._dag.items() if key != InputConst.name)
        return any(name in node["outputs"] for node in steps)

    def origins(self) -> dict[str, str]:
        """Return the node that decided the rows of each column.

        Rows of two columns belong together only if one node decided them. All steps but `map`
        decide the rows of their outputs; other columns keep theirs.
        """
        after: dict[str, dict[str, str]] = {}
        for key, node in self._dag.items():  # a step comes after the steps that it follows
            origins: dict[str, str] = {}
            for earlier in (name for name in after if key in self._dag[name]["next_nodes"]):
                for column, origin in after[earlier].items():
                    same = origins.setdefault(column, origin) == origin
                    origins[column] = origin if same else key
            inputs = {origins[name] for name in node["inputs"] if name in origins}
            passes = node["iter_info"]["type"] == MapConst.name and len(inputs) == 1
            after[key] = origins | dict.fromkeys(node["outputs"], inputs.pop() if passes else key)
        return after[self._clo_node]

    def following(self, first: "Pipeline") -> "Pipeline":
        """Return `first`, continued by the steps of this pipeline.

        An error of a step fails its row, not the run, as far as the step runs by row.

        Raises:
            ConfigError: this pipeline starts from columns that `first` lacks.
        """
        dag, steps = deepcopy(first._dag), deepcopy(self._dag)
        start = steps.pop(InputConst.name)
        if missing := sorted(set(start["outputs"]) - first.names()):
            raise ConfigError(
                f"the pipeline starts from {', '.join(missing)}: there are only the columns "
                f"{', '.join(sorted(first.names()))}."
            )
        for node in steps.values():
            keep_row_errors(node)
        dag[first._clo_node]["next_nodes"] += start["next_nodes"]
        end = first._clo_node if self._clo_node == InputConst.name else self._clo_node
        return Pipeline({**dag, **steps}, end)

    def output(self, *columns: str) -> "Runtime":
        """Build the operators, and return the closed pipeline, a Towhee callable.

        Raises:
            OperatorNotFound: an operator is not on this machine.
            ImgSearchError: an operator cannot be built.
        """
        schema = self._check_schema(columns)
        dag = deepcopy(self._dag)
        for node in dag.values():
            if node["op_info"]["type"] == OPType.HUB:
                require_operator(node["op_info"]["operator"], node["op_info"]["tag"])
        dag[OutputConst.name] = self._nop_node_dict(schema, schema)
        dag[self._clo_node]["next_nodes"].append(OutputConst.name)
        return Runtime(dag)

    def build(self) -> "Runtime":
        """Return the pipeline closed with its own columns. The first call builds it.

        Raises:
            ConfigError: the pipeline has no columns, because steps were added.
            ImgSearchError: an operator cannot be built.
        """
        if not self.columns:
            raise ConfigError(
                "cannot call an open pipeline: its output columns are unknown. Close it with "
                ".output(COLUMN, …)."
            )
        with self._building:
            if self._runtime is None:
                self._runtime = self.output(*self.columns)
            return self._runtime

    def __call__(self, *inputs: Any) -> list[Row]:
        """Run once; return the rows. All rows are processed before an error is raised.

        Raises:
            ImgSearchError: the error of the first failed row.
        """
        rows = list(self.stream([inputs[0] if len(inputs) == 1 else inputs]))
        for row in rows:
            if row["error"] is not None:
                raise row["error"]
        return rows

    def stream(self, inputs: Iterable[Any]) -> Iterator[Row]:
        """Run once for each of `inputs`; yield all rows in order, including failed ones.

        A failed row has its error in "error", and None in the columns after the failed step.
        If the pipeline has several input columns, each input is a tuple.
        """
        for row in inputs:
            queue = self._run(row)
            for _ in range(queue.size):
                yield _row(self.columns, queue.get())

    def _run(self, row: Any) -> Any:
        while True:
            runtime = self.build()
            try:
                return runtime(*row) if runtime.width > 1 else runtime(row)
            except RuntimeClosed:  # by another thread, after `build`
                continue

    def close(self) -> None:
        """Close the operators; a later call builds them again."""
        with self._building:
            if self._runtime is not None:
                self._runtime.close()
                self._runtime = None


def _row(columns: tuple[str, ...], values: list[Any]) -> Row:
    failure = first_failure(values)
    row: Row = {
        name: None if isinstance(value, FailedRow) else value
        for name, value in zip(columns, values, strict=True)
    }
    row["error"] = failure.error if failure else None
    return row


def _wrap_step(step: Callable[..., TowheePipeline]) -> Callable[..., Pipeline]:
    """Wrap a method of Towhee to return a `Pipeline` whose functions never get failed rows."""

    @wraps(step)
    def add_step(self: Pipeline, *args: Any, **config: Any) -> Pipeline:
        longer = step(self, *args, **config)
        skip_failed_rows(longer._dag[longer._clo_node])
        return Pipeline(longer._dag, longer._clo_node)

    return add_step


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
    setattr(Pipeline, _name, _wrap_step(getattr(TowheePipeline, _name)))


class RuntimeClosed(RuntimeError):
    """A closed pipeline was called after `Runtime.close`."""


class Runtime(RuntimePipeline):
    """A closed Towhee pipeline with typed errors, bounded queues and no deadlocks.

    Every node of a run occupies a thread until its stream ends. So a run starts only when all its
    nodes have a thread; otherwise runs that wait for threads would block each other.
    """

    def __init__(self, dag: dict[str, Any]) -> None:
        super().__init__(dag, max_workers=1)  # replaced below, because it depends on the nodes
        nodes = len(self._dag_repr.nodes)
        self._runs = max(1, _WORKERS // nodes)
        self._closed = False
        self._turns = threading.BoundedSemaphore(self._runs)
        # not the standard executor, which at exit would wait for a decoder that hangs
        self._thread_pool = DaemonPool(self._runs * nodes, "imgsearch")
        # reentrant: while a thread holds this lock to build an operator, the garbage collector may
        # free a node in the same thread, which takes the lock again
        self._operator_pool._lock = threading.RLock()
        with restore_error():
            self.width = self.preload().input_col_size

    @override
    def _call(
        self, *inputs: Any, profiler: bool, tracer: bool, trace_edges: Any = None
    ) -> tuple[Any, Any, Any]:
        with restore_error(), self._turns:
            if self._closed:
                raise RuntimeClosed("the pipeline is closed")
            graph = _Graph(
                self._dag_repr.nodes,
                self._dag_repr.edges,
                self._operator_pool,
                self,
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
        def run(row: Any) -> tuple[Any, Any, Any]:
            inputs = (row,) if self.width == 1 else row
            return self._call(*inputs, profiler=profiler, tracer=tracer, trace_edges=trace_edges)

        results: list[tuple[Any, Any, Any]] = []
        with DaemonPool(self._runs, "imgsearch-batch") as callers:
            stream = iter(batch_inputs)
            while chunk := list(islice(stream, 1_000)):
                results += callers.map(run, chunk)
        return (
            [result for result, _, _ in results],
            [profile for _, profiles, _ in results for profile in profiles or ()] or None,
            [queues for _, _, traced in results for queues in traced or ()] or None,
        )

    def submit(self, process: Callable[[], None]) -> Future[None]:
        """Run a node in a thread. Towhee's graph calls this as its executor."""
        return self._thread_pool.submit(_end_node, process)

    def close(self) -> None:
        """Wait for runs, stop the threads and close the operators.

        A run that hangs, for example in a decoder, is not waited for longer than some seconds.
        """
        self._closed = True
        deadline = monotonic() + _PATIENCE
        turns = 0
        while turns < self._runs and self._turns.acquire(timeout=max(0, deadline - monotonic())):
            turns += 1
        self._thread_pool.close(max(0, deadline - monotonic()), drop=False)
        if turns:  # calls that wait for a turn end, too
            self._turns.release(turns)
        for storage in self._operator_pool._all_ops.values():
            for operator in storage._ops:
                getattr(operator, "close", lambda: None)()


def _end_node(process: Callable[[], None]) -> None:
    """Run a node. If it raises SystemExit, end it, so that its neighbors do not wait forever."""
    try:
        process()
    except BaseException as error:  # noqa: BLE001 - Towhee catches only Exception
        node = getattr(process, "__self__")  # noqa: B009 - `process` is the node's method
        node._set_failed(f"{type(error).__name__}: {error}")
