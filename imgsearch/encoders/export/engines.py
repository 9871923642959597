"""What runs a model that was exported: OpenVINO and ONNX Runtime, on CPUs, without torch."""

import io
import logging
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.export.telemetry import unreported
from imgsearch.errors import ConfigError, EncoderError, MissingExtra
from imgsearch.threads import DaemonPool
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
PRECISIONS: Final = ("f32", "bf16", "int8")
TRUE_ENOUGH: Final = 0.999
"""The lowest cosine to f32 with which bf16 is taken without being asked for."""

FILES: Final = {"openvino": "{}.xml", "onnx": "{}.onnx"}
"""Runtime → the name of an exported part's file."""
_FIRST: Final = threading.Lock()


class Engine(ABC):
    """A model, or its part for images or for texts, ready to run. Thread-safe.

    `precision` is the one that it runs in.
    """

    precision: str

    @abstractmethod
    def run(self, batch: npt.NDArray[Any]) -> Matrix:
        """Return float32 (n, dim) for a batch: uint8 (n, size, size, 3) or int64 (n, length)."""


class OpenVino(Engine):
    """A part that OpenVINO runs, one stream of inference a core.

    Streams of one thread each wait for nobody, so that decoding on the same cores does not hold
    all of them up; measured with ResNet-50 on 2 cores, they are also as fast as one of 2 threads.
    """

    def __init__(self, model: Path | bytes, precision: str) -> None:
        openvino = openvino_module()
        cores = available_cores()
        self.precision = precision
        core = openvino.Core()
        try:
            self._model = core.compile_model(
                str(model) if isinstance(model, Path) else core.read_model(io.BytesIO(model)),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
                    "NUM_STREAMS": cores,
                    "INFERENCE_NUM_THREADS": cores,
                },
            )
        except RuntimeError as error:
            raise EncoderError(f"OpenVINO cannot read {_name(model)}: {error}") from error
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        with _FIRST:  # OpenVINO 2026.4 hangs where two threads first hand it an array at once
            openvino.Tensor(np.zeros(1, dtype=np.float32))

    @override
    def run(self, batch: npt.NDArray[Any]) -> Matrix:
        with self._lock:
            request = self._idle.pop() if self._idle else self._model.create_infer_request()
        try:
            # a request's tensor is its own, and the next run writes over it
            return np.array(request.infer({0: batch})[0], dtype=np.float32)
        except RuntimeError as error:
            raise EncoderError(f"OpenVINO refuses a batch of shape {batch.shape}") from error
        finally:
            with self._lock:
                self._idle.append(request)


