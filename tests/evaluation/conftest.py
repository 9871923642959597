"""A model with real weights whose features are computed once for all tests."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from imgsearch.encoders import Recipe, load

_WEIGHTS = Path(__file__).resolve().parents[3] / "shared/weights/mobilenetv2_100.safetensors"
_features: dict[bytes, np.ndarray] = {}


@pytest.fixture(scope="module")
def mobilenet() -> Iterator[Recipe]:
    """Return the model. Each input is embedded once in a process: 1,100 take 20 s."""
    options = {"pad_type": "same", "mean": 0.5, "std": 0.5, "interpolation": "bilinear"}
    recipe = Recipe.of("timm:mobilenetv2_100", _WEIGHTS, options)
    encoder = load(**recipe.config())
    embed = encoder.features

    def features(inputs: Sequence[np.ndarray]) -> np.ndarray:
        keys = [sha256(row).digest() for row in inputs]
        new = {key: row for key, row in zip(keys, inputs, strict=True) if key not in _features}
        if new:
            _features.update(zip(new, embed(list(new.values())), strict=True))
        return np.stack([_features[key] for key in keys])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "features", features)
        yield recipe
