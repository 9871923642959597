"""Vector → unit vector in the same direction."""

from imgsearch.encoders import unit
from imgsearch.towhee import Operator
from imgsearch.types import Vector


class Normalize(Operator):
    """Scale a vector to unit L2 norm, so that its inner products are cosines."""

    def __init__(self) -> None:
        """Take no configuration."""

    def __call__(self, vector: Vector) -> Vector:
        """Return `vector`, shape (d,), scaled to unit L2 norm, float32."""
        return unit(vector)


normalize = Normalize  # the name that Towhee looks for
