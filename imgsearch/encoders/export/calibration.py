"""Quantizes the image side of an OpenVINO export to int8 with NNCF, calibrated on images.

https://github.com/openvinotoolkit/nncf
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.export import engines
from imgsearch.encoders.export.telemetry import without_telemetry
from imgsearch.errors import ConfigError, EncoderError, MissingExtra

CARD: Final = "calibration.json"
LEAST: Final = 10  # images; NNCF's own default is 300
_COMPARED: Final = 32  # images that compare int8 with f32


@dataclass(frozen=True)
class Calibration:
    """The number of calibration images, and the cosines between int8 and f32 vectors."""

    samples: int
    least: float
    median: float


def write(export: Path, inputs: Sequence[npt.NDArray[np.uint8]]) -> Calibration:
    """Add an int8 model to an OpenVINO export; an earlier calibration is replaced.

    `inputs` are prepared images, uint8 (size, size, 3), similar to the library's.

    Raises:
        ConfigError: there are fewer than 10 images.
        MissingExtra: nncf is not installed.
        EncoderError: the model cannot be quantized.
        OSError: the cache cannot be written.
    """
    if len(inputs) < LEAST:
        raise ConfigError(f"cannot calibrate int8 on {len(inputs)} images; give at least {LEAST}")
    nncf, openvino = _nncf(), engines.openvino_module()
    file = engines.FILES["openvino"].format("image")
    try:
        model = nncf.quantize(
            openvino.Core().read_model(export / file),
            nncf.Dataset([image[None] for image in inputs]),
            preset=nncf.QuantizationPreset.MIXED,  # negative values get their own scale
            subset_size=len(inputs),
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise EncoderError(f"the model cannot be quantized: {error}") from error
    folder = engines.part_folder(export, "int8")
    with tempfile.TemporaryDirectory(dir=export, prefix=".part-") as part:
        draft = Path(part) / "int8"
        draft.mkdir()
        openvino.save_model(model, draft / file, compress_to_fp16=False)
        calibration = _compare(export, draft, inputs)
        (draft / CARD).write_text(json.dumps(asdict(calibration)), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    return calibration


def _compare(export: Path, draft: Path, inputs: Sequence[npt.NDArray[np.uint8]]) -> Calibration:
    step = max(1, len(inputs) // _COMPARED)
    batch = np.stack(inputs[::step][:_COMPARED])
    exact = engines.start("openvino", export, "image", "f32").run(batch)
    quantized = engines.OpenVino(draft / engines.FILES["openvino"].format("image"), "int8").run(
        batch
    )
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(quantized, axis=1)
    cosines = (exact * quantized).sum(axis=1) / norms
    return Calibration(len(inputs), float(cosines.min()), float(np.median(cosines)))


def _nncf() -> Any:
    """Import and return the module `nncf`."""
    try:
        with without_telemetry():
            import nncf
    except ModuleNotFoundError as error:
        raise MissingExtra(f"int8 needs {error.name}", extra="int8", name=error.name) from error
    # not nncf.set_log_level, which also changes the handlers of the program
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
