"""From a model's name, its weights and options to the encoder that runs fastest here."""

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
from imgsearch.encoders.plan import Plan
from imgsearch.encoders.timm.encoder import TimmEncoder
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError, EncoderError
from imgsearch.settings import Settings

_log = logging.getLogger(__name__)
RUNTIMES: Final = ("auto", "torch", "openvino", "onnx")
PRECISIONS: Final = ("auto", *engines.PRECISIONS)
_GPU: Final = Path("/dev/nvidiactl")  # there with NVIDIA's driver; asking torch takes seconds


def build(plan: Plan, path: Path | None, options: Mapping[str, Any]) -> Encoder:
    """Return the encoder, run as the options ``runtime``, ``precision``, ``batch_size`` say.

    ``runtime`` "auto" is torch where there is a GPU, OpenVINO where it is installed, else torch.
    A model is exported once; its export serves until the weights change, and needs no torch.

    Raises:
        ConfigError: an option is out of its range, or two contradict each other.
        MissingExtra, EncoderError: as `imgsearch.encoders.load` says.
    """
    chosen = dict(options)
    runtime = _runtime(chosen)
    precision = chosen.pop("precision", "auto")
    batch_size = _batch_size(chosen.pop("batch_size", 0))
    settings = Settings.from_environment()
    if runtime == "torch":
        encoder: Encoder = _torch(plan, path, {**chosen, "precision": precision}, settings)
        encoder.batch_size = batch_size or encoder.batch_size
        return encoder
    kind = "openvino" if runtime == "auto" else runtime
    chosen.pop("device", None)
    source: TimmEncoder | ClipEncoder | None = None
    if path is None:
        source = _torch(plan, None, chosen, settings)
        digest = source.fingerprint.weights
    else:
        digest = _digest(path)
    told = {**plan.defaults, **(files.sidecar(path) if path and path.is_file() else {}), **chosen}
    place = writer.folder(
        settings.cache,
        kind,
        {"model": plan.label, "name": plan.name, "weights": digest, "options": told},
    )
    if not writer.is_there(place):
        source = source or _torch(plan, path, chosen, settings)
        try:
            writer.write(source, place, kind)
        except (EncoderError, OSError) as error:
            if runtime != "auto":
                raise
            _log.warning("%s stays with torch: %s", plan.label, error)
            source.batch_size = batch_size or source.batch_size
            return source
    return ExportedEncoder(place, precision=precision, batch_size=batch_size)


def check_running(options: Mapping[str, Any]) -> None:
    """Check the options that tell how a model runs.

    Raises:
        ConfigError: one is not of its range, or two contradict each other.
    """
    _runtime(dict(options))
    _batch_size(options.get("batch_size", 0))
    precision = options.get("precision", "auto")
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {', '.join(PRECISIONS)}, not {precision!r}")


def _runtime(options: dict[str, Any]) -> str:
    """Return the runtime to use, "auto" where an export may fail without harm."""
    runtime, device = options.pop("runtime", "auto"), options.get("device")
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime is {', '.join(RUNTIMES)}, not {runtime!r}")
    on_gpu = device not in (None, "cpu", "auto") or (device != "cpu" and _GPU.exists())
    if runtime != "auto":
        if runtime != "torch" and device not in (None, "cpu", "auto"):
            raise ConfigError(f"the runtime {runtime} runs on the CPU, not on {device!r}")
        return str(runtime)
    if on_gpu:
        options.setdefault("device", "auto")
        return "torch"
    return "auto" if importlib.util.find_spec("openvino") else "torch"


def _batch_size(asked: object) -> int:
    if not isinstance(asked, int) or isinstance(asked, bool) or not 0 <= asked <= 4096:
        raise ConfigError(f"batch_size is 1 to 4096, or 0 for one that fits, not {asked!r}")
    return asked


def _torch(
    plan: Plan, path: Path | None, options: Mapping[str, Any], settings: Settings
) -> TimmEncoder | ClipEncoder:
    told: dict[str, Any] = {
        "weights": path,
        "options": options,
        "label": plan.label,
        "defaults": plan.defaults,
        "offline": settings.offline,
    }
    if plan.family == "timm":
        return TimmEncoder(plan.name, **told)
    if plan.family == "towhee":
        return TowheeClipEncoder(plan.name, **told, languages=plan.languages)
    return ClipEncoder(plan.name, **told, languages=plan.languages)


def _digest(path: Path) -> str:
    """Return the sha256 of a weights file, or one over the files of a folder."""
    if path.is_file():
        return files.sha256(path)
    told = [
        f"{file.name} {files.sha256(file)}\n"
        for file in sorted(path.iterdir())
        if file.is_file() and not file.name.startswith(".")
    ]
    return hashlib.sha256("".join(told).encode()).hexdigest()
