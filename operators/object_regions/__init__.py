"""Id and pixels → the regions of the image, then the whole image."""

from imgsearch.encoders.detector import Detection
from imgsearch.images.regions import rows
from imgsearch.towhee import BatchOperator
from imgsearch.types import Pixels


class ObjectRegions(BatchOperator):
    """Crop the objects that the detector in the folder `weights` finds in an image."""

    def __init__(
        self, weights: str, *, threshold: float = 0.5, most: int = 8, smallest: int = 32
    ) -> None:
        self._detect = Detection(weights, threshold, most, smallest)
        self._detect.build()

    def __call__(
        self, ids: list[str], images: list[Pixels]
    ) -> list[list[tuple[str, str, str, Pixels]]]:
        """Return, for each image, (id, box, object, pixels) of its regions, then of the image."""
        return [
            list(rows(id_, image, self._detect(image)))
            for id_, image in zip(ids, images, strict=True)
        ]


object_regions = ObjectRegions  # the name that Towhee looks for