class OnnxRuntime(Engine):
    """A part that ONNX Runtime runs."""

    def __init__(self, model: Path | bytes, precision: str) -> None:
        onnxruntime = _onnxruntime()
        if precision == "bf16":
            raise ConfigError("ONNX Runtime has no bf16 on CPUs; precision is f32")
        self.precision = precision
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # as OpenVINO's streams: the callers are many
        options.log_severity_level = 3  # errors
        # weights that are kept in 8 bits become float32 here, and not again with every batch
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(model) if isinstance(model, Path) else model,
                options,
                providers=["CPUExecutionProvider"],
            )
        except _onnx_errors() as error:
            raise EncoderError(f"ONNX Runtime cannot read {_name(model)}: {error}") from error
        self._input = self._session.get_inputs()[0].name

    @override
    def run(self, batch: npt.NDArray[Any]) -> Matrix:
        return self.run_inputs({self._input: batch})

    def run_inputs(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Matrix:
        """Return the first output, float32, for the model's inputs by name."""
        try:
            return np.asarray(self._session.run(None, dict(inputs))[0], dtype=np.float32)
        except _onnx_errors() as error:
            shapes = [array.shape for array in inputs.values()]
            raise EncoderError(f"ONNX Runtime refuses inputs of shape {shapes}: {error}") from error


class SideBySide:
    """Cuts rows into batches and runs them side by side, a core each. Thread-safe."""

    def __init__(self) -> None:
        self._pool = DaemonPool(available_cores(), "imgsearch-encoder")

    def run(self, engine: Engine, rows: Sequence[npt.NDArray[Any]], size: int) -> Matrix:
        """Return the engine's rows for at least one row, in order.

        A batch has at most `size` rows, fewer where there are few, to give each core some.
        """
        share = max(1, min(size, -(-len(rows) // available_cores())))
        starts = range(0, len(rows), share)
        batches = [np.asarray(rows[start : start + share]) for start in starts]
        if len(batches) == 1:
            return engine.run(batches[0])
        return np.concatenate(list(self._pool.map(engine.run, batches)))


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start(runtime: str, folder: Path, part: str, precision: str) -> Engine:
    """Return the engine of an exported model's `part`, "image" or "text".

    Raises:
        MissingExtra: the runtime is not installed.
        ConfigError: it does not have the precision.
        EncoderError: the file is broken.
    """
    place = part_folder(folder, precision) if part == "image" else folder
    engine = from_model(runtime, place / FILES[runtime].format(part), precision)
    _log.debug("%s runs %s in %s", runtime, folder / part, precision)
    return engine


def from_model(runtime: str, model: Path | bytes, precision: str) -> Engine:
    """Return the engine of a model's file, or of an ONNX model's bytes.

    Raises:
        MissingExtra: the runtime is not installed.
        ConfigError: the runtime does not have the precision.
        EncoderError: the model is broken.
    """
    kind = OpenVino if runtime == "openvino" else OnnxRuntime
    return kind(model, precision)


def part_folder(folder: Path, precision: str) -> Path:
    """Return where the image side of an export lies in a precision: int8 is a file of its own."""
    return folder / "int8" if precision == "int8" else folder


def pick_precision(
    runtime: str, asked: object, bf16_cosine: float | None, *, calibrated: bool = False
) -> str:
    """Return the precision to run in: that asked for; for "auto" bf16 where it is true enough.

    `calibrated`: there is an int8 form. `bf16_cosine` is the lowest cosine to f32 that an export
    was seen with, None where it was never run in bf16.

    Raises:
        ConfigError: no such precision, or the runtime or the CPU lacks it.
    """
    if asked not in ("auto", *PRECISIONS):
        raise ConfigError(f"precision is auto, {', '.join(PRECISIONS)}, not {asked!r}")
    if asked == "int8":
        if not calibrated:
            raise ConfigError(
                "this model was not calibrated for int8, which takes images, on this machine: "
                "`imgsearch calibrate SOURCE` does it, for the runtime openvino"
            )
        return "int8"
    there = asked != "f32" and has_bf16(runtime)
    if asked == "bf16" and not there:
        raise ConfigError(f"{runtime} has no bf16 on this CPU; precision is auto or f32")
    wanted = asked == "bf16" or (bf16_cosine or 0) >= TRUE_ENOUGH
    return "bf16" if there and wanted else "f32"


def has_bf16(runtime: str) -> bool:
    """Tell if the runtime computes in bf16 on this CPU."""
    return runtime == "openvino" and "BF16" in _capabilities()


@cache
def _capabilities() -> frozenset[str]:
    return frozenset(openvino_module().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def openvino_module() -> Any:
    """Return the module openvino.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        with unreported():
            import openvino
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the runtime openvino needs openvino", extra="openvino", name="openvino"
        ) from error
    return openvino


def _name(model: Path | bytes) -> str:
    return str(model) if isinstance(model, Path) else "the model in memory"


@cache
def _onnx_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime 1.32 raises: its own errors have no base class but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type)]
    errors = [value for value in own if issubclass(value, Exception)]
    return RuntimeError, ValueError, *errors


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the runtime onnx needs onnxruntime", extra="", name="onnxruntime"
        ) from error
    return onnxruntime
