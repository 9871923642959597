"""Builds encoders from plans, on the runtime that is fastest on this machine."""

import hashlib
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.base import Encoder
from imgsearch.encoders.clip.encoder import ClipEncoder
from imgsearch.encoders.clip.towhee_clip import TowheeClipEncoder
from imgsearch.encoders.export import engines, writer
from imgsearch.encoders.export.encoder import ExportedEncoder
from imgsearch.encoders.recipe import Plan
from imgsearch.encoders.timm.encoder import TimmEncoder
from imgsearch.encoders.weights import files, hashes
from imgsearch.errors import ConfigError, EncoderError
from imgsearch.settings import Settings

_log = logging.getLogger(__name__)
RUNTIMES: Final = ("auto", "torch", "openvino", "onnx")
PRECISIONS: Final = ("auto", *engines.PRECISIONS)
_GPU: Final = Path("/dev/nvidiactl")  # exists with NVIDIA's driver; importing torch takes seconds


def build(plan: Plan, path: Path | None, options: Mapping[str, Any]) -> Encoder:
    """Build an encoder with the options ``runtime``, ``precision`` and ``batch_size``.

    ``runtime`` "auto" selects torch with a GPU, else OpenVINO if it is installed, else torch. A
    model is exported once. The export is used until the weights change, and needs no torch.

    Raises:
        ConfigError: an option is out of range, or two options contradict each other.
        MissingExtra, EncoderError: see `imgsearch.encoders.load`.
    """
    remaining = dict(options)
    runtime = _pick_runtime(remaining)
    precision = remaining.pop("precision", "auto")
    batch_size = _check_batch_size(remaining.pop("batch_size", 0))
    settings = Settings.from_environment()
    if runtime == "torch":
        model_options = {**remaining, "precision": precision}
        encoder: Encoder = _build_torch(plan, path, model_options, settings)
        encoder.batch_size = batch_size or encoder.batch_size
        return encoder
    kind = "openvino" if runtime == "auto" else runtime
    remaining.pop("device", None)
    source: TimmEncoder | ClipEncoder | None = None
    if path is None:
        source = _build_torch(plan, None, remaining, settings)
        digest = source.fingerprint.weights
    else:
        digest = _digest(path)
    sidecar = files.sidecar(path) if path and path.is_file() else {}
    all_options = {**plan.defaults, **sidecar, **remaining}
    export = writer.folder(
        settings.cache,
        kind,
        {"model": plan.label, "name": plan.name, "weights": digest, "options": all_options},
    )
    if not writer.is_complete(export):
        source = source or _build_torch(plan, path, remaining, settings)
        try:
            writer.write(source, export, kind)
        except (EncoderError, OSError) as error:
            if runtime != "auto":
                raise
            _log.warning("%s runs on torch, because its export failed: %s", plan.label, error)
            source.batch_size = batch_size or source.batch_size
            return source
    return ExportedEncoder(export, precision=precision, batch_size=batch_size)


def check_running(options: Mapping[str, Any]) -> None:
    """Check the options for running a model.

    Raises:
        ConfigError: an option is out of range, or two options contradict each other.
    """
    _pick_runtime(dict(options))
    _check_batch_size(options.get("batch_size", 0))
    precision = options.get("precision", "auto")
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")


def _pick_runtime(options: dict[str, Any]) -> str:
    """Return the runtime, or "auto" if torch may replace a failed export."""
    runtime, device = options.pop("runtime", "auto"), options.get("device")
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    on_gpu = device not in (None, "cpu", "auto") or (device != "cpu" and _GPU.exists())
    if runtime != "auto":
        if runtime != "torch" and device not in (None, "cpu", "auto"):
            raise ConfigError(f"the runtime {runtime} runs on the CPU, not on {device!r}")
        return str(runtime)
    if on_gpu:
        options.setdefault("device", "auto")
        return "torch"
    return "auto" if importlib.util.find_spec("openvino") else "torch"


def _check_batch_size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 4096:
        raise ConfigError(f"batch_size must be 1 to 4096, or 0 for the default, not {value!r}")
    return value


def _build_torch(
    plan: Plan, path: Path | None, options: Mapping[str, Any], settings: Settings
) -> TimmEncoder | ClipEncoder:
    arguments: dict[str, Any] = {
        "weights": path,
        "options": options,
        "label": plan.label,
        "defaults": plan.defaults,
        "offline": settings.offline,
    }
    if plan.family == "timm":
        return TimmEncoder(plan.name, **arguments)
    if plan.family == "towhee":
        return TowheeClipEncoder(plan.name, **arguments, languages=plan.languages)
    return ClipEncoder(plan.name, **arguments, languages=plan.languages)


def _digest(path: Path) -> str:
    """Return the sha256 of a weights file, or of a folder's file names and hashes."""
    if path.is_file():
        return hashes.sha256(path)
    lines = [
        f"{file.name} {hashes.sha256(file)}\n"
        for file in sorted(path.iterdir())
        if file.is_file() and not file.name.startswith(".")
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
