"""Source → image paths."""

from collections.abc import Iterator

from imgsearch.images.sources import Source, references
from imgsearch.towhee import Operator


class ImageLoad(Operator):
    """List the images in a source, for use in a `flat_map`."""

    def __init__(self, *, labels: bool = False) -> None:
        self._labels = labels
        self.outputs = 2 if labels else 1

    def __call__(self, source: Source) -> Iterator[str | tuple[str, str]]:
        """Yield the path of each image, or (path, label) if `labels` is set."""
        for reference in references(source):
            # Towhee drops rows that hold None
            yield (reference.path, reference.label or "") if self._labels else reference.path


image_load = ImageLoad  # the name that Towhee looks for
