"""The encoder that comes with the package: images and texts in one space of 384 dimensions."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import override

from imgsearch.encoders import borders, engines
from imgsearch.encoders.base import Encoder
from imgsearch.encoders.mini.words import Words
from imgsearch.encoders.preprocessing import Preprocessing
from imgsearch.encoders.weights import sha256
from imgsearch.types import Fingerprint, Matrix, Pixels

_FOLDER: Final = Path(__file__).parent
IMAGES: Final = _FOLDER / "image.onnx"
TEXTS: Final = _FOLDER / "text.npz"
PREPROCESSING: Final = Preprocessing(input_size=80, crop_pct=1.0, crop_mode="center")
_DIM: Final = 384  # of which texts use the first 256
_ENOUGH: Final = 160  # pixels of a shorter edge: see the model card


class MiniEncoder(Encoder):
    """A small network over 80 x 80 pixels and a table of English words; README.md beside has all.

    Run by ONNX Runtime, in float32. The fingerprint is that of the image side: other texts make no
    collection old.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
    """

    batch_size = 16
    enough = _ENOUGH
    languages = ("en",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: Words | None = None
        self._side_by_side = engines.SideBySide()
        self._images = engines.OnnxRuntime(IMAGES, "f32")
        self.fingerprint = Fingerprint(
            model="mini",
            dim=_DIM,
            weights=sha256(IMAGES),
            preprocessing=f"rgb uint8; {borders.canonical()}; {PREPROCESSING.canonical()}",
            options="v1",
            normalized=True,
            runtime="onnx f32",
        )

    @override
    def prepare(self, image: Pixels | Image.Image) -> npt.NDArray[np.uint8]:
        """Return the middle of the picture without its flat borders, uint8 (80, 80, 3)."""
        pixels = np.asarray(image)
        kept = borders.trimmed(pixels) if pixels.ndim == 3 and pixels.size else pixels
        return PREPROCESSING.apply(image if kept.shape == pixels.shape else kept)

    @override
    def features(self, inputs: Sequence[npt.NDArray[np.uint8]]) -> Matrix:
        if not len(inputs):
            return np.empty((0, self.dim), dtype=np.float32)
        return self._side_by_side.run(self._images, inputs, self.batch_size)

    @override
    def text_features(self, texts: Sequence[str]) -> Matrix:
        told = self._words.vectors(texts)
        rest = np.zeros((len(told), self.dim - told.shape[1]), dtype=np.float32)
        return np.concatenate([told, rest], axis=1)

    @override
    def unknown_words(self, text: str) -> tuple[str, ...]:
        return self._words.unknown(text)

    @property
    def _words(self) -> Words:
        with self._lock:  # who searches by images only need not have it
            if self._table is None:
                self._table = Words(TEXTS)
            return self._table
