"""The interface of image and text encoders."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch.errors import EncoderError, TextUnsupported
from imgsearch.text import counted
from imgsearch.types import Fingerprint, Matrix, Pixels


class Encoder(ABC):
    """A model that turns images, and possibly texts, into vectors in one space. Thread-safe."""

    fingerprint: Fingerprint
    batch_size: int = 32
    """The number of images per call at which `features` is fastest."""
    enough: int = 0
    """The minimum length of an image's shorter edge in pixels: `at_least` of `images.decode`.

    If above 0, `prepare` also accepts a Pillow image. If 0, it needs an array at full size.
    """
    offloaded: bool = False
    """Whether `features` waits for a GPU while the CPU cores can decode."""
    languages: tuple[str, ...] = ()
    """The languages of supported texts, such as "en", or "mul" for many. Empty if none."""
    templates: tuple[str, ...] = ("{}",)
    """Prompt templates with {} for a text; a text's vectors in all templates are averaged."""

    @abstractmethod
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        """Return the model's input for one image: small, with a fixed shape and dtype.

        It is called in other threads than `features`, and its results wait in queues.
        """

    @abstractmethod
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        """Return the raw embeddings, float32 (n, dim), of n prepared inputs, in order."""

    def text_features(self, texts: Sequence[str]) -> Matrix:
        """Return the raw embeddings, float32 (n, dim), of n texts without templates, in order.

        Raises:
            TextUnsupported: the model takes images only.
        """
        raise TextUnsupported(
            f"{self.fingerprint.model} takes images only ({counted(len(texts), 'text')} given); "
            "`imgsearch models` shows models that take texts, such as clip_vit_b32"
        )

    def load_side(self, kind: str) -> None:  # noqa: B027  # most encoders are complete at once
        """Load the part for "text" or "image" now, and not at the first call.

        Raises: as for the first call.
        """

    def unknown_words(self, text: str) -> tuple[str, ...]:  # noqa: ARG002  # for subclasses
        """Return the words of a text that the model ignores because it does not know them."""
        return ()

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of n texts, float32 (n, dim), rows of unit L2 norm.

        A text's vector is the mean of its unit vectors in all `templates`, scaled to unit norm.

        Raises:
            TextUnsupported: the model takes images only.
            TextUnknown: the model knows no word of a text.
            EncoderError: an embedding is zero or not finite.
        """
        sentences = [template.replace("{}", text) for text in texts for template in self.templates]
        features = unit(self.text_features(sentences))
        return unit(features.reshape(len(texts), len(self.templates), -1).mean(axis=1))

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return self.fingerprint.dim

    def encode(self, images: Sequence[Pixels]) -> Matrix:
        """Return the vectors of n images, float32 (n, dim), rows of unit L2 norm.

        Raises:
            EncoderError: an embedding is zero or not finite.
        """
        return unit(self.features([self.prepare(image) for image in images]))


def unit(features: Matrix) -> Matrix:
    """Scale rows to unit L2 norm; the result is float32 and C-contiguous.

    Raises:
        EncoderError: a row is zero or not finite.
    """
    matrix = np.ascontiguousarray(features, dtype=np.float32)
    norms = np.linalg.norm(matrix.astype(np.float64), axis=-1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise EncoderError("an embedding is zero or not finite. Check the weights and the image.")
    return np.ascontiguousarray(matrix / norms, dtype=np.float32)
