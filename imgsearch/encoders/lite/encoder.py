"""The encoder `lite`: image vectors of EfficientNet-lite, and texts by the classes they name.

With f (1280,) an image's pooled features, p (1000,) its class probabilities and W (1000, 1280) the
rows of the network's classifier, all from the weights package:

    direction of class c   u_c = unit(W_c - mean of W's rows)
    image                  unit(unit(unit(f^0.7) - mean) + 0.45 unit(sum of p_c u_c))
    text                   unit(sum of q_c u_c), q (1000,) from `lite.text`

Both are then projected to `DIM` numbers. Programs in ``tools/lite`` wrote files into the package:
``space.py`` the mean and the projection, ``targets.py`` the constants of texts, and ``graph.py``
the graph without weights.

Collections keep vectors of this formula. A change of the image's line, of the mean or of the
projection therefore needs another value of `_FORMULA`.
"""

import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import override

from imgsearch.encoders import borders
from imgsearch.encoders.base import Encoder, unit
from imgsearch.encoders.export import engines
from imgsearch.encoders.lite import onnx_graph
from imgsearch.encoders.lite.text import TextSide
from imgsearch.encoders.preprocessing import Preprocessing, as_picture
from imgsearch.encoders.registry import Model
from imgsearch.encoders.weights import hashes
from imgsearch.encoders.weights.pth import read_tensors
from imgsearch.errors import WeightsInvalid
from imgsearch.settings import Settings
from imgsearch.types import Fingerprint, Matrix, Pixels

FOLDER: Final = Path(__file__).parent
DIM: Final = 384
POWER: Final = 0.7
"""The exponent of the pooled features. They are at least 0, because ReLU6 precedes the pooling."""

NAMED: Final = 0.45
"""The weight of an image's classes, relative to its features."""

_FORMULA: Final = "v2"  # v1: f^1, 0.5, and a projection that kept the directions of changes

CLASSIFIER: Final = "_fc.weight"
"""The name of W in the weights package."""


class LiteEncoder(Encoder):
    """EfficientNet-lite's features and classes as unit vectors of 384 numbers, and English texts.

    `row` describes the model, `weights` is the file of its weights package. `runtime` is "onnx",
    "openvino", or "auto", which is "onnx": OpenVINO computed 1.1 times as many images a second in
    f32, 1.8 times in bf16 (AMX, OpenVINO 2026.4, ONNX Runtime 1.32). But bf16 had a cosine of 0.994
    to f32 at the least, so it is taken only on request. `precision` is "f32", "bf16" or "auto",
    which is "f32". `batch_size` 0 means 8: files then take 0.92 of the time of 16, because more of
    a small batch stays in the cache between two layers.

    The fingerprint describes the image side: texts may be read by another part, `lite.text`, and
    the collection stays valid.

    Raises:
        ConfigError: the runtime or the CPU lacks the precision.
        MissingExtra: the runtime is not installed; raised by the first image.
        WeightsInvalid: the file does not hold this network; raised by the first image.

    >>> from imgsearch.encoders import load
    >>> load("lite").encode_texts(["a dog"]).shape
    (1, 384)
    """

    languages = ("en",)

    def __init__(
        self,
        row: Model,
        weights: Path,
        *,
        runtime: str = "auto",
        precision: str = "auto",
        batch_size: int = 0,
    ) -> None:
        self.batch_size = batch_size or 8
        self.preprocessing = Preprocessing(
            input_size=row.input_size, crop_pct=row.crop_pct, interpolation=row.interpolation
        )
        self.enough = self.preprocessing.enough
        self._row, self._weights = row, weights
        self._runtime = "onnx" if runtime == "auto" else runtime
        self._precision = engines.pick_precision(self._runtime, precision, bf16_cosine=None)
        self._batches = engines.BatchPool()
        # built on demand, because a search needs only one side, and building takes most of its time
        self._lock = threading.Lock()
        self._images: engines.Engine | None = None
        self._texts = TextSide(targets_file(row))
        self.fingerprint = Fingerprint(
            model=row.name,
            dim=DIM,
            weights=row.sha256,
            preprocessing=f"rgb uint8; {borders.canonical()}; {self.preprocessing.canonical()}",
            options=_FORMULA,
            runtime=f"{self._runtime} {self._precision}",
        )

    @override
    def prepare(self, image: Pixels | Image.Image) -> npt.NDArray[np.uint8]:
        """Return the center of the image without flat borders, uint8 (size, size, 3)."""
        return self.preprocessing.apply(borders.trim_picture(as_picture(image)))

    @override
    def features(self, inputs: Sequence[npt.NDArray[np.uint8]]) -> Matrix:
        if not len(inputs):
            return np.empty((0, self.dim), dtype=np.float32)
        return self._batches.run(self._image_side(), inputs, self.batch_size)

    @override
    def text_features(self, texts: Sequence[str]) -> Matrix:
        return self._texts.features(texts)

    @override
    def load_side(self, kind: str) -> None:
        if kind == "text":
            self._texts.load()
        else:
            self._image_side()

    @override
    def unknown_words(self, text: str) -> tuple[str, ...]:
        return self._texts.unknown(text)

    def class_vectors(self) -> Matrix:
        """Return the unit vectors of ImageNet's 1,000 classes, float32 (1000, dim)."""
        return unit(projected_directions(self._row, self._weights))

    def _image_side(self) -> engines.Engine:
        with self._lock:
            if self._images is None:
                self._images = self._start()
            return self._images

    def _start(self) -> engines.Engine:
        graph = graph_file(self._row).read_bytes()

        def model() -> bytes:
            return onnx_graph.with_initializers(graph, _tensors(self._row, self._weights))

        if self._runtime != "onnx" or self._precision != "f32":
            return engines.from_model(self._runtime, model(), self._precision)
        space = sha256(space_file(self._row).read_bytes() + graph).hexdigest()
        file = Settings.from_environment().cache / "optimized" / f"{self._row.name}.onnx"
        key = {"weights": hashes.sha256(self._weights), "space": space}
        return engines.optimized_onnx(model, file, key)


def graph_file(row: Model) -> Path:
    """Return the file of a model's graph, in this package."""
    return FOLDER / f"{row.model}.onnx"


def space_file(row: Model) -> Path:
    """Return the file of a model's mean and projection, in this package."""
    return FOLDER / f"{row.model}.npz"


def targets_file(row: Model) -> Path:
    """Return the file of a model's constants for texts, in this package."""
    return FOLDER / f"{row.model}-targets.npy"


def projected_directions(row: Model, weights: Path) -> Matrix:
    """Return the class directions (1000, `DIM`) in the space of a model's vectors.

    Raises:
        WeightsInvalid: the file has another network.
    """
    tensors = _tensors(row, weights)
    return np.asarray(tensors["directions"] @ tensors["projection"], dtype=np.float32)


def class_directions(classifier: Matrix) -> Matrix:
    """Return the unit directions u_c (1000, 1280) of the classes, from the classifier's rows."""
    return unit(classifier - classifier.mean(axis=0))


def _tensors(row: Model, weights: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the graph's initializers: the network's own tensors, and the constants of the space.

    Raises:
        WeightsInvalid: the file has another network.
    """
    tensors = read_tensors(weights)
    if CLASSIFIER not in tensors:
        raise WeightsInvalid(f"{weights} does not hold {row.model}")
    with np.load(space_file(row), allow_pickle=False) as space:
        mean, projection = space["mean"], space["projection"]
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype == np.float32}
    return {
        **floats,
        "directions": class_directions(tensors[CLASSIFIER]),
        "mean": mean.astype(np.float32),
        "projection": projection.astype(np.float32),
    }
