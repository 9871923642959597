"""Finds rows that repeat an id, in any number of files and little memory."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Rows = npt.NDArray[np.int64]

_BUCKETS: Final = 64  # temporary files: with 5 M ids, one has 2 MB
_SHIFT: Final = 2  # bits of a key's first byte that do not choose the bucket
# 128 bits of a hash, so two of 10**9 ids collide with probability 10**-21
_KEY: Final = np.dtype([("a", "<u8"), ("b", "<u8"), ("file", "<u4"), ("row", "<u4")])


def repeated_rows(files: Iterable[Iterable[pa.Array]]) -> dict[int, Rows]:
    """Return the rows whose id occurs in an earlier row, ascending, by the number of their file.

    A file is an iterable of parts of its id column. The first row by file and row counts. On disk
    it takes 24 bytes for each row, in memory those of one bucket of 64, and the repeated rows.

    >>> ids = [[pa.array(["a", "b", "a"])], [pa.array(["c"]), pa.array(["b"])]]
    >>> {file: rows.tolist() for file, rows in repeated_rows(ids).items()}
    {0: [2], 1: [1]}
    """
    with ExitStack() as stack:
        buckets = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(_BUCKETS)]
        for keys in _keys(files):
            for number, part in _divided(keys):
                buckets[number].write(part.tobytes())
        parts = [_repeated(bucket) for bucket in buckets]
    places = np.concatenate(parts)
    places = places[np.lexsort((places["row"], places["file"]))]
    numbers, starts = np.unique(places["file"], return_index=True)
    rows = np.split(places["row"].astype(np.int64), starts[1:]) if len(numbers) else []
    return dict(zip(map(int, numbers), rows, strict=True))


def _keys(files: Iterable[Iterable[pa.Array]]) -> Iterator[npt.NDArray[Any]]:
    for number, file in enumerate(files):
        row = 0
        for column in file:
            digests = b"".join(
                blake2b((id_ or "").encode(errors="surrogatepass"), digest_size=16).digest()
                for id_ in column.to_pylist()
            )
            keys = np.empty(len(column), _KEY)
            halves = np.frombuffer(digests, "<u8").reshape(-1, 2)
            keys["a"], keys["b"], keys["file"] = halves[:, 0], halves[:, 1], number
            keys["row"] = np.arange(row, row + len(column))
            row += len(column)
            yield keys


def _divided(keys: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield the number of each bucket, and the keys that belong there, in their order."""
    numbers = (keys["a"] & 0xFF) >> _SHIFT
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    for number, part in zip(present, np.split(keys[order], starts[1:]), strict=False):
        yield int(number), part


def _repeated(bucket: Any) -> npt.NDArray[Any]:
    """Return the keys of a bucket that repeat an earlier one."""
    bucket.seek(0)
    keys = np.frombuffer(bucket.read(), _KEY)
    order = np.lexsort((keys["b"], keys["a"]))  # stable, and keys are in the order of rows
    ordered = keys[["a", "b"]][order]
    again = np.zeros(len(keys), bool)
    again[1:] = (ordered["a"][1:] == ordered["a"][:-1]) & (ordered["b"][1:] == ordered["b"][:-1])
    return keys[np.sort(order[again])]
