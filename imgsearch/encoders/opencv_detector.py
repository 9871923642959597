"""Object detection with OpenCV's dnn module: TensorFlow graphs (.pb) and ONNX files.

https://docs.opencv.org/4.x/d6/d0f/group__dnn.html
"""

import threading
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from imgsearch.encoders.weights import files
from imgsearch.errors import EncoderError, MissingExtra, WeightsInvalid, WeightsNotFound
from imgsearch.images.regions import Region
from imgsearch.types import Pixels

DESCRIPTION: Final = "detector.json"

_LOWEST: Final = 0.01  # YOLO returns thousands of boxes, most of them with a score of about 0
_MOST: Final = 300  # boxes of an image, as YOLOv8's own default
_OVERLAP: Final = 0.45  # two boxes of one class are one object from this on, as in YOLOv5
_GRAY: Final = 114  # of the border around an image of another shape, as in YOLOv5
_MAX_DESCRIPTION: Final = 1_000_000  # bytes; 1,000 labels take about 20,000

_Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00]+$", max_length=255)]
_Edge: TypeAlias = Annotated[int, Field(ge=16, le=4096)]
_Objects: TypeAlias = tuple[Any, Any, Any]
"""Edges in shares of the input, float (n, 4): left, top, right, bottom; classes and scores (n,)."""


class GraphDescription(BaseModel):
    """The contents of ``detector.json``.

    `model` is a file in the folder: a TensorFlow graph (.pb), with `graph`, its description for
    OpenCV (.pbtxt), or an ONNX file. The input is (pixels - `mean`) * `scale`, of `size` (width,
    height), in the order `channels`; `letterbox` keeps the image's shape, between gray borders.
    `labels` are the names of the classes, from 0 on, or by their number.

    `output` is the layout of the result: "ssd" (1, 1, n, 7), as of OpenCV's DetectionOutput;
    "yolov5" (1, n, 5 + classes), with boxes in pixels of the input; "yolov8"
    (1, 4 + classes, n).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    engine: Literal["opencv"]
    model: _Name
    graph: _Name | None = None
    output: Literal["ssd", "yolov5", "yolov8"] = "ssd"
    size: Annotated[list[_Edge], Field(min_length=2, max_length=2)]
    mean: Annotated[
        list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=3, max_length=3)
    ] = [0.0, 0.0, 0.0]
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    channels: Literal["RGB", "BGR"] = "RGB"
    letterbox: bool = False
    labels: list[str] | dict[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")], str]

    def names(self) -> Mapping[int, str]:
        """Return a mapping from class number to label."""
        if isinstance(self.labels, list):
            return dict(enumerate(self.labels))
        return {int(number): label for number, label in self.labels.items()}


class OpenCVDetector:
    """A detector in float32 on the CPU, which runs one call at a time."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Load the graph that ``detector.json`` in the folder describes.

        Raises:
            MissingExtra: cv2 is not installed.
            WeightsNotFound: a file is missing.
            WeightsInvalid: the description is invalid, or OpenCV cannot read the graph.
        """
        path = Path(folder).expanduser().resolve()
        self._form = _description(path / DESCRIPTION)
        self._names = self._form.names()
        self._cv2 = _cv2()
        self._net = self._read(path)
        self._lock = threading.Lock()

    def detect(self, image: Pixels) -> list[Region]:
        """Return the regions that the model detects, with any score and in any order.

        Of "yolov5" and "yolov8" these are at most 300, with a score of at least 0.01, and
        overlapping boxes of one class are one.

        Raises:
            EncoderError: the model fails on the image, or its output has another layout.
        """
        size = image.shape[:2]
        try:
            blob, place = self._input(image)
            with self._lock:
                self._net.setInput(blob)
                outputs = self._net.forward(self._net.getUnconnectedOutLayersNames())
            boxes, classes, scores = _LAYOUTS[self._form.output](
                self._cv2, outputs, self._form.size
            )
        except (self._cv2.error, ValueError, IndexError, TypeError) as error:
            raise EncoderError(f"the detector fails on an image of {size}: {error}") from error
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise EncoderError(f"the detector returns NaN or infinity for an image of {size}")
        # large values of a wrong model would not be integers of the image
        edges = np.clip(place(boxes), -(2**20), 2**20).tolist()
        return [
            Region.of(box, self._names.get(int(number), int(number)), float(score))
            for box, number, score in zip(edges, classes, scores, strict=True)
            if score > 0  # OpenCV fills its list with rows of zeros
        ]

    def _read(self, folder: Path) -> Any:
        """Return OpenCV's network.

        Raises: see `__init__`.
        """
        model = folder / self._form.model
        graph = folder / self._form.graph if self._form.graph else None
        suffix = model.suffix.lower()
        if suffix not in (".pb", ".onnx"):
            raise WeightsInvalid(f"{model}: OpenCV detects with .pb and .onnx files, not {suffix}")
        if suffix == ".pb" and graph is None:  # OpenCV 5.0.0 crashes on some files without one
            raise WeightsInvalid(
                f"{model} needs its description for OpenCV. Name the .pbtxt file as "
                f'"graph" in {DESCRIPTION}.'
            )
        for file in filter(None, (model, graph)):
            files.check(file)
        try:
            net = self._cv2.dnn.readNet(str(model), str(graph or ""))
        except self._cv2.error as error:
            raise WeightsInvalid(f"OpenCV cannot read {model}: {error}") from error
        if net.empty():
            raise WeightsInvalid(f"OpenCV finds no layers in {model}")
        return net

    def _input(self, image: Pixels) -> tuple[Any, Callable[[Any], Any]]:
        """Return the model's input, and a function from shares of it to pixels of the image."""
        cv2, (width, height) = self._cv2, self._form.size
        rows, columns = image.shape[:2]
        left, top, scale_x, scale_y = 0, 0, columns, rows
        if self._form.letterbox:
            ratio = min(width / columns, height / rows)
            inner = max(1, round(columns * ratio)), max(1, round(rows * ratio))
            left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
            framed = np.full((height, width, 3), _GRAY, np.uint8)
            framed[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner)
            image = framed
            scale_x, scale_y = columns * width / inner[0], rows * height / inner[1]
        blob = cv2.dnn.blobFromImage(
            np.ascontiguousarray(image),
            self._form.scale,
            (width, height),
            tuple(self._form.mean),
            swapRB=self._form.channels == "BGR",
        )
        origin = np.array([left / width, top / height] * 2)
        scales = np.array([scale_x, scale_y] * 2)
        return blob, lambda boxes: (boxes - origin) * scales


