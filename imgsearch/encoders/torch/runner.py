"""Runs torch models on a device, with a precision."""

import contextlib
import threading
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.errors import ConfigError
from imgsearch.types import Matrix

_BATCH: Final = 32
_SIZES: Final = (32, 64, 128, 256, 512)
_GAIN: Final = 1.05  # a larger batch needs more memory, so it must be this much faster


class TorchRunner:
    """Runs modules on a device: "cpu", "cuda", "cuda:N", or "auto" for a GPU if one exists.

    `precision` is "f32", "bf16" (with autocast), or "auto": bf16 on a GPU that supports it, else
    f32. `compiled` applies `torch.compile` to the modules, which takes a minute in each process.

    Raises:
        ConfigError: the device or precision does not exist, or `compiled` is not a bool.
    """

    def __init__(self, device: object, precision: object, *, compiled: object = False) -> None:
        self._torch = frameworks()[0]
        self._lock = threading.Lock()
        self.device = self._pick(device)
        self.precision = self._pick_precision(precision)
        if not isinstance(compiled, bool):
            raise ConfigError(f"compile must be true or false, not {compiled!r}")
        self._compiled = compiled

    def place(self, model: Any) -> Any:
        """Return the module on the device, in inference mode and channels-last memory format."""
        # 1.5 times as fast as the contiguous layout on 2 cores (torch 2.13, batch 32, medians of
        # 3): mobilenetv2_100 13.7 to 9.1, resnet50 7.3 to 4.6 images/s
        placed = model.eval().float().to(self.device, memory_format=self._torch.channels_last)
        return self._torch.compile(placed, dynamic=True) if self._compiled else placed

    def __call__(self, model: Any, batch: npt.NDArray[Any]) -> Matrix:
        """Return the output of a placed `model` for a batch, float32 (n, …)."""
        torch, on_gpu = self._torch, self.device.type == "cuda"
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        # threads of several callers slow each other down on a CPU; a GPU queues their calls
        lock = contextlib.nullcontext() if on_gpu else self._lock
        with lock, torch.inference_mode(), half:
            tensor = torch.from_numpy(batch)
            if on_gpu:  # pinned memory is copied while the GPU computes
                tensor = tensor.pin_memory()
            output = model(tensor.to(self.device, non_blocking=on_gpu)).float().cpu().numpy()
        return np.ascontiguousarray(output, dtype=np.float32)

    @property
    def offloaded(self) -> bool:
        """Whether the device is not the CPU."""
        return bool(self.device.type != "cpu")

    def batch_size(self, model: Any, sample: npt.NDArray[Any]) -> int:
        """Return the fastest batch size for rows like `sample`, (n, …), measured on a GPU.

        On a CPU it is 32, because larger batches are not faster.
        """
        best, speed = _BATCH, 0.0
        for size in _SIZES if self.offloaded else ():
            batch = np.resize(sample, (size, *sample.shape[1:]))
            try:
                self(model, batch)  # the first batch of a shape prepares the kernels
                started = perf_counter()
                self(model, batch)
            except self._torch.cuda.OutOfMemoryError:
                break
            rate = size / (perf_counter() - started)
            if rate < speed * _GAIN:
                break
            best, speed = size, rate
        return best

    def _pick(self, device: object) -> Any:
        has_gpu = self._torch.cuda.is_available()
        if device == "auto":
            device = "cuda" if has_gpu else "cpu"
        if not isinstance(device, str) or device.partition(":")[0] not in ("cpu", "cuda"):
            raise ConfigError(f"device must be cpu, cuda or auto, not {device!r}")
        if device.startswith("cuda") and not has_gpu:
            raise ConfigError(f"no device {device!r}: torch finds no GPU")
        try:
            return self._torch.device(device)
        except RuntimeError as error:
            raise ConfigError(
                f"device must be cpu, cuda, cuda:N or auto, not {device!r}"
            ) from error

    def _pick_precision(self, precision: object) -> str:
        if precision not in ("auto", "f32", "bf16"):
            raise ConfigError(f"precision must be auto, f32 or bf16, not {precision!r}")
        if precision != "auto":
            return str(precision)
        on_gpu = self.device.type == "cuda"
        return "bf16" if on_gpu and self._torch.cuda.is_bf16_supported() else "f32"
