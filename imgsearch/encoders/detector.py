"""What is where in an image: object detection by the library transformers.

https://huggingface.co/docs/transformers/tasks/object_detection
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import numpy as np

from imgsearch import safe_json
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
from imgsearch.images.regions import Region, chosen
from imgsearch.types import Pixels

WEIGHTS: Final = "model.safetensors"
_FILES: Final = ("config.json", "preprocessor_config.json", WEIGHTS)
_ALL: Final = -1.0  # a threshold below every score: transformers leaves out those equal to it
# what transformers 5.23 raises on wrong files; AttributeError: JSON that is no object
_FOLDER_AT_FAULT: Final = (
    OSError,
    ValueError,
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
)


@dataclass(frozen=True)
class Detection:
    """Which detector, and which of its regions count, in plain values.

    `weights` is a folder as a hub lays it out: config.json, preprocessor_config.json and
    model.safetensors of a model that transformers detects objects with, as RT-DETR, D-FINE or
    YOLOS. The others are those of `regions.chosen`.

    Raises:
        ConfigError: `threshold` is not in [0, 1], `most` or `smallest` below 1.
    """

    weights: str
    threshold: float = 0.5
    most: int = 8
    smallest: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"a detection's threshold is in [0, 1], not {self.threshold}")
        if min(self.most, self.smallest) < 1:
            raise ConfigError(
                f"a detection's most and smallest are 1 or more, not {self.most}, {self.smallest}"
            )

    @classmethod
    def of(cls, given: "str | PathLike[str] | Detection") -> "Detection":
        """Return the detection with an absolute path, so that it works anywhere.

        Raises:
            ConfigError: `given` is no path.
        """
        if isinstance(given, Detection):
            return given
        folder: object = given  # a caller without a type checker may give anything
        if not isinstance(folder, str | PathLike) or not fspath(folder):
            raise ConfigError(f"regions is a detector's folder or a Detection, not {given!r}")
        return cls(str(Path(given).expanduser().resolve()))

    def build(self) -> "Detector":
        """Return the detector: the same object in a process, until a file of the folder changes.

        Raises:
            MissingExtra: torch or transformers is not installed.
            WeightsNotFound, WeightsInvalid: the folder is not there, or holds something else.
        """
        folder = Path(self.weights).expanduser().resolve()
        with _building:
            known, mark = _built.get(folder), files.stamp(folder)
            if known is None or known[0] != mark:
                known = _built[folder] = mark, Detector(folder)
            return known[1]

    def __call__(self, image: Pixels) -> list[Region]:
        """Return the regions that count, the surest first.

        Raises:
            EncoderError: the detector fails on the image; and all that `build` raises.
        """
        height, width = image.shape[:2]
        detector = self.build()
        if min(height, width) < self.smallest:  # nothing in it would count, and some models fail
            return []
        return chosen(
            detector.detect(image),
            width,
            height,
            threshold=self.threshold,
            most=self.most,
            smallest=self.smallest,
        )


class Detector:
    """A detector in float32 on the CPU; a call at a time."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Read the folder; nothing in it is run, and nothing is downloaded.

        Raises: as `Detection.build` says.
        """
        place = Path(folder).expanduser().resolve()
        for name in _FILES:
            if not (place / name).is_file():
                raise WeightsNotFound(f"{place} holds no {name}: it is no detector's folder")
        files.check(place / WEIGHTS)
        self._torch = frameworks()[0]
        transformers = _transformers()
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            with _quiet(transformers.logging):
                processor = transformers.AutoImageProcessor.from_pretrained(place, **local)
                model, report = transformers.AutoModelForObjectDetection.from_pretrained(
                    place,
                    config=_config(transformers.AutoConfig, place),
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # told below, with all else that does not fit
                    output_loading_info=True,
                    **local,
                )
        except ImportError as error:
            raise MissingExtra(
                f"the detector in {place} does not load: {error}. Install what the line names."
            ) from error
        except _FOLDER_AT_FAULT as error:
            raise WeightsInvalid(f"{place} holds no detector: {error}") from error
        if faults := _faults(report):
            raise WeightsInvalid(f"{place / WEIGHTS} is not the model of its config.json: {faults}")
        if not hasattr(processor, "post_process_object_detection"):
            told = type(processor).__name__
            raise WeightsInvalid(f"{place}: the {told} of {_FILES[1]} is for no detector")
        self._processor, self._model = processor, model.float().eval()
        self._turn = threading.Lock()

    def detect(self, image: Pixels) -> list[Region]:
        """Return all that the model tells, also what it is not sure of at all, in no order.

        Raises:
            EncoderError: the model fails on the image, or gives NaN or infinity.
        """
        torch, size = self._torch, image.shape[:2]
        image = np.require(image, requirements="W")  # torch warns of arrays that are not
        try:
            with self._turn, torch.inference_mode():
                inputs = self._processor(
                    images=image, return_tensors="pt", input_data_format="channels_last"
                )
                made = self._model(**inputs)
                sound = all(torch.isfinite(part).all() for part in (made.logits, made.pred_boxes))
                made = self._processor.post_process_object_detection(
                    made, threshold=_ALL, target_sizes=[size]
                )[0]
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise EncoderError(f"the detector fails on an image of {size}: {error}") from error
        if not sound:
            raise EncoderError(f"the detector gives NaN or infinity for an image of {size}")
        names = self._model.config.id2label
        columns = (made[key].tolist() for key in ("boxes", "labels", "scores"))
        return [
            Region(_whole(box), _label(names.get(label, label)), score)
            for box, label, score in zip(*columns, strict=True)
        ]


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"regions need {error.name}", extra="torch,regions", name=error.name
        ) from error
    except ImportError as error:  # it checks the versions of what it needs
        raise MissingExtra(
            f"transformers does not import: {error}. Run {install_hint('torch,regions')}.",
            name="transformers",
        ) from error
    return transformers


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep transformers' progress bars and load reports to ourselves: what matters is raised."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _config(configs: Any, place: Path) -> Any:
    """Return the model's configuration, without asking a hub for a part of it.

    Where a config.json names a backbone and does not describe it, as those that transformers 4
    wrote for DETR's family, transformers 5.23 asks the hub if a repository of that name exists,
    whatever `local_files_only` says. Timm's are described here, as DETR's own code does.
    """
    told = safe_json.loads((place / _FILES[0]).read_text(encoding="utf-8"))
    if not told.get("backbone") or told.get("backbone_config"):
        return configs.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    if not told.get("use_timm_backbone", True):
        raise WeightsInvalid(
            f"its config.json leaves the backbone {told['backbone']!r} to a hub; write the model "
            "again with transformers 5, which describes it there"
        )
    wishes = told.pop("backbone_kwargs", None) or {}
    told["backbone_config"] = {
        "model_type": "timm_backbone",
        "backbone": told.pop("backbone"),
        "num_channels": told.get("num_channels", 3),
        "features_only": True,
        "use_pretrained_backbone": False,
        "out_indices": wishes.get("out_indices", [1, 2, 3, 4]),
    }
    if told.get("dilation"):
        told["backbone_config"]["output_stride"] = wishes.get("output_stride", 16)
    return configs.for_model(**told)


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


def _label(told: object) -> str:
    """Return a label as every store holds it: valid UTF-8, without NUL."""
    return str(told).replace("\0", "").encode("utf-8", "backslashreplace").decode()


_building: Final = threading.Lock()
_built: Final[dict[Path, tuple[tuple[str | int, ...], Detector]]] = {}
