"""Detectors of objects: their options, and object detection with the library transformers.

https://huggingface.co/docs/transformers/tasks/object_detection
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from imgsearch.distribution import install_hint
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import files
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    MissingExtra,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.images.regions import Region, select
from imgsearch.text import load_json
from imgsearch.types import Pixels

if TYPE_CHECKING:
    from imgsearch.encoders.opencv_detector import OpenCVDetector

OPENCV: Final = "detector.json"
"""The file that marks a folder as a detector for OpenCV; see `opencv_detector`."""

WEIGHTS: Final = "model.safetensors"
_FILES: Final = ("config.json", "preprocessor_config.json", WEIGHTS)
_ALL: Final = -1.0  # below every score, because transformers drops scores equal to the threshold
# errors of transformers 5.23 for invalid files; AttributeError for JSON that is not an object
_INVALID_FOLDER: Final = (
    OSError,
    ValueError,
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
)


@dataclass(frozen=True)
class Detection:
    """A detector's folder and the options that select its regions.

    `weights` is a folder with config.json, preprocessor_config.json and model.safetensors of an
    object detection model of transformers, such as RT-DETR, D-FINE or YOLOS, or with a
    detector.json and the graph that it describes, which OpenCV runs (see `opencv_detector`). The
    other fields are arguments of `images.regions.select`.

    Raises:
        ConfigError: `threshold` is not in [0, 1], or `most` or `smallest` is below 1.
    """

    weights: str
    threshold: float = 0.5
    most: int = 8
    smallest: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"a detection's threshold must be in [0, 1], not {self.threshold}")
        if min(self.most, self.smallest) < 1:
            raise ConfigError(
                f"a detection's most and smallest must be at least 1, not {self.most} and "
                f"{self.smallest}"
            )

    @classmethod
    def of(cls, regions: "str | PathLike[str] | Detection") -> "Detection":
        """Convert a detector's folder, made absolute; return a `Detection` unchanged.

        Raises:
            ConfigError: `regions` is neither a path nor a `Detection`.
        """
        if isinstance(regions, Detection):
            return regions
        folder: object = regions  # untyped callers may pass anything
        if not isinstance(folder, str | PathLike) or not fspath(folder):
            raise ConfigError(f"regions must be a detector's folder or a Detection, not {folder!r}")
        return cls(str(Path(folder).expanduser().resolve()))

    def build(self) -> "Detector | OpenCVDetector":
        """Build the detector. It is cached until a file of the folder changes.

        Raises:
            MissingExtra: torch or transformers is not installed, or for OpenCV cv2.
            WeightsNotFound, WeightsInvalid: the folder is missing, or is not a detector's.
        """
        folder = Path(self.weights).expanduser().resolve()
        with _lock:
            cached, stamp = _detectors.get(folder), files.stamp(folder)
            if cached is None or cached[0] != stamp:
                cached = _detectors[folder] = stamp, _build(folder)
            return cached[1]

    def __call__(self, image: Pixels) -> list[Region]:
        """Return the selected regions, highest score first.

        Raises:
            EncoderError: the detector fails on the image. Errors of `build` are also raised.
        """
        height, width = image.shape[:2]
        detector = self.build()
        if min(height, width) < self.smallest:  # no region would be selected, and some models fail
            return []
        return select(
            detector.detect(image),
            width,
            height,
            threshold=self.threshold,
            most=self.most,
            smallest=self.smallest,
        )


def _build(folder: Path) -> "Detector | OpenCVDetector":
    if not (folder / OPENCV).is_file():
        return Detector(folder)
    from imgsearch.encoders.opencv_detector import OpenCVDetector

    return OpenCVDetector(folder)


class Detector:
    """A detector of transformers in float32 on the CPU, which runs one call at a time."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Load the folder without running its code and without downloads.

        Raises: see `Detection.build`.
        """
        path = Path(folder).expanduser().resolve()
        for name in _FILES:
            if not (path / name).is_file():
                raise WeightsNotFound(f"{path} is not a detector's folder: {name} is missing")
        files.check(path / WEIGHTS)
        self._torch = frameworks()[0]
        transformers = _transformers()
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            with _quiet(transformers.logging):
                processor = transformers.AutoImageProcessor.from_pretrained(path, **local)
                model, report = transformers.AutoModelForObjectDetection.from_pretrained(
                    path,
                    config=_config(transformers.AutoConfig, path),
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # reported below with other mismatches
                    output_loading_info=True,
                    **local,
                )
        except ImportError as error:
            raise MissingExtra(
                f"cannot load the detector in {path}: {error}. Install the named package."
            ) from error
        except _INVALID_FOLDER as error:
            raise WeightsInvalid(f"{path} is not a detector's folder: {error}") from error
        if faults := _faults(report):
            raise WeightsInvalid(f"{path / WEIGHTS} does not fit its config.json: {faults}")
        if not hasattr(processor, "post_process_object_detection"):
            name = type(processor).__name__
            raise WeightsInvalid(f"{path}: the {name} of {_FILES[1]} does not detect objects")
        self._processor, self._model = processor, model.float().eval()
        self._lock = threading.Lock()

    def detect(self, image: Pixels) -> list[Region]:
        """Return all regions that the model detects, with any score and in any order.

        Raises:
            EncoderError: the model fails on the image, or returns NaN or infinity.
        """
        torch, size = self._torch, image.shape[:2]
        image = np.require(image, requirements="W")  # torch warns of read-only arrays
        try:
            with self._lock, torch.inference_mode():
                inputs = self._processor(
                    images=image, return_tensors="pt", input_data_format="channels_last"
                )
                output = self._model(**inputs)
                parts = output.logits, output.pred_boxes
                is_finite = all(torch.isfinite(part).all() for part in parts)
                result = self._processor.post_process_object_detection(
                    output, threshold=_ALL, target_sizes=[size]
                )[0]
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise EncoderError(f"the detector fails on an image of {size}: {error}") from error
        if not is_finite:
            raise EncoderError(f"the detector returns NaN or infinity for an image of {size}")
        names = self._model.config.id2label
        columns = (result[key].tolist() for key in ("boxes", "labels", "scores"))
        return [
            Region.of(box, names.get(label, label), score)
            for box, label, score in zip(*columns, strict=True)
        ]


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"regions need {error.name}", extra="torch,regions", name=error.name
        ) from error
    except ImportError as error:  # transformers checks the versions of its requirements
        raise MissingExtra(
            f"cannot import transformers: {error}. Run {install_hint('torch,regions')}.",
            name="transformers",
        ) from error
    return transformers


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Silence transformers' progress bars and load reports; problems are raised as errors."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _config(configs: Any, folder: Path) -> Any:
    """Return the model's configuration without a request to a hub.

    A config.json that transformers 4 wrote for the DETR family names a backbone without describing
    it. In this case transformers 5.23 asks the hub whether the backbone is a repository, despite
    `local_files_only`. This function describes timm backbones in the same way as DETR's own code.
    """
    config = load_json((folder / _FILES[0]).read_text(encoding="utf-8"))
    if not config.get("backbone") or config.get("backbone_config"):
        return configs.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not config.get("use_timm_backbone", True):
        raise WeightsInvalid(
            f"its config.json leaves the backbone {config['backbone']!r} to a hub. Save the model "
            "again with transformers 5, which describes the backbone."
        )
    arguments = config.pop("backbone_kwargs", None) or {}
    config["backbone_config"] = {
        "model_type": "timm_backbone",
        "backbone": config.pop("backbone"),
        "num_channels": config.get("num_channels", 3),
        "features_only": True,
        "use_pretrained_backbone": False,
        "out_indices": arguments.get("out_indices", [1, 2, 3, 4]),
    }
    if config.get("dilation"):
        config["backbone_config"]["output_stride"] = arguments.get("output_stride", 16)
    return configs.for_model(**config)


def _faults(report: Any) -> str:
    """Return the mismatches between weights and model as text. Returns "" if they match."""
    keys_by_fault = {
        "missing": sorted(report.get("missing_keys") or ()),
        "unexpected": sorted(report.get("unexpected_keys") or ()),
        "of another shape": sorted(map(str, report.get("mismatched_keys") or ())),
    }
    return "; ".join(
        f"{len(keys)} {fault} ({keys[0]}, …)" for fault, keys in keys_by_fault.items() if keys
    )


_lock: Final = threading.Lock()
_detectors: Final[dict[Path, tuple[tuple[str | int, ...], "Detector | OpenCVDetector"]]] = {}
