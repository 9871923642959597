"""An empty object store with a way to open it again, and images to put into it."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from imgsearch.objects import ObjectStore
from tests.pictures import picture


@dataclass(frozen=True)
class Shelf:
    """An empty store, and a function that opens it again."""

    store: ObjectStore
    again: Callable[[], ObjectStore]


def jpeg(seed: int) -> tuple[str, bytes]:
    """Return a small photograph's content hash and bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture(seed)).save(buffer, "JPEG")
    return hashlib.sha256(buffer.getvalue()).hexdigest(), buffer.getvalue()
