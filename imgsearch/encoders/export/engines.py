"""Engines for exported models on CPUs: OpenVINO and ONNX Runtime."""

import io
import logging
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.export import compiled
from imgsearch.encoders.export.telemetry import without_telemetry
from imgsearch.errors import ConfigError, EncoderError, MissingExtra
from imgsearch.threads import DaemonPool, available_cores
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
PRECISIONS: Final = ("f32", "bf16", "int8")
CLOSE_ENOUGH: Final = 0.999
"""The lowest cosine to f32 at which "auto" selects bf16."""

FILES: Final = {"openvino": "{}.xml", "onnx": "{}.onnx"}
"""The file name of an exported part ("image" or "text") by runtime."""
_FIRST: Final = threading.Lock()


class Engine(ABC):
    """A loaded model, or its part for images or texts. Thread-safe."""

    precision: str

    @abstractmethod
    def run(self, batch: npt.NDArray[Any]) -> Matrix:
        """Return float32 (n, dim) for a batch: uint8 (n, size, size, 3) or int64 (n, length)."""


class OpenVino(Engine):
    """An engine that runs a model, or its part, with OpenVINO: one inference stream per core.

    Each stream has one thread and is independent, so decoding on a core delays only its stream.
    With ResNet-50 on 2 cores, two streams are as fast as one stream with 2 threads.
    """

    def __init__(self, model: Path | bytes, precision: str) -> None:
        openvino = openvino_module()
        self.precision = precision
        try:
            if isinstance(model, Path):
                self._model = _compiled(openvino, model, _options(precision))
            else:
                core = openvino.Core()
                read = core.read_model(io.BytesIO(model))
                self._model = core.compile_model(read, "CPU", _options(precision))
        except (RuntimeError, OSError) as error:
            raise EncoderError(f"OpenVINO cannot read {_name(model)}: {error}") from error
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        with (
            _FIRST
        ):  # OpenVINO 2026.4 hangs if two threads pass their first arrays at the same time
            openvino.Tensor(np.zeros(1, dtype=np.float32))

    @override
    def run(self, batch: npt.NDArray[Any]) -> Matrix:
        with self._lock:
            request = self._idle.pop() if self._idle else self._model.create_infer_request()
        try:
            # the request owns its tensor, and the next run overwrites it
            return np.array(request.infer({0: batch})[0], dtype=np.float32)
        except RuntimeError as error:
            raise EncoderError(f"OpenVINO rejects a batch of shape {batch.shape}") from error
        finally:
            with self._lock:
                self._idle.append(request)


class OnnxRuntime(Engine):
    """An engine that runs a model, or its image or text part, with ONNX Runtime."""

    def __init__(
        self,
        model: Path | bytes,
        precision: str,
        *,
        optimized: bool = False,
        save: Path | None = None,
    ) -> None:
        """Load a model. It is not optimized again if it is `optimized`; `save` is a file for it."""
        onnxruntime = _onnxruntime()
        if precision == "bf16":
            raise ConfigError("ONNX Runtime has no bf16 on CPUs. Use the precision f32.")
        self.precision = precision
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # callers run batches in parallel
        options.log_severity_level = 3  # errors
        # 8-bit weights are converted to float32 once here, and not for every batch
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        if optimized:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if save is not None:
            options.optimized_model_filepath = str(save)
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
            raise EncoderError(f"ONNX Runtime rejects inputs of shape {shapes}: {error}") from error


