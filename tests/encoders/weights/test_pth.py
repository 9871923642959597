"""Tensors of old ``.pth`` files agree with torch, and other content is rejected."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imgsearch.encoders import registry
from imgsearch.encoders.weights.pth import read_tensors
from imgsearch.errors import WeightsInvalid, WeightsNotFound


def saved(path: Path, state: Any) -> Path:
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    state = OrderedDict(权重=torch.arange(6, dtype=torch.float32).reshape(2, 3), n=torch.tensor(7))
    return saved(tmp_path / "small.pth", state)


def packaged() -> Path:
    row = registry.find("lite")
    assert row is not None
    assert row.weights_file is not None
    return row.weights_file.locate()


def test_weights_package_agrees_with_torch() -> None:
    expected = torch.load(packaged(), weights_only=True)
    tensors = read_tensors(packaged())
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        assert tensor.shape == expected[name].shape
        assert tensor.flags.c_contiguous
        np.testing.assert_array_equal(tensor, expected[name].numpy())


def test_transposed_sliced_empty_and_shared_tensors_are_read(tmp_path: Path) -> None:
    numbers = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = OrderedDict(
        whole=numbers, turned=numbers.T, part=numbers[1:, 1:3], empty=torch.zeros(0, 4)
    )
    tensors = read_tensors(saved(tmp_path / "views.pth", state))
    for name, tensor in state.items():
        np.testing.assert_array_equal(tensors[name], tensor.numpy())


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize("place", range(5))
def test_code_in_any_pickle_is_rejected_and_not_run(
    place: int, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = small.open("rb")
    parts: list[bytes] = []
    with file:
        for _ in range(5):
            start = file.tell()
            _skip(file)
            end = file.tell()
            file.seek(start)
            parts.append(file.read(end - start))
        rest = file.read()
    parts[place] = pickle.dumps(Harmful(), protocol=2)
    small.write_bytes(b"".join(parts) + rest)
    with pytest.raises(WeightsInvalid, match="not a .pth file of plain tensors"):
        read_tensors(small)
    assert not Path("harmed").exists()


class _Skipping(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if name == "OrderedDict" else lambda *_: None

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _skip(file: Any) -> None:
    _Skipping(file).load()


def test_file_truncated_anywhere_is_rejected(small: Path) -> None:
    whole = small.read_bytes()
    for size in range(0, len(whole), 7):
        small.write_bytes(whole[:size])
        with pytest.raises(WeightsInvalid):
            read_tensors(small)


def test_tensor_larger_than_its_storage_is_rejected(small: Path) -> None:
    whole = small.read_bytes()
    shape = b"K\x02K\x03\x86"  # the tuple (2, 3)
    assert whole.count(shape) == 1
    small.write_bytes(whole.replace(shape, b"K\x02K\x63\x86"))
    with pytest.raises(WeightsInvalid, match="larger than its storage"):
        read_tensors(small)


@pytest.mark.parametrize(
    "state",
    [
        OrderedDict(a=torch.zeros(2, dtype=torch.float64)),
        OrderedDict(a=[1, 2]),
        {"a": torch.zeros(2)},
        [torch.zeros(2)],
        torch.zeros(2),
    ],
)
def test_other_contents_are_rejected(state: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid):
        read_tensors(saved(tmp_path / "other.pth", state))


def test_newer_format_and_missing_file_are_rejected(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "new.pth")
    with pytest.raises(WeightsInvalid):
        read_tensors(tmp_path / "new.pth")
    with pytest.raises(WeightsNotFound):
        read_tensors(tmp_path / "absent.pth")
