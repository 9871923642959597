"""What the contract of object stores is tried on, and the pictures that are put there."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from imgsearch.objects import ObjectStore
from tests.pictures import picture


@dataclass(frozen=True)
class Shelf:
    """A store with nothing in it, and how to open it once more."""

    store: ObjectStore
    again: Callable[[], ObjectStore]


def jpeg(seed: int) -> tuple[str, bytes]:
    """Return a small photograph's content hash and bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture(seed)).save(buffer, "JPEG")
    return hashlib.sha256(buffer.getvalue()).hexdigest(), buffer.getvalue()
