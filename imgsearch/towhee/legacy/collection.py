"""The DataCollection of Towhee 0.x, over a pipeline of one column."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from imgsearch.errors import ConfigError
from imgsearch.towhee.errors import keep_error
from imgsearch.towhee.imports import towhee
from imgsearch.towhee.legacy import refuse
from imgsearch.towhee.legacy.call import Call, Columns, names
from imgsearch.towhee.legacy.operators import operator
from imgsearch.towhee.legacy.rows import Empty, apply, boxed, entity, entity_type, raw, start
from imgsearch.towhee.operator import Operator
from imgsearch.towhee.pipeline import Pipeline

_CHUNK: Final = 64  # rows in one run: their images are in memory together
_LINE: Final = "a function in .map('in', 'out', FUNCTION)"
# methods of 0.x that are not operators, and the 1.1.3 code
_REPLACED: Final = {
    "batch": ".window('in', 'out', SIZE, SIZE, FUNCTION)", "group_by": ".window_all(…)",
    "plot": "DataCollection(p(x)).show()", "rolling": ".window('in', 'out', SIZE, STEP, FUNCTION)",
    "sample": _LINE, "select_from": _LINE, "set_jit": "nothing; it has no effect",
    "shuffle": "random.shuffle on the list of inputs", "split_train_test": _LINE,
    "to_csv": "csv.writer over DataCollection(p(x))",
    "to_faiss": "ops.ann_insert.faiss_index(FOLDER, DIMENSION)", "zip": ".concat(OTHER)",
    "train": "imgsearch does not train operators",
}  # fmt: skip


class LegacyCollection:
    """Rows, or plain values, and the steps that are put on them.

    A collection of a list runs each step when it is added, as in 0.x. A stream runs its steps when
    it is read. Without rows the steps are for the argument of a function (`as_function`).
    """

    def __init__(
        self,
        rows: Iterable[Any] | None,
        pipeline: Pipeline | None = None,
        operators: tuple[Any, ...] = (),
        *,
        safe: bool = False,
    ) -> None:
        self._source = rows
        self._pipeline, self._operators = pipeline or start(), operators
        self._safe = safe
        self._metrics: list[str] = []
        self._scores: dict[str, dict[str, float]] = {}

    # steps

    def __getattr__(self, name: str) -> Call:
        """Return the step `name`: an operator, or a method that takes columns in brackets.

        Raises:
            AttributeError: the name begins with an underscore.
            OperatorNotFound: the method has no equivalent here.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _REPLACED:
            refuse(f".{name}()", _REPLACED[name])
        return Call(self._dispatch, name)

    def _dispatch(
        self, name: str, index: Any, args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        match name:
            case "runas_op":
                return self.step((*args, *options.values())[0], index)
            case "select":
                return self._select(names(args if index is None else index))
            case "to_milvus":
                return self._to_milvus(names(index or ()), *args, **options)
            case "evaluate":
                return self._evaluate(index, *args, **options)
        built = operator(name, args, options)
        return self.step(built, index, built)

    def step(
        self, function: Callable[..., Any], index: Any = None, built: Any = None
    ) -> "LegacyCollection":
        """Return the collection with a step; without columns it gets and returns whole rows.

        `built` is the operator behind `function`, which learns when a run ends.
        """
        columns, safe = Columns.of(index), self._safe

        def call(row: Any) -> Any:
            with keep_error():
                try:
                    return apply(function, columns, row) if index is not None else function(row)
                except Exception as error:
                    if not safe:
                        raise
                    return Empty(error, row)

        longer = self._pipeline.map("row", "row", boxed(call))
        return self._next(longer, () if built is None else (built,))

    def map(self, function: Callable[..., Any]) -> "LegacyCollection":
        """Return the results of `function`, which gets a row or value."""
        return self.step(function)

    def filter(self, condition: Callable[..., Any]) -> "LegacyCollection":
        """Return the rows for which `condition` is true."""

        def chosen(box: Any) -> bool:
            return isinstance(box[0], Empty) or bool(condition(box[0]))

        return self._next(self._pipeline.filter("row", "row", "row", chosen))

    def flatten(self, *columns: str) -> "LegacyCollection":
        """Return a row for each item of a column, or of each value."""

        def items(box: Any) -> list[Any]:
            row = box[0]
            if isinstance(row, Empty):
                return [box]
            if not columns:
                return [(item,) for item in row]
            parts = zip(*(getattr(row, name) for name in columns), strict=True)
            known = vars(row)
            return [(entity({**known, **dict(zip(columns, part, strict=True))}),) for part in parts]

        return self._next(self._pipeline.flat_map("row", "row", items))

    def _select(self, columns: tuple[str, ...]) -> "LegacyCollection":
        return self.step(lambda row: entity({name: getattr(row, name) for name in columns}))

    def as_raw(self) -> "LegacyCollection":
        """Return the values of rows: a tuple, or the value of a single column."""
        return self.step(raw)

    def as_entity(self, schema: list[str] | None = None) -> "LegacyCollection":
        """Return rows of dictionaries, or of values that `schema` names."""

        def row(value: Any) -> Any:
            if schema is None:
                return entity(value)
            return entity(
                dict(
                    zip(schema, value if isinstance(value, list | tuple) else (value,), strict=True)
                )
            )

        return self.step(row)

    def as_json(self) -> "LegacyCollection":
        """Return rows as texts of JSON."""
        return self.step(lambda row: json.dumps(vars(row)))

    def parse_json(self) -> "LegacyCollection":
        """Return rows of texts of JSON."""
        return self.step(lambda text: entity(json.loads(text)))

    def set_parallel(self, *_: Any, **__: Any) -> "LegacyCollection":
        """Return the collection unchanged: each step of a run has a thread already."""
        return self

    def exception_safe(self) -> "LegacyCollection":
        """Return the collection; an exception in a later step becomes an `Empty`."""
        rows = self._source
        return LegacyCollection(rows, self._pipeline, self._operators, safe=True)

    safe = exception_safe

    def drop_empty(self, callback: Callable[["Empty"], Any] | None = None) -> "LegacyCollection":
        """Return the rows that are not `Empty`; call `callback` with each that is."""

        def rows() -> Iterator[Any]:
            for row in self:
                if isinstance(row, Empty):
                    if callback is not None:
                        callback(row)
                else:
                    yield row

        return LegacyCollection(rows() if self.is_stream else list(rows()))

    def fill_empty(self, default: Any = None) -> "LegacyCollection":
        """Return the rows, with `default` in the place of each `Empty`."""
        rows = (default if isinstance(row, Empty) else row for row in self)
        return LegacyCollection(rows if self.is_stream else list(rows))

    # results

    @property
    def is_stream(self) -> bool:
        """Whether the rows are read only once, when they are needed."""
        return self._source is None or isinstance(self._source, Iterator)

    def stream(self) -> "LegacyCollection":
        """Return the rows as a stream."""
        return LegacyCollection(iter(self), safe=self._safe)

    def unstream(self) -> "LegacyCollection":
        """Return the rows as a list."""
        return LegacyCollection(list(self), safe=self._safe)

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows, running the steps of a stream on some of them at a time."""
        if self._source is None:
            raise ConfigError("the steps of towhee.api have no rows. End them with .as_function().")
        if not isinstance(self._source, Iterator):
            yield from self._source
            return
        yield from self._run(self._source)

    def __len__(self) -> int:
        return len(self._list())

    def __getitem__(self, index: Any) -> Any:
        rows = self._list()[index]
        return LegacyCollection(rows) if isinstance(index, slice) else rows

    def __repr__(self) -> str:
        return repr(self._source) if not self.is_stream else object.__repr__(self)

    def to_list(self) -> list[Any]:
        """Return the rows."""
        return list(self)

    def head(self, n: int = 5) -> "LegacyCollection":
        """Return the first `n` rows."""
        return LegacyCollection(list(islice(self, n)))

    def run(self) -> None:
        """Run the steps of a stream."""
        for _ in self:
            pass

    def to_df(self) -> Any:
        """Return the rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self])

    def show(self, limit: int = 5, **options: Any) -> None:
        """Print the first `limit` rows as a table, all if `limit` is negative."""
        rows = list(self if limit < 0 else islice(self, limit))
        records = [vars(row) if isinstance(row, entity_type()) else {"value": row} for row in rows]
        columns = list(records[0]) if records else []
        table = {
            "schema": columns,
            "type_schema": ["SCALAR"] * len(columns),
            "iterable": [[record[name] for name in columns] for record in records],
        }
        towhee.DataCollection(table).show(limit, **options)

    def as_function(self) -> Callable[[Any], Any]:
        """Return a function of the argument of ``towhee.api``. It is thread-safe."""
        runtime, operators = self._pipeline.output("row"), self._operators

        def search(value: Any) -> Any:
            ((row,),) = runtime([value]).get()
            _end_run(operators)
            return row

        return search

    def serve(self, path: str = "/", app: Any = None) -> Any:
        """Add the function as a POST route to a FastAPI application, which is returned.

        The function gets an image's body as bytes, and any other body as text.
        """
        from imgsearch.towhee.legacy.serve import add_route

        return add_route(app, path, self.as_function())

    def _to_milvus(
        self, columns: tuple[str, ...], collection: Any, batch: int = 1, **_: Any
    ) -> "LegacyCollection":
        from imgsearch.backends.milvus import orm

        rows = iter(self)
        while part := list(islice(rows, max(1, int(batch)))):
            used = columns or tuple(vars(part[0]))
            orm.insert(collection, [[getattr(row, name) for row in part] for name in used])
        orm.finish(collection)
        return self if not self.is_stream else LegacyCollection([])

    def with_metrics(self, metric_types: Iterable[str] = ()) -> "LegacyCollection":
        """Return the collection; `evaluate` computes these metrics."""
        from imgsearch.towhee.legacy.metrics import METRICS

        self._metrics = list(metric_types)
        if unknown := sorted(set(self._metrics) - set(METRICS)):
            raise ConfigError(f"unknown metric {unknown[0]!r}: use {', '.join(METRICS)}.")
        return self

    def _evaluate(self, index: Any, name: str = "model") -> "LegacyCollection":
        from imgsearch.towhee.legacy.metrics import METRICS

        (actual,), (predicted,) = Columns.of(index)
        rows = [(list(getattr(row, actual)), list(getattr(row, predicted))) for row in self]
        self._scores[name] = {metric: METRICS[metric](rows) for metric in self._metrics}
        return self

    def report(self) -> dict[str, dict[str, float]]:
        """Print the metrics of `evaluate` as a table; return them by name and metric."""
        names_, metrics = list(self._scores), self._metrics
        values = [[self._scores[name][metric] for metric in metrics] for name in names_]
        rows = [[name, *row] for name, row in zip(names_, values, strict=True)]
        schema = ["", *metrics]
        towhee.DataCollection(
            {"schema": schema, "type_schema": ["SCALAR"] * len(schema), "iterable": rows}
        ).show()
        return self._scores

    # running

    def _list(self) -> list[Any]:
        if self.is_stream:
            raise TypeError("a stream has no length and no index. Call .unstream() first.")
        return list(self._source or ())

    def _next(self, pipeline: Pipeline, built: tuple[Any, ...] = ()) -> "LegacyCollection":
        operators = (*self._operators, *built)
        longer = LegacyCollection(self._source, pipeline, operators, safe=self._safe)
        if longer.is_stream:
            return longer
        return LegacyCollection(list(longer._run(longer._source or ())), safe=self._safe)

    def _run(self, rows: Iterable[Any]) -> Iterator[Any]:
        runtime = self._pipeline.output("row")
        try:
            stream = iter(rows)
            while chunk := list(islice(stream, _CHUNK)):
                queue = runtime(chunk)
                _end_run(self._operators)
                for _ in range(queue.size):
                    ((row,),) = queue.get()
                    yield row
        finally:
            runtime.close()


def _end_run(operators: Iterable[Any]) -> None:
    for step in operators:
        if isinstance(step, Operator):
            step.end_run()
