"""Where and how torch runs a model: the device, the precision, and who waits for whom."""

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
_GAIN: Final = 1.05  # a larger batch holds more memory, so it has to be this much faster


class TorchRun:
    """A device ("cpu", "cuda", "cuda:N", or "auto": a GPU if there is one) and a precision.

    `precision` is "f32", "bf16", by autocast, or "auto": bf16 on a GPU that has it, else f32.
    `compiled` has torch compile what it runs, for a GPU: that takes a minute, once a process.

    Raises:
        ConfigError: there is no such device or precision.
    """

    def __init__(self, device: object, precision: object, *, compiled: object = False) -> None:
        self._torch = frameworks()[0]
        self._turn = threading.Lock()
        self.device = self._pick(device)
        self.precision = self._pick_precision(precision)
        if not isinstance(compiled, bool):
            raise ConfigError(f"compile is true or false, not {compiled!r}")
        self._compiled = compiled

    def place(self, model: Any) -> Any:
        """Return the torch module on the device, in inference mode, and laid out for it."""
        # 1.5 times as fast as the contiguous layout on 2 cores (torch 2.13, batch 32, medians of
        # 3): mobilenetv2_100 13.7 to 9.1, resnet50 7.3 to 4.6 images/s
        placed = model.eval().float().to(self.device, memory_format=self._torch.channels_last)
        return self._torch.compile(placed, dynamic=True) if self._compiled else placed

    def __call__(self, model: Any, batch: npt.NDArray[Any]) -> Matrix:
        """Return what a placed `model` makes of a batch, float32 (n, …)."""
        torch, on_gpu = self._torch, self.device.type == "cuda"
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        # CPU threads of several callers get in each other's way; a GPU queues them itself
        turn = contextlib.nullcontext() if on_gpu else self._turn
        with turn, torch.inference_mode(), half:
            given = torch.from_numpy(batch)
            if on_gpu:  # from pinned memory the copy goes on while the GPU computes
                given = given.pin_memory()
            made = model(given.to(self.device, non_blocking=on_gpu)).float().cpu().numpy()
        return np.ascontiguousarray(made, dtype=np.float32)

    @property
    def offloaded(self) -> bool:
        """Whether the device is not the cores themselves."""
        return bool(self.device.type != "cpu")

    def batch_size(self, model: Any, sample: npt.NDArray[Any]) -> int:
        """Return how many rows like `sample`, (n, …), a placed `model` likes to see at once.

        On a GPU as many as still make it faster, as is tried; more bring nothing on a CPU.
        """
        best, speed = _BATCH, 0.0
        for size in _SIZES if self.offloaded else ():
            batch = np.resize(sample, (size, *sample.shape[1:]))
            try:
                self(model, batch)  # the first of a shape prepares its kernels
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
        there = self._torch.cuda.is_available()
        if device == "auto":
            device = "cuda" if there else "cpu"
        if not isinstance(device, str) or device.partition(":")[0] not in ("cpu", "cuda"):
            raise ConfigError(f"device is cpu, cuda or auto, not {device!r}")
        if device.startswith("cuda") and not there:
            raise ConfigError(f"no device {device!r}: this torch sees no GPU")
        try:
            return self._torch.device(device)
        except RuntimeError as error:
            raise ConfigError(f"device is cpu, cuda, cuda:N or auto, not {device!r}") from error

    def _pick_precision(self, asked: object) -> str:
        if asked not in ("auto", "f32", "bf16"):
            raise ConfigError(f"precision is auto, f32 or bf16, not {asked!r}")
        if asked != "auto":
            return str(asked)
        on_gpu = self.device.type == "cuda"
        return "bf16" if on_gpu and self._torch.cuda.is_bf16_supported() else "f32"
