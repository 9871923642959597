"""Write the constants of a model's space into the package: its mean and its projection.

Neither needs an image. The mean of the pooled features follows from the last batch norm, whose
output before ReLU6 has mean `bias` and standard deviation `weight` in each channel. The projection
keeps the `_KEPT` strongest directions of the classes as they are, and the rest by random
directions, scaled so that cosines are right on average (Johnson, Lindenstrauss, 1984).

Run from the checkout, with the weight packages installed::

    python -m tools.lite.space
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders import registry
from imgsearch.encoders.lite.encoder import CLASSIFIER, DIM, class_directions, space_file
from imgsearch.encoders.weights.pth import read_tensors

_SEED: Final = 2026
_KEPT: Final = 192  # of 64, 128, 192, 256: see docs/lite.md
_MEAN_NORM: Final = 0.5  # of the mean of unit features; 0.48 over three sets of photographs
_LARGEST: Final = 6.0  # where ReLU6 ends


def main() -> None:
    """Write the file of every model."""
    for row in registry.described().values():
        if row.runtime != "lite" or row.weights_file is None:
            continue
        tensors = read_tensors(row.weights_file.locate())
        mean = mean_features(tensors)
        np.savez(
            space_file(row),
            mean=np.float32(_MEAN_NORM * mean / np.linalg.norm(mean)),
            projection=projection(class_directions(tensors[CLASSIFIER])).astype(np.float16),
        )
        print(space_file(row), space_file(row).stat().st_size, "bytes")  # noqa: T201  # a tool


def mean_features(tensors: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return the expected pooled features (1280,): the mean of ReLU6 of a normal distribution.

    For bias b and scale s, with the standard normal's density f and distribution F at
    low = -b/s and high = (6 - b)/s: b(F(high) - F(low)) + s(f(low) - f(high)) + 6(1 - F(high)).
    """
    pairs = zip(tensors["_bn1.bias"].tolist(), tensors["_bn1.weight"].tolist(), strict=True)
    return np.array([_mean_relu6(bias, abs(scale)) for bias, scale in pairs])


def projection(directions: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the matrix (1280, DIM) that shortens vectors, for the classes' unit directions."""
    full = directions.astype(np.float64)
    strongest = np.linalg.eigh(full.T @ full)[1][:, ::-1][:, :_KEPT]
    rest = np.random.default_rng(_SEED).normal(size=(full.shape[1], DIM - _KEPT))
    rest -= strongest @ (strongest.T @ rest)
    scale = math.sqrt((full.shape[1] - _KEPT) / (DIM - _KEPT))
    return np.concatenate([strongest, scale * np.linalg.qr(rest)[0]], axis=1)


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
    main()
