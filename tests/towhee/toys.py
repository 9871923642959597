"""Faulty operators, registered beside the real ones."""

import gc
from collections import Counter
from typing import ClassVar

from imgsearch.errors import DimensionMismatch, EncoderError, ImageCorrupt, SourceError
from imgsearch.towhee import BatchOperator, Operator, Pipeline
from imgsearch.towhee.imports import towhee

BUILT = Counter()


class Toy(Operator):
    def __init__(self):
        BUILT[type(self).__name__] += 1


class ToyFail(Toy):
    def __call__(self, row):
        raise ImageCorrupt(f"{row} is broken", path=row, stage="decode")


class ToyUnbuildable(Operator):
    def __init__(self):
        raise DimensionMismatch("no", expected=2, got=3)

    def __call__(self, row):
        return row


class ToyCaused(Toy):
    def __call__(self, row):
        cause = OSError("the disk is full")
        raise SourceError("no file") from cause


class ToyBug(Toy):
    def __call__(self, row):
        return 1 / 0


class ToyEcho(Toy):
    def __call__(self, row):
        return row


class ToyRuns(ToyEcho):
    ends: ClassVar[list[str]] = []

    def end_run(self):
        self.ends.append("run")

    def flush(self):
        self.ends.append("flush")


class ToyOdd(Toy):
    def __call__(self, row):
        if row % 2:
            raise ImageCorrupt(f"{row} is odd")
        return row


class ToyNone(Toy):
    def __call__(self, row):
        return None


class ToyStream(Toy):
    def __call__(self, number):
        yield from range(number)
        raise SourceError("the rest is missing")


class ToyCollecting(Operator):
    def __init__(self):
        gc.collect()

    def __call__(self, row):
        return row


class ToyBatch(BatchOperator):
    calls: ClassVar = []

    def __init__(self):
        pass

    def __call__(self, rows):
        self.calls.append(len(rows))
        if min(rows) < 0:
            raise EncoderError("negative")
        return [row * 10 for row in rows]


for _toy in (
    ToyFail,
    ToyUnbuildable,
    ToyBug,
    ToyCaused,
    ToyEcho,
    ToyRuns,
    ToyOdd,
    ToyNone,
    ToyStream,
    ToyCollecting,
    ToyBatch,
):
    towhee.register(name=f"imgsearch-toys/toy-{_toy.__name__[3:].lower()}")(_toy)


def op(name, **config):
    return getattr(towhee.ops.imgsearch_toys, name)(**config)


def pipeline(name, **config):
    return Pipeline.input("row").map("row", "out", op(name, **config))
