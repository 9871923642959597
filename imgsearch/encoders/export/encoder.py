"""Exported encoders, which run without torch and timm."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.base import Encoder
from imgsearch.encoders.clip.tokenizer import Tokenizer
from imgsearch.encoders.export import engines
from imgsearch.encoders.export.calibration import CARD as CALIBRATED
from imgsearch.encoders.preprocessing import Preprocessing
from imgsearch.errors import EncoderError
from imgsearch.text import load_json
from imgsearch.threads import DaemonPool
from imgsearch.types import Fingerprint, Matrix, Pixels

CARD: Final = "encoder.json"
"""The metadata of an export, written last, so an export with this file is complete."""


class ExportedEncoder(Encoder):
    """An encoder exported by `export.writer.write`, run by OpenVINO or ONNX Runtime.

    Each side, images or texts, is loaded by its first call. Batches run in parallel, one on each
    core. `precision` is "f32", "bf16" (OpenVINO, on CPUs that support it), "int8" (if `calibration`
    added it; texts use f32), or "auto": bf16 if its vectors had a cosine of at least 0.999 to f32
    at the export, else f32.

    Raises:
        MissingExtra: the runtime is not installed.
        ConfigError: the runtime or the CPU lacks the precision.
        EncoderError: the export is broken. Delete the folder. A side is checked by its first call.
    """

    def __init__(self, folder: Path, *, precision: str = "auto", batch_size: int = 0) -> None:
        card = _read(folder)
        self.folder, self._runtime = folder, card["runtime"]
        self._precision = engines.pick_precision(
            self._runtime,
            precision,
            card["bf16_cosine"],
            calibrated=(engines.part_folder(folder, "int8") / CALIBRATED).is_file(),
        )
        self.preprocessing = Preprocessing(**card["preprocessing"])
        self.enough = self.preprocessing.enough
        self.batch_size = batch_size or card["batch_size"]
        self.fingerprint = replace(
            Fingerprint(**card["fingerprint"]), runtime=f"{self._runtime} {self._precision}"
        )
        self.languages, self.templates = tuple(card["languages"]), tuple(card["templates"])
        self._batches = engines.BatchPool()
        # loaded on demand, because a query needs one side, and each has half of the weights
        self._lock = threading.Lock()
        self._images: engines.Engine | None = None
        self._texts: tuple[engines.Engine, Tokenizer] | None = None

    @override
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        return self.preprocessing.apply(image)

    @override
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        return self._run(self._image_side(), inputs)

    @override
    def text_features(self, texts: Sequence[str]) -> Matrix:
        if not self.languages:
            return super().text_features(texts)
        engine, tokenizer = self._text_side()
        return self._run(engine, tokenizer(texts))

    @override
    def load_side(self, kind: str) -> None:
        if kind == "image":
            self._image_side()
        elif self.languages:
            self._text_side()

    def _image_side(self) -> engines.Engine:
        with self._lock:
            if self._images is None:
                self._images = self._start("image")
            return self._images

    def _text_side(self) -> tuple[engines.Engine, Tokenizer]:
        with self._lock:
            if self._texts is None:
                with DaemonPool(1, "imgsearch-tokenizer") as pool:
                    # OpenVINO compiles without Python's lock, so the tokenizer takes no extra time
                    reading = pool.submit(Tokenizer.load, self.folder)
                    self._texts = self._start("text"), reading.result()
            return self._texts

    def _start(self, part: str) -> engines.Engine:
        return engines.start(self._runtime, self.folder, part, self._precision)

    def _run(self, engine: engines.Engine, rows: Any) -> Matrix:
        if not len(rows):
            return np.empty((0, self.dim), dtype=np.float32)
        return self._batches.run(engine, rows, self.batch_size)


def _read(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = load_json((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"the export in {folder} is broken: {error}; delete it") from error
    return card
