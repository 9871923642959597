"""A model with real weights whose features are computed once for all tests."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from imgsearch.encoders import Recipe, load
from tests.conftest import ENVIRONMENT

_WEIGHTS = Path(__file__).resolve().parents[3] / "shared/weights/mobilenetv2_100.safetensors"


@pytest.fixture(scope="session")
def features_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for features, which the workers of pytest-xdist share in a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in ENVIRONMENT else base) / "features"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def mobilenet(features_folder: Path) -> Iterator[Recipe]:
    """Return the model. Each input is embedded once in a run: 1,100 take 20 s."""
    from filelock import FileLock  # torch requires it

    options = {"pad_type": "same", "mean": 0.5, "std": 0.5, "interpolation": "bilinear"}
    recipe = Recipe.of("timm:mobilenetv2_100", _WEIGHTS, options)
    encoder = load(**recipe.config())
    embed = encoder.features

    def features(inputs: Sequence[np.ndarray]) -> np.ndarray:
        files = [features_folder / f"{sha256(row).hexdigest()}.npy" for row in inputs]
        with FileLock(features_folder / "lock"):
            pairs = zip(files, inputs, strict=True)
            new = {file: row for file, row in pairs if not file.exists()}
            if new:
                for file, row in zip(new, embed(list(new.values())), strict=True):
                    np.save(file, row)
        return np.stack([np.load(file) for file in files])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "features", features)
        yield recipe
