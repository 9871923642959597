"""Appends tensors to an ONNX graph that was saved without them.

A serialized protobuf message can be continued, because repeated fields are concatenated. So a
second part of the graph completes a model, without the package ``onnx``.

Source: https://protobuf.dev/programming-guides/encoding/#last-one-wins and onnx.proto.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_GRAPH: Final = 7  # ModelProto.graph
_INITIALIZER: Final = 5  # GraphProto.initializer
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto
_FLOAT: Final = 1  # TensorProto.DataType
_VARINT, _BYTES = 0, 2  # wire types


def with_initializers(model: bytes, tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return a serialized ONNX model with float32 `tensors` as further initializers, by name.

    >>> len(with_initializers(b"", {"one": np.ones(1, np.float32)}))
    19
    """
    parts = [
        _field(_INITIALIZER, b"".join(_tensor(name, tensor))) for name, tensor in tensors.items()
    ]
    return model + _field(_GRAPH, b"".join(parts))


def _tensor(name: str, tensor: npt.NDArray[Any]) -> Iterator[bytes]:
    for edge in tensor.shape:
        yield _number(_DIMS, edge)
    yield _number(_DATA_TYPE, _FLOAT)
    yield _field(_NAME, name.encode())
    yield _field(_RAW_DATA, np.ascontiguousarray(tensor, dtype="<f4").tobytes())


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Return a number in groups of 7 bits, lowest first; all except the last have the top bit."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
