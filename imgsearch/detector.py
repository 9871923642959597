"""What is where in an image: object detection by the library transformers.

https://huggingface.co/docs/transformers/tasks/object_detection
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from imgsearch.encoders import weights
from imgsearch.encoders.frameworks import frameworks
from imgsearch.errors import (
    EncoderError,
    MissingExtra,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.regions import Region, chosen
from imgsearch.types import Pixels

WEIGHTS: Final = "model.safetensors"
_FILES: Final = ("config.json", "preprocessor_config.json", WEIGHTS)


@dataclass(frozen=True)
class Detection:
    """Which detector, and which of its regions count, in plain values.

    `weights` is a folder as a hub lays it out: config.json, preprocessor_config.json and
    model.safetensors of a model that transformers detects objects with, as RT-DETR, D-FINE or
    YOLOS. The others are those of `regions.chosen`.
    """

    weights: str
    threshold: float = 0.5
    most: int = 8
    smallest: int = 32

    @classmethod
    def of(cls, given: "str | PathLike[str] | Detection") -> "Detection":
        """Return the detection with an absolute path, so that it works anywhere."""
        if isinstance(given, Detection):
            return given
        return cls(str(Path(given).expanduser().resolve()))

    def __call__(self, image: Pixels) -> list[Region]:
        """Return the regions that count, the surest first.

        Raises:
            MissingExtra: torch or transformers is not installed.
            WeightsNotFound, WeightsInvalid: the folder is not there, or holds something else.
            EncoderError: the detector fails on the image.
        """
        height, width = image.shape[:2]
        found = _detector(self.weights).detect(image, self.threshold)
        return chosen(
            found,
            width,
            height,
            threshold=self.threshold,
            most=self.most,
            smallest=self.smallest,
        )


class Detector:
    """A detector, built once; a call at a time."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Read the folder; nothing in it is run, and nothing is downloaded.

        Raises: as `Detection` says.
        """
        place = Path(folder).expanduser().resolve()
        for name in _FILES:
            if not (place / name).is_file():
                raise WeightsNotFound(f"{place} holds no {name}: it is no detector's folder")
        weights.check(place / WEIGHTS)
        self._torch = frameworks()[0]
        transformers = _transformers()
        told = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._processor = transformers.AutoImageProcessor.from_pretrained(place, **told)
            model, report = transformers.AutoModelForObjectDetection.from_pretrained(
                place,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # told below, with all else that does not fit
                output_loading_info=True,
                **told,
            )
        except ImportError as error:
            raise MissingExtra(f"the detector in {place} needs more: {error}") from error
        except (OSError, ValueError, RuntimeError, TypeError, LookupError) as error:
            raise WeightsInvalid(f"{place} holds no detector: {error}") from error
        if faults := _faults(report):
            raise WeightsInvalid(f"{place / WEIGHTS} is not the model of its config.json: {faults}")
        self._model = model.eval()
        self._turn = threading.Lock()

    def detect(self, image: Pixels, threshold: float) -> list[Region]:
        """Return what is found with a score of `threshold` or more, in no order.

        Raises:
            EncoderError: the model fails on the image.
        """
        torch, size = self._torch, image.shape[:2]
        image = np.require(image, requirements="W")  # torch warns of arrays that are not
        try:
            with self._turn, torch.inference_mode():
                inputs = self._processor(
                    images=image, return_tensors="pt", input_data_format="channels_last"
                )
                made = self._processor.post_process_object_detection(
                    self._model(**inputs), threshold=threshold, target_sizes=[size]
                )[0]
        except (RuntimeError, ValueError, TypeError) as error:
            raise EncoderError(f"the detector fails on an image of {size}: {error}") from error
        names = self._model.config.id2label
        columns = (made[key].tolist() for key in ("boxes", "labels", "scores"))
        return [
            Region(_whole(box), str(names.get(label, label)), score)
            for box, label, score in zip(*columns, strict=True)
        ]


@cache
def _detector(folder: str) -> Detector:
    return Detector(folder)


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"regions need {error.name}: pip install 'imgsearch[torch,regions]'", name=error.name
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _faults(report: Any) -> str:
    told = {
        "missing": sorted(report.get("missing_keys") or ()),
        "unexpected": sorted(report.get("unexpected_keys") or ()),
        "of another shape": sorted(map(str, report.get("mismatched_keys") or ())),
    }
    return "; ".join(f"{len(keys)} {what} ({keys[0]}, …)" for what, keys in told.items() if keys)


def _whole(box: Sequence[float]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(edge) for edge in box)
    return left, top, right, bottom
