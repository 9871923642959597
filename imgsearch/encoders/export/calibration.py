"""An export's image side in int8: weights and what flows between layers, calibrated on images.

By NNCF, https://github.com/openvinotoolkit/nncf; OpenVINO runs it.
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
from imgsearch.encoders.export.telemetry import unreported
from imgsearch.errors import ConfigError, EncoderError, MissingExtra

CARD: Final = "calibration.json"
LEAST: Final = 10  # images; NNCF's own default is 300
_TRIED: Final = 32  # images that are compared


@dataclass(frozen=True)
class Calibration:
    """How a calibration went: on so many images, and the cosines of int8 to f32 over some."""

    samples: int
    least: float
    median: float


def write(export: Path, inputs: Sequence[npt.NDArray[np.uint8]]) -> Calibration:
    """Add int8 to an export in OpenVINO's format; an earlier calibration is replaced.

    `inputs` are prepared images, uint8 (size, size, 3), like those to come.

    Raises:
        ConfigError: there are fewer than 10.
        MissingExtra: nncf is not installed.
        EncoderError: the model cannot be quantized.
        OSError: the cache cannot be written.
    """
    if len(inputs) < LEAST:
        raise ConfigError(f"int8 is calibrated on {LEAST} images or more, not {len(inputs)}")
    nncf, openvino = _nncf(), engines.openvino_module()
    file = engines.FILES["openvino"].format("image")
    try:
        made = nncf.quantize(
            openvino.Core().read_model(export / file),
            nncf.Dataset([image[None] for image in inputs]),
            preset=nncf.QuantizationPreset.MIXED,  # negative values have their own scale
            subset_size=len(inputs),
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise EncoderError(f"the model cannot be quantized: {error}") from error
    place = engines.part_folder(export, "int8")
    with tempfile.TemporaryDirectory(dir=export, prefix=".part-") as part:
        draft = Path(part) / "int8"
        draft.mkdir()
        openvino.save_model(made, draft / file, compress_to_fp16=False)
        told = _tried(export, draft, inputs)
        (draft / CARD).write_text(json.dumps(asdict(told)), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        draft.replace(place)
    return told


def _tried(export: Path, draft: Path, inputs: Sequence[npt.NDArray[np.uint8]]) -> Calibration:
    step = max(1, len(inputs) // _TRIED)
    batch = np.stack(inputs[::step][:_TRIED])
    exact = engines.start("openvino", export, "image", "f32").run(batch)
    rough = engines.OpenVino(draft / engines.FILES["openvino"].format("image"), "int8").run(batch)
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(rough, axis=1)
    cosines = (exact * rough).sum(axis=1) / norms
    return Calibration(len(inputs), float(cosines.min()), float(np.median(cosines)))


def _nncf() -> Any:
    """Return the module nncf."""
    try:
        with unreported():
            import nncf
    except ModuleNotFoundError as error:
        raise MissingExtra(f"int8 needs {error.name}", extra="int8", name=error.name) from error
    # not nncf.set_log_level: it also sets the handlers that a program gave to this logger
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
