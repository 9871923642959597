"""id and pixels → the image's regions and last the whole, for a `flat_map`."""

from collections.abc import Iterator

from imgsearch.detector import Detection
from imgsearch.regions import rows
from imgsearch.seam import Operator
from imgsearch.types import Pixels


class ObjectRegions(Operator):
    """Find objects with the detector in the folder `weights`, and cut them out."""

    outputs = 4

    def __init__(
        self, weights: str, *, threshold: float = 0.5, most: int = 8, smallest: int = 32
    ) -> None:
        self._detect = Detection(weights, threshold, most, smallest)

    def __call__(self, id_: str, image: Pixels) -> Iterator[tuple[str, str, str, Pixels]]:
        """Yield (id, box, object, pixels) for each region, the surest first, then for the whole."""
        yield from rows(id_, image, self._detect(image))
