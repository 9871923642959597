"""The text side of `lite`: vectors of texts, by the similarity to ImageNet's class names."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.distribution import install_hint
from imgsearch.encoders.lite.sentences import SentenceModel
from imgsearch.encoders.lite.text_encoder import TextEncoder
from imgsearch.encoders.lite.words import WordTable
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
_FOLDER: Final = Path(__file__).parent
CLASSES: Final = _FOLDER / "classes.npy"
"""Unit vectors of the class names, float16 (1000, 384), in the classifier's order."""

NAMES: Final = _FOLDER / "classes.txt"
"""The class names in the same order, one a line, after lines with "#" that name the source."""

SHARPNESS: Final = 8.0
"""How sharply a text picks classes, by the cosines: of 6 to 10, chosen together with `RIDGE`.

docs/lite.md names the data, which are not evaluated, and the other values.
"""

RIDGE: Final = 1.0
"""How much the map from texts to directions is smoothed: of 0.1 to 100."""


class TextSide:
    """Encodes English texts in the space of `lite`'s images. Thread-safe.

    `targets` is the file of `targets_of`, float16 (1000, dim). Texts are first encoded by
    `SentenceModel` if the extra `sentences` is installed, else by `WordTable`. The first text
    decides. Collections have only image vectors, so they remain valid if the extra is installed or
    removed.
    """

    def __init__(self, targets: Path, encoder: TextEncoder | None = None) -> None:
        self._targets, self._encoder = targets, encoder
        self._tables: tuple[Matrix, Matrix] | None = None
        self._lock = threading.Lock()

    def features(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of texts, float32 (n, dim), without unit length.

        With q from `class_weights` and the class directions D, they are q D. Only the kernels are
        computed here, because `targets_of` has the rest.

        Raises:
            TextUnknown: no word of a text is known.
            WeightsInvalid: the installed sentence model has another sha256.
        """
        encoder, names, targets = self._load()
        return np.asarray(_kernel(encoder.vectors(texts), names) @ targets, dtype=np.float32)

    def load(self) -> None:
        """Load what the first text would load."""
        self._load()

    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the distinct unknown words of a text, which are ignored."""
        return self._load()[0].unknown(text)

    def _load(self) -> tuple[TextEncoder, Matrix, Matrix]:
        """Return the encoder of texts, the vectors of the class names, and the targets."""
        with self._lock:
            if self._encoder is None:
                self._encoder = _text_encoder()
            if self._tables is None:
                files = CLASSES, self._targets
                names, targets = (np.load(file, allow_pickle=False) for file in files)
                self._tables = names.astype(np.float32), targets.astype(np.float32)
            return self._encoder, *self._tables


def class_weights(texts: Matrix, names: Matrix) -> Matrix:
    """Return how strongly each text names each class, float32 (n, m), from unit vectors.

    This is kernel ridge regression: with k(a, b) = exp(`SHARPNESS` (cos(a, b) - 1)), the weights of
    a text t are k(t, names) (k(names, names) + `RIDGE` I)^-1. Their sum over the directions of the
    classes is a smooth map from texts to directions. Unlike a softmax, it does not count a kind of
    thing more because ImageNet has many classes of it, such as 118 breeds of dogs. Weights of
    single classes may be negative.

    Source: Saunders, Gammerman, Vovk, "Ridge Regression Learning Algorithm in Dual Variables",
    ICML 1998.
    """
    return np.asarray(_kernel(texts, names) @ _solution(names), dtype=np.float32)


def targets_of(names: Matrix, directions: Matrix) -> npt.NDArray[np.float16]:
    """Return the inverse of `class_weights` times the class directions, float16 (m, dim).

    ``tools/lite/targets.py`` writes it for each model, because the inverse of 1,000 x 1,000 numbers
    would take 0.1 s of each process.
    """
    return (_solution(names) @ directions).astype(np.float16)


def class_names() -> list[str]:
    """Return the names of ImageNet's 1,000 classes in order, such as "tench, Tinca tinca"."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _kernel(texts: Matrix, names: Matrix) -> Matrix:
    """Return the similarity of unit vectors, (n, m): 1 if two are equal, else between 0 and 1."""
    return np.asarray(np.exp(SHARPNESS * (texts @ names.T - 1)), dtype=np.float32)


def _solution(names: Matrix) -> npt.NDArray[np.float64]:
    similar = _kernel(names, names).astype(np.float64)
    return np.asarray(np.linalg.inv(similar + RIDGE * np.eye(len(names))))


def _text_encoder() -> TextEncoder:
    if SentenceModel.is_installed():
        _log.info("texts are encoded by all-MiniLM-L6-v2 of the extra sentences")
        return SentenceModel()
    _log.info(
        "texts are encoded by a table of words; %s installs a model for whole sentences",
        install_hint("sentences"),
    )
    return WordTable()
