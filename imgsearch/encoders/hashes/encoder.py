"""Perceptual hashes as vectors: the right tool for copies, and no tool for similar subjects.

A hash has 256 bits. Bit 1 is the component 1/16, bit 0 is -1/16, so the cosine of two vectors is
1 - h/128 with h different bits. A store with the metric "hamming" keeps the bits themselves: 32
bytes an image.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import override

from imgsearch.distribution import install_hint
from imgsearch.encoders.base import Encoder
from imgsearch.errors import MissingExtra
from imgsearch.types import Fingerprint, Matrix, Pixels

_EDGE: Final = 16  # bits a side, as many as PDQ; imagehash's default of 8 confuses more pictures
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "phash": "signs of the lowest 16 x 16 frequencies of 64 x 64 gray pixels, to their median",
    "dhash": "signs of the differences of neighbors in 17 x 16 gray pixels",
}


class HashEncoder(Encoder):
    """The hash `name`, "phash" or "dhash", of the library imagehash.

    docs/hashes.md has figures, and a table of the stores that keep bits.

    Source: https://github.com/JohannesBuchner/imagehash, version 4.3.2.

    Raises:
        MissingExtra: imagehash is not installed.
    """

    def __init__(self, name: str) -> None:
        self._hash = _hash_of(name)
        self.fingerprint = Fingerprint(
            model=name, dim=_EDGE * _EDGE, preprocessing=_DESCRIPTIONS[name], options="v1"
        )

    @override
    def prepare(self, image: Pixels) -> npt.NDArray[np.bool_]:
        """Return the bits of an image, bool (16, 16)."""
        bits = self._hash(Image.fromarray(np.ascontiguousarray(image)), hash_size=_EDGE).hash
        return np.asarray(bits, dtype=np.bool_)

    @override
    def features(self, inputs: Sequence[npt.NDArray[np.bool_]]) -> Matrix:
        bits = np.stack(inputs).reshape(len(inputs), -1)
        return np.where(bits, np.float32(1), np.float32(-1))


def _hash_of(name: str) -> Callable[..., Any]:
    try:
        import imagehash
    except ImportError as error:
        raise MissingExtra(
            f"the encoder {name} needs imagehash. Run {install_hint('hash')}",
            extra="hash",
            name="imagehash",
        ) from error
    function: Callable[..., Any] = getattr(imagehash, name)
    return function
