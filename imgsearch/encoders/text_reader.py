"""Reads the text in images, by RapidOCR and its ONNX models, which are in its wheel."""

import threading
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from imgsearch.errors import ConfigError, EncoderError, MissingExtra
from imgsearch.types import Pixels

_LONGEST: Final = 10_000  # characters; all undeclared fields of a record have 65,535 bytes
_lock = threading.Lock()  # RapidOCR is not documented as thread-safe; it uses all cores


class TextReader:
    """Reads text in Chinese, English and other Latin scripts. Thread-safe.

    Lines with a score below `min_score` are left out. The models are loaded with the first image.

    Raises:
        MissingExtra: RapidOCR is not installed.
        ConfigError: `min_score` is not in [0, 1].
    """

    def __init__(self, min_score: float = 0.5) -> None:
        if not 0 <= min_score <= 1:
            raise ConfigError(f"min_score must be in [0, 1], not {min_score}")
        require_reader()
        self._min_score = min_score

    def read(self, image: Pixels) -> str:
        """Return the lines of text in an image, uint8 (h, w, 3), RGB, from top to bottom.

        Raises:
            EncoderError: the model failed.
        """
        try:
            with _lock:
                result = _engine()(np.ascontiguousarray(image[..., ::-1]))  # BGR
        except Exception as error:  # of cv2 and onnxruntime, which share no class
            raise EncoderError(f"the text in the image cannot be read: {error}") from error
        lines = zip(result.txts or (), result.scores or (), strict=True)
        kept = (str(text).strip() for text, score in lines if score >= self._min_score)
        return "\n".join(filter(None, kept)).replace("\0", "")[:_LONGEST]


def require_reader() -> None:
    """Check that RapidOCR is installed.

    Raises:
        MissingExtra: it is not.
    """
    if find_spec("rapidocr") is None:
        raise MissingExtra("reading text needs rapidocr", extra="ocr", name="rapidocr")


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={"Global.log_level": "critical", "Global.text_score": 0.0})