def _description(file: Path) -> GraphDescription:
    """Return the contents of ``detector.json``.

    Raises:
        WeightsNotFound: the file cannot be read.
        WeightsInvalid: it is not a valid description.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_DESCRIPTION + 1)
    except OSError as error:
        raise WeightsNotFound(f"cannot read {file}: {error.strerror}") from error
    if len(text) > _MAX_DESCRIPTION:
        raise WeightsInvalid(f"{file} has more than {_MAX_DESCRIPTION:,} bytes")
    try:
        return GraphDescription.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise WeightsInvalid(
            f"{file} does not describe a detector: {where + ': ' if where else ''}{fault['msg']}"
        ) from error


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("this detector needs cv2", extra="opencv", name="cv2") from error
    return cv2


def _ssd(_: Any, outputs: Any, __: Any) -> _Objects:
    (rows,) = (output.reshape(-1, 7) for output in outputs)
    return rows[:, 3:7], rows[:, 1], rows[:, 2]


def _yolov5(cv2: Any, outputs: Any, size: Any) -> _Objects:
    rows = _sole(outputs)
    return _joined(cv2, rows[:, :4], rows[:, 5:] * rows[:, 4:5], size)


def _yolov8(cv2: Any, outputs: Any, size: Any) -> _Objects:
    rows = _sole(outputs).T
    return _joined(cv2, rows[:, :4], rows[:, 4:], size)


def _sole(outputs: Any) -> Any:
    """Return the one output, without its batch axis.

    Raises:
        ValueError: there are more outputs, or it has another number of axes.
    """
    (output,) = outputs
    if output.ndim != 3 or len(output) != 1:
        raise ValueError(f"its output is {output.shape}, not (1, rows, columns)")
    return output[0]


def _joined(cv2: Any, centered: Any, scores: Any, size: Any) -> _Objects:
    """Return the objects of YOLO's boxes (center, width, height), in pixels of the input."""
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    if not np.isfinite(centered).all() or not np.isfinite(best).all():
        return centered, classes, best  # an error of `detect`
    corners = centered[:, :2] - centered[:, 2:] / 2
    kept = np.asarray(
        cv2.dnn.NMSBoxesBatched(
            np.hstack([corners, centered[:, 2:]]).tolist(),
            best.tolist(),
            classes.tolist(),
            _LOWEST,
            _OVERLAP,
            top_k=_MOST,
        ),
        dtype=int,
    ).reshape(-1)
    boxes = np.hstack([corners, corners + centered[:, 2:]]) / np.array([*size, *size])
    return boxes[kept], classes[kept], best[kept]


_LAYOUTS: Final[Mapping[str, Callable[[Any, Any, Any], _Objects]]] = {
    "ssd": _ssd,
    "yolov5": _yolov5,
    "yolov8": _yolov8,
}
