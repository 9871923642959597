"""Path → id and bytes."""

from pathlib import Path

from imgsearch.images.sources import content_id, read
from imgsearch.towhee import Operator


class ImageRead(Operator):
    """Read one file and compute its content id."""

    outputs = 2

    def __init__(self) -> None:
        """Take no configuration."""

    def __call__(self, path: str | Path) -> tuple[str, bytes]:
        """Return the content id (sha256 in hex) and the bytes of the file at `path`."""
        data = read(path)
        return content_id(data), data


image_read = ImageRead  # the name that Towhee looks for
