"""The contract of an encoder: images, and texts if it takes them → vectors of one space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch.errors import EncoderError, TextUnsupported
from imgsearch.types import Fingerprint, Matrix, Pixels
from imgsearch.wording import counted


class Encoder(ABC):
    """A model that turns images into vectors. Thread-safe; built once a process by `load`."""

    fingerprint: Fingerprint
    batch_size: int = 32
    """How many images `features` likes to see at once."""
    enough: int = 0
    """How many pixels the shorter edge of an image needs, for `images.decode`'s `at_least`.

    Where it is above 0, `prepare` takes a Pillow picture, too. 0: a whole image, as an array.
    """
    offloaded: bool = False
    """Whether `features` waits for a device of its own, while the cores could go on decoding."""
    languages: tuple[str, ...] = ()
    """The languages of its texts, as "en"; "mul" for many; none where it has no text side."""
    templates: tuple[str, ...] = ("{}",)
    """The sentences that a text is put in, in the place of {}; their vectors are averaged."""

    @abstractmethod
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        """Return the model's input for one image, always of the same shape and dtype, small.

        Runs beside `features`, in another thread; what it returns waits in queues.
        """

    @abstractmethod
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        """Return the raw embeddings, float32 (n, dim), of n prepared inputs, in order."""

    def text_features(self, texts: Sequence[str]) -> Matrix:
        """Return the raw embeddings, float32 (n, dim), of n texts as they are, in order.

        Raises:
            TextUnsupported: the model takes images only.
        """
        raise TextUnsupported(
            f"{self.fingerprint.model} takes images only ({counted(len(texts), 'text')} given); "
            "`imgsearch models` tells which take texts, as clip_vit_b32 does"
        )

    def unknown_words(self, text: str) -> tuple[str, ...]:  # noqa: ARG002  # for who knows words
        """Return the words that the model passes over, as it does not know them; mostly none."""
        return ()

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of n texts, float32 (n, dim), rows of unit L2 norm.

        Each text is put into every one of `templates`; the unit vectors' mean is scaled to 1.

        Raises:
            TextUnsupported: the model takes images only.
            TextUnknown: it knows no word of a text.
            EncoderError: an embedding is zero or not finite.
        """
        told = [each.replace("{}", text) for text in texts for each in self.templates]
        features = unit(self.text_features(told))
        return unit(features.reshape(len(texts), len(self.templates), -1).mean(axis=1))

    @property
    def dim(self) -> int:
        """The vectors' length."""
        return self.fingerprint.dim

    def encode(self, images: Sequence[Pixels]) -> Matrix:
        """Return the vectors of n images, float32 (n, dim), rows of unit L2 norm.

        Raises:
            EncoderError: an embedding is zero or not finite.
        """
        return unit(self.features([self.prepare(image) for image in images]))


def unit(features: Matrix) -> Matrix:
    """Return the rows scaled to unit L2 norm, float32, C-contiguous.

    Raises:
        EncoderError: a row is zero or not finite, so has no direction.
    """
    matrix = np.ascontiguousarray(features, dtype=np.float32)
    norms = np.linalg.norm(matrix.astype(np.float64), axis=-1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise EncoderError("an embedding is zero or not finite: the weights or the image are odd")
    return np.ascontiguousarray(matrix / norms, dtype=np.float32)
