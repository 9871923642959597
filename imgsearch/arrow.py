"""Arrow arrays and batches of Python values, built without pandas.

`pyarrow.array` imports pandas where it is installed, also for a list: 33 MB and 0.2 s of the
processor in each process that embeds (pyarrow 26). It only asks whether the list is a data frame.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_NUMBERS: Final[dict[pa.DataType, np.dtype[Any]]] = {
    pa.int64(): np.dtype(np.int64),
    pa.float64(): np.dtype(np.float64),
    pa.float32(): np.dtype(np.float32),
}
_Array = npt.NDArray[Any]


def array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return an array of a type, with a null for each None.

    `kind` is string, binary, large_binary, int64, float64, float32, bool, or a list of float32,
    whose values are float32 arrays of shape (n,).

    Raises:
        OverflowError: the values of a string or binary array have more than 2 GiB.

    >>> array(["Zürich", None], pa.string()).to_pylist()
    ['Zürich', None]
    """
    known = [value is not None for value in values]
    present = [value for value in values if value is not None]
    if not present:
        return pa.nulls(len(values), kind)
    valid = None if len(present) == len(values) else _bits(known)
    if kind == pa.bool_():
        return _of(kind, len(values), [valid, _bits([bool(value) for value in values])])
    if (dtype := _NUMBERS.get(kind)) is not None:
        cells = np.zeros(len(values), dtype)
        cells[np.flatnonzero(known)] = present
        return _of(kind, len(values), [valid, pa.py_buffer(cells)])
    if pa.types.is_list(kind):
        offsets = _offsets(0 if value is None else len(value) for value in values)
        flat = of_numbers(np.concatenate(present, dtype=np.float32))
        return _of(kind, len(values), [valid, offsets], [flat])
    parts = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    offsets = _offsets(map(len, parts), large=pa.types.is_large_binary(kind))
    return _of(kind, len(values), [valid, offsets, pa.py_buffer(b"".join(parts))])


def of_numbers(values: _Array) -> pa.Array:
    """Return an array of the numbers of a NumPy array (n,), which is not copied."""
    kind = pa.from_numpy_dtype(values.dtype)
    return _of(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def batch(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of rows. A row may lack columns, which are null there.

    >>> schema = pa.schema([("id", pa.string()), ("year", pa.int64())])
    >>> batch([{"id": "a", "year": 2024}, {"id": "b"}], schema).to_pydict()
    {'id': ['a', 'b'], 'year': [2024, None]}
    """
    columns = [array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _of(
    kind: pa.DataType,
    length: int,
    buffers: Sequence[pa.Buffer | None],
    children: Sequence[pa.Array] | None = None,
) -> pa.Array:
    return pa.Array.from_buffers(kind, length, list(buffers), children=children)


def _bits(values: Sequence[bool]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.array(values, np.bool_), bitorder="little"))


def _offsets(lengths: Iterable[int], *, large: bool = False) -> pa.Buffer:
    """Return the start of each value, and the end of the last one, in 64 bits if `large`."""
    ends = np.cumsum([0, *lengths], dtype=np.int64)
    if not large and ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"a column of {ends[-1]:,} bytes is too large for an Arrow array")
    return pa.py_buffer(ends if large else ends.astype(np.int32))
