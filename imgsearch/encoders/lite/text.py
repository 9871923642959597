"""The text side of `lite`: the weights of ImageNet's 1,000 classes for a text."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

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

TEMPERATURE: Final = 10.0
"""The factor of the cosines in the softmax over classes.

Chosen from 3 to 30 on data without evaluation images, with the features of lite0: 435 captions of
87 images of COCO (MRR 0.553 at 5, 0.606 at 10, 0.616 at 14, 0.562 at 30), and the 64 class names of
four labeled sets of rooms, groceries, flowers and clothes (precision@10 0.253, 0.265, 0.259,
0.243).
"""


class TextSide:
    """Computes weights of ImageNet's classes for English texts. Thread-safe.

    Texts are encoded by `SentenceModel` if the extra `sentences` is installed, else by `WordTable`.
    The first text decides. Collections have only image vectors, so they remain valid if the extra
    is installed or removed.
    """

    def __init__(self, encoder: TextEncoder | None = None) -> None:
        self._encoder = encoder
        self._classes: Matrix | None = None
        self._lock = threading.Lock()

    def classes(self, texts: Sequence[str]) -> Matrix:
        """Return softmax(`TEMPERATURE` * cosines to the class names), float32 (n, 1000).

        Raises:
            TextUnknown: no word of a text is known.
            WeightsInvalid: the installed sentence model has another sha256.
        """
        encoder, classes = self._load()
        scores = TEMPERATURE * (encoder.vectors(texts) @ classes.T)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)

    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the distinct unknown words of a text, which are ignored."""
        return self._load()[0].unknown(text)

    def _load(self) -> tuple[TextEncoder, Matrix]:
        with self._lock:
            if self._encoder is None:
                self._encoder = _text_encoder()
            if self._classes is None:
                self._classes = np.load(CLASSES, allow_pickle=False).astype(np.float32)
            return self._encoder, self._classes


def class_names() -> list[str]:
    """Return the names of ImageNet's 1,000 classes in order, such as "tench, Tinca tinca"."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _text_encoder() -> TextEncoder:
    if SentenceModel.is_installed():
        _log.info("texts are encoded by all-MiniLM-L6-v2 of the extra sentences")
        return SentenceModel()
    _log.info(
        "texts are encoded by a table of words; %s installs a model for whole sentences",
        install_hint("sentences"),
    )
    return WordTable()
