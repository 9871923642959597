"""Reads tensors from `.pth` files of PyTorch before 1.6, without torch or pickled code.

The file has five pickles (magic number, protocol, sizes, state, storage keys), followed by the raw
numbers of the storages. Source: ``torch.serialization._legacy_save`` of PyTorch 2.13.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.errors import WeightsInvalid, WeightsNotFound

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}
_MAX_TENSORS: Final = 10_000  # EfficientNet-lite2 has 386


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    """The location of a tensor; `offset` and `stride` count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def end(self) -> int:
        """The position after the last number."""
        if 0 in self.shape:
            return self.offset
        steps = zip(self.shape, self.stride, strict=True)
        return self.offset + sum((edge - 1) * step for edge, step in steps) + 1

    def read(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the tensor as a C-contiguous array; `numbers` is its whole storage."""
        steps = [step * numbers.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps)
        return np.array(view, order="C")  # ascontiguousarray would add an axis to a single number


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a state dict by name, in the file's order: float32 and int64 arrays.

    Raises:
        WeightsNotFound: the file cannot be read.
        WeightsInvalid: the file is not a legacy ``.pth`` file with only tensors, or is truncated.

    >>> from imgsearch.encoders.lite import MODELS
    >>> read_tensors(MODELS["lite"].package.locate())["_fc.weight"].shape
    (1000, 1280)
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error.strerror}") from error
    except _ERRORS as error:
        raise WeightsInvalid(f"{path} is not a .pth file of plain tensors: {error}") from error


# errors of pickle for invalid bytes, and of this module
_ERRORS: Final = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError,
    MemoryError, OverflowError,
)  # fmt: skip


def _read(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    if (_load(file), _load(file)) != (_MAGIC, _PROTOCOL):
        raise ValueError("it has no header of PyTorch")
    _load(file)  # sizes of C types, which follow from the storages' names
    state, keys = _load(file), _load(file)
    if not isinstance(state, OrderedDict) or len(state) > _MAX_TENSORS:
        raise TypeError("it holds no state dict")
    tensors = {str(name): _check_tensor(tensor) for name, tensor in state.items()}
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if sorted(keys) != sorted(storages):
        raise ValueError("its storages do not belong to its tensors")
    data = {key: _numbers(file, storages[key]) for key in keys}
    return {name: tensor.read(data[tensor.storage.key]) for name, tensor in tensors.items()}


def _numbers(file: BinaryIO, storage: _Storage) -> npt.NDArray[Any]:
    count = int.from_bytes(file.read(8), "little")
    if count != storage.length:
        raise ValueError(f"storage {storage.key} has {count} numbers, not {storage.length}")
    numbers = np.fromfile(file, storage.dtype, count)
    if len(numbers) < count:
        raise EOFError("it is truncated")
    return numbers


def _check_tensor(value: object) -> _Tensor:
    """Return `value` if it is a tensor that lies inside its storage."""
    if not isinstance(value, _Tensor):
        raise TypeError(f"it holds {type(value).__name__} beside tensors")
    if value.end > value.storage.length or math.prod(value.shape) > value.storage.length:
        raise ValueError("a tensor is larger than its storage")
    return value


def _tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> _Tensor:
    """Replace ``torch._utils._rebuild_tensor_v2``; return the tensor's location."""
    if not isinstance(storage, _Storage) or not _are_sizes((offset,)):
        raise TypeError("a tensor has no storage")
    if not _are_sizes(shape) or not _are_sizes(stride):
        raise TypeError("a tensor has no shape")
    return _Tensor(storage, offset, shape, stride)  # type: ignore[arg-type]  # checked above


def _are_sizes(value: object) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and size >= 0 for size in value)


_KNOWN: Final[Mapping[tuple[str, str], Callable[..., Any] | str]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    **{("torch", name): name for name in _DTYPES},
}


class _Unpickler(pickle.Unpickler):
    """Builds only plain values, ordered dicts and `_Tensor`s."""

    @override
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _KNOWN[module, name]

    @override
    def persistent_load(self, pid: Any) -> _Storage:
        kind, name, key, _, count, view = pid
        if kind != "storage" or view is not None or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("it refers to an object other than a storage")
        return _Storage(str(key), _DTYPES[name], count)


def _load(file: BinaryIO) -> Any:
    return _Unpickler(file).load()
