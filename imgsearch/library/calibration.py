"""Int8 quantization of a model, calibrated on the images of a library."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Final

from imgsearch import encoders
from imgsearch.encoders.embedding import model_input
from imgsearch.encoders.export import calibration
from imgsearch.encoders.export.calibration import Calibration
from imgsearch.encoders.export.encoder import ExportedEncoder
from imgsearch.errors import ConfigError, ImageError, SourceError
from imgsearch.images import sources

__all__ = ["Calibration", "calibrate"]

_EXACT: Final = {"runtime": "openvino", "precision": "f32"}  # int8 is compared with float32


def calibrate(
    paths: Sequence[str],
    model: str,
    *,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> Calibration:
    """Write an int8 model for this machine; return the cosines of its vectors to float32 ones.

    `paths` are image files. `on_progress` is called with the number of images read and the total,
    `on_failure` with the error of each unreadable image.

    Raises:
        ConfigError: the model cannot be calibrated, or fewer than 10 images can be read.
        MissingExtra: nncf or openvino is not installed.
        EncoderError: the encoder cannot be built or quantized.
    """
    encoder = encoders.load(model, weights=weights, options={**(options or {}), **_EXACT})
    if not isinstance(encoder, ExportedEncoder):
        raise ConfigError(
            f"{model} cannot be calibrated: it has no export, or its vectors are reduced"
        )
    inputs: list[Any] = []
    for number, path in enumerate(paths, 1):
        try:
            inputs.append(model_input(encoder, sources.read(path), path))
        except (SourceError, ImageError) as error:
            if on_failure:
                on_failure(str(error))
        if on_progress:
            on_progress(number, len(paths))
    return calibration.write(encoder.folder, inputs)