class BatchPool:
    """Runs batches of rows in parallel, one on each core. Thread-safe."""

    def __init__(self) -> None:
        self._pool = DaemonPool(available_cores(), "imgsearch-encoder")

    def run(self, engine: Engine, rows: Sequence[npt.NDArray[Any]], size: int) -> Matrix:
        """Run the engine on at least one row, and return its results in order.

        A batch has at most `size` rows. Few rows are split evenly among the cores.
        """
        share = max(1, min(size, -(-len(rows) // available_cores())))
        starts = range(0, len(rows), share)
        batches = [np.asarray(rows[start : start + share]) for start in starts]
        if len(batches) == 1:
            return engine.run(batches[0])
        return np.concatenate(list(self._pool.map(engine.run, batches)))


def start(runtime: str, folder: Path, part: str, precision: str) -> Engine:
    """Return an engine for an exported model's `part`, "image" or "text".

    Raises:
        MissingExtra: the runtime is not installed.
        ConfigError: the runtime lacks the precision.
        EncoderError: the file is broken.
    """
    location = part_folder(folder, precision) if part == "image" else folder
    engine = from_model(runtime, location / FILES[runtime].format(part), precision)
    _log.debug("%s runs %s in %s", runtime, folder / part, precision)
    return engine


def from_model(runtime: str, model: Path | bytes, precision: str) -> Engine:
    """Return an engine for a model's file, or for the bytes of an ONNX model.

    Raises:
        MissingExtra: the runtime is not installed.
        ConfigError: the runtime lacks the precision.
        EncoderError: the model is broken.
    """
    kind = OpenVino if runtime == "openvino" else OnnxRuntime
    return kind(model, precision)


def optimized_onnx(model: Callable[[], bytes], file: Path, key: Mapping[str, Any]) -> Engine:
    """Return an engine for a model, which is optimized once and kept in `file`.

    `key` has plain values that `model` depends on. `model` is only called if the file is missing
    or was made for another key, machine or version.

    Raises: as for `from_model`.
    """
    version = str(_onnxruntime().__version__)
    entry = compiled.Entry(file, {**key, "onnxruntime": version, "machine": compiled.machine()})
    if content := entry.read():
        try:
            return OnnxRuntime(content, "f32", optimized=True)
        except EncoderError as error:
            _log.info("%s is replaced: %s", file, error)
    with tempfile.TemporaryDirectory(prefix="imgsearch-") as folder:
        draft = Path(folder) / "model.onnx"
        engine = OnnxRuntime(model(), "f32", save=draft)
        entry.write(draft.read_bytes())
    return engine


def part_folder(folder: Path, precision: str) -> Path:
    """Return the folder of an export's image side in a precision; int8 has its own folder."""
    return folder / "int8" if precision == "int8" else folder


def pick_precision(
    runtime: str, precision: object, bf16_cosine: float | None, *, calibrated: bool = False
) -> str:
    """Return the precision to use; "auto" selects bf16 if it is close enough to f32.

    `calibrated` means that an int8 model exists. `bf16_cosine` is the lowest measured cosine to
    f32, or None if it was not measured.

    Raises:
        ConfigError: the precision is unknown, or the runtime or the CPU lacks it.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ConfigError(
            f"precision must be one of auto, {', '.join(PRECISIONS)}, not {precision!r}"
        )
    if precision == "int8":
        if not calibrated:
            raise ConfigError(
                "this model is not calibrated for int8 on this machine. Run `imgsearch calibrate "
                "SOURCE` with images, for the runtime openvino."
            )
        return "int8"
    available = precision != "f32" and has_bf16(runtime)
    if precision == "bf16" and not available:
        raise ConfigError(f"{runtime} has no bf16 on this CPU. Use the precision auto or f32.")
    wanted = precision == "bf16" or (bf16_cosine or 0) >= CLOSE_ENOUGH
    return "bf16" if available and wanted else "f32"


def has_bf16(runtime: str) -> bool:
    """Return whether the runtime computes in bf16 on this CPU."""
    return runtime == "openvino" and "BF16" in _capabilities()


@cache
def _capabilities() -> frozenset[str]:
    return frozenset(openvino_module().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def openvino_module() -> Any:
    """Return the module openvino.

    Raises:
        MissingExtra: openvino is not installed.
    """
    try:
        with without_telemetry():
            import openvino
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the runtime openvino needs openvino", extra="openvino", name="openvino"
        ) from error
    return openvino


def _options(precision: str) -> dict[str, Any]:
    cores = available_cores()
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
        # a compiled model without its weights takes 1 MB
        "CACHE_MODE": "OPTIMIZE_SIZE",
    }


def _compiled(openvino: Any, model: Path, options: Mapping[str, Any]) -> Any:
    """Return a model of OpenVINO, compiled once and kept beside its file.

    Raises:
        RuntimeError, OSError: the file is missing or broken.
    """
    core, weights = openvino.Core(), model.with_suffix(".bin")
    key = {
        **options,
        "files": compiled.stamp(model, weights),
        "openvino": str(openvino.get_version()),
        "machine": compiled.machine(),
    }
    precision = options["INFERENCE_PRECISION_HINT"]
    entry = compiled.Entry(model.with_name(f"{model.stem}.{precision}.compiled"), key)
    if content := entry.read():
        try:
            return core.import_model(content, "CPU", {**options, "WEIGHTS_PATH": str(weights)})
        except RuntimeError as error:
            _log.info("%s is replaced: %s", entry.file, error)
    result = core.compile_model(str(model), "CPU", dict(options))
    try:
        entry.write(result.export_model().getvalue())
    except RuntimeError as error:
        _log.debug("%s cannot be kept compiled: %s", model, error)
    return result


def _name(model: Path | bytes) -> str:
    return str(model) if isinstance(model, Path) else "the model in memory"


@cache
def _onnx_errors() -> tuple[type[Exception], ...]:
    """Return the errors of ONNX Runtime 1.32, which have no common base class but Exception."""
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
