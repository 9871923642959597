"""The contract of what reads texts for `lite`: a text to a vector of all-MiniLM-L6-v2's space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from imgsearch.types import Matrix

DIM: Final = 384
"""Numbers of a vector of all-MiniLM-L6-v2."""


class TextEncoder(ABC):
    """Reads English texts. Thread-safe."""

    @abstractmethod
    def vectors(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors, float32 (n, 384), of n texts, in order.

        Raises:
            TextUnknown: no word of a text is known.
        """

    @abstractmethod
    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the words of a text that are skipped because they are unknown, each once."""
