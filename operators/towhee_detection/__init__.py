"""Image → objects, with the interface of ``ops.object_detection.yolov5`` and ``.yolo``."""

from typing import Any

from imgsearch.encoders.detector import Detection
from imgsearch.towhee import Operator
from imgsearch.towhee.patches import detector_folder, to_rgb

_MOST = 300  # objects of an image; YOLOv5 returns at most 1,000


class TowheeDetection(Operator):
    """Find objects with the detector in the folder `weights`, in the place of the hub's models.

    IMGSEARCH_DETECTOR names the default folder.
    """

    def __init__(
        self,
        model_name: str = "",  # noqa: ARG002 - of the hub's models, which are not available
        *,
        weights: str | None = None,
        threshold: float = 0.25,  # as YOLOv5
        rows: bool = False,
        **_: Any,  # the hub's other options, such as the size of images
    ) -> None:
        folder = weights or detector_folder()
        self._detect = Detection(folder, threshold, _MOST, smallest=1)
        self._detect.build()
        self._rows = rows
        self.outputs = 1 if rows else 3

    def __call__(self, image: Any) -> Any:
        """Return boxes, classes and scores, highest score first.

        A box is ``[left, top, right, bottom]`` in pixels. The result is a list for each, or with
        `rows` a list of (box, class, score).
        """
        objects = [
            (list(region.box), region.label, region.score) for region in self._detect(to_rgb(image))
        ]
        if self._rows:
            return objects
        return tuple(map(list, zip(*objects, strict=True))) if objects else ([], [], [])


towhee_detection = TowheeDetection  # the name that Towhee looks for
