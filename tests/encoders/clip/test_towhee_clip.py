"""CLIP by Towhee's own code, compared with open_clip, with the same seeded random weights."""

import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from imgsearch.encoders import load, registry
from imgsearch.errors import ModelNotFound, WeightsInvalid
from tests.encoders.clips import TINY, write_tiny

# find_spec of towhee.models would import towhee
if {"open_clip_torch", "towhee.models"} - {
    distribution.name for distribution in metadata.distributions()
}:
    pytest.skip("this needs open_clip_torch and towhee.models", allow_module_level=True)

from imgsearch.encoders.clip import towhee_clip
from imgsearch.encoders.clip.model import open_clip
from imgsearch.encoders.torch.imports import frameworks

TEXTS = ["a white dog", "Ein weißer Hund!", "", "snow " * 200]
TRANSFORMER = {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8}
RESNET = {"image_size": 64, "layers": [1, 2, 1, 1], "width": 8, "patch_size": None}
TORCH = {"runtime": "torch"}


def described(vision, **more):
    return {**TINY, "vision_cfg": {**vision, **more}, "quick_gelu": True}


@pytest.fixture(scope="module", params=[TRANSFORMER, RESNET], ids=["vit", "resnet"])
def folder(request, tmp_path_factory):
    new_folder = tmp_path_factory.mktemp("klein-ü")
    write_tiny(new_folder, config=described(request.param))
    return new_folder


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 60), (90, 50))]


def test_features_agree_with_open_clip(folder, pictures):
    theirs = load("towhee:clip_vit_b32", weights=folder, options=TORCH)
    ours = load("clip:ViT-B-32/openai", weights=folder, options=TORCH)
    inputs = [ours.prepare(image) for image in pictures]
    np.testing.assert_allclose(theirs.features(inputs), ours.features(inputs), atol=1e-4)
    np.testing.assert_allclose(theirs.text_features(TEXTS), ours.text_features(TEXTS), atol=1e-4)
    # not normalized, like Towhee's
    assert np.abs(np.linalg.norm(theirs.features(inputs), axis=1) - 1).min() > 0.01
    assert theirs.languages == ("en",)
    assert theirs.fingerprint.model == "towhee:clip_vit_b32"
    assert theirs.fingerprint.weights == ours.fingerprint.weights


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_towhee_clip_is_exported(folder, pictures, runtime, tmp_path, monkeypatch):
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime))
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path))
    plain = load("towhee:clip_vit_b32", weights=folder, options=TORCH)
    options = {"runtime": runtime, "precision": "f32"}
    exported = load("towhee:clip_vit_b32", weights=folder, options=options)
    assert exported.fingerprint.runtime == f"{runtime} f32"
    for vectors, exact in (
        (exported.encode(pictures), plain.encode(pictures)),
        (exported.encode_texts(TEXTS), plain.encode_texts(TEXTS)),
    ):
        assert (vectors * exact).sum(axis=1).min() >= 0.9999


def test_import_does_not_change_warnings():
    # in a separate process, because only the first import could change them
    code = """
import warnings
from imgsearch.encoders.clip import towhee_clip
from imgsearch.encoders.torch.imports import frameworks
frameworks()
before = list(warnings.filters)
towhee_clip._clip()
print(warnings.filters == before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_every_model_of_openai_is_accepted():
    torch, package = frameworks()[0], open_clip()
    rows = [row for row in registry.described().values() if row.model.endswith("/openai")]
    assert len(rows) == 6
    for row in rows:
        config = package.get_model_config(row.model.partition("/")[0])
        with torch.device("meta"):
            own = package.CLIP(**config).state_dict()
            other = towhee_clip._module(config).state_dict()
        assert {name: tensor.shape for name, tensor in own.items()} == {
            name: tensor.shape for name, tensor in other.items()
        }


def test_unsupported_options_raise(tmp_path):
    for name in ("größtes", "resnet50", "siglip2-b"):
        with pytest.raises(ModelNotFound, match=r"clip_vit_base_patch32, clip_vit_base_patch16"):
            load(f"towhee:{name}", options=TORCH)
    write_tiny(tmp_path, config=described(TRANSFORMER, head_width=32))
    with pytest.raises(WeightsInvalid, match="no head_width in vision_cfg"):
        load("towhee:clip_vit_b32", weights=tmp_path, options=TORCH)
