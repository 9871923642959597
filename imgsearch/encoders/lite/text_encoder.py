"""The contract of text encoders for `lite`, with vectors in the space of all-MiniLM-L6-v2."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from imgsearch.types import Matrix

DIM: Final = 384
"""The dimension of vectors of all-MiniLM-L6-v2."""


class TextEncoder(ABC):
    """Encodes English texts. Thread-safe."""

    @abstractmethod
    def vectors(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors, float32 (n, 384), of n texts, in order.

        Raises:
            TextUnknown: no word of a text is known.
        """

    @abstractmethod
    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the distinct unknown words of a text, which are ignored."""
