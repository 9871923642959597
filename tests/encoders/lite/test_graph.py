"""The graphs of EfficientNet-lite, compared with timm's code with the same weights."""

from pathlib import Path

import numpy as np
import pytest

from imgsearch.encoders import load, registry
from imgsearch.encoders.base import unit
from imgsearch.encoders.export import calibration, engines
from imgsearch.encoders.export.encoder import ExportedEncoder
from imgsearch.encoders.export.probes import probes
from imgsearch.encoders.lite.encoder import NAMED, POWER, LiteEncoder, class_directions, space_file
from imgsearch.encoders.timm.model import read
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights.pth import read_tensors
from imgsearch.types import Matrix


def by_torch(row: registry.Model, inputs: Matrix) -> Matrix:
    """Return the vectors by the formula in `lite.encoder`, from timm's network."""
    torch, timm = frameworks()
    assert row.weights_file is not None
    path = row.weights_file.locate()
    network = timm.create_model(f"tf_{row.model.replace('-', '_')}").eval()
    names = network.state_dict()
    network.load_state_dict(dict(zip(names, read(path).values(), strict=True)))
    pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        features = network.forward_head(
            network.forward_features(pixels / 127.5 - 1), pre_logits=True
        )
        probabilities = torch.softmax(network.classifier(features), 1).numpy()
    directions = class_directions(read_tensors(path)["_fc.weight"])
    with np.load(space_file(row)) as space:
        centered = unit(unit(features.numpy() ** POWER) - space["mean"])
        named = unit(probabilities @ directions)
        return unit(unit(centered + NAMED * named) @ space["projection"].astype(np.float32))


@pytest.mark.parametrize("name", ["lite", "lite2"])
def test_graph_equals_timm_with_the_weights_of_the_package(name: str) -> None:
    row = registry.find(name)
    assert row is not None
    encoder = load(name, options={"runtime": "onnx"})
    inputs = probes(row.input_size)
    vectors = unit(encoder.features(list(inputs)))
    assert np.abs(vectors - by_torch(row, inputs)).max() < 1e-4


def test_openvino_and_onnx_agree() -> None:
    inputs = list(probes(224))
    first = unit(load("lite", options={"runtime": "onnx"}).features(inputs))
    second = load("lite", options={"runtime": "openvino", "precision": "f32"})
    assert isinstance(second, LiteEncoder)
    assert second.fingerprint.runtime == "openvino f32"
    assert np.sum(first * unit(second.features(inputs)), axis=1).min() > 0.99999


@pytest.mark.parametrize("runtime", ["torch", "onnx", "openvino"])
def test_timm_loads_the_weights_of_the_package(runtime: str) -> None:
    timm = load("tf_efficientnet_lite0", options={"runtime": runtime, "precision": "f32"})
    inputs = probes(224)
    torch, library = frameworks()
    row = registry.find("tf_efficientnet_lite0")
    assert row is not None
    assert row.weights_file is not None
    network = library.create_model("tf_efficientnet_lite0").eval()
    names = network.state_dict()
    weights = read(row.weights_file.locate()).values()
    network.load_state_dict(dict(zip(names, weights, strict=True)))
    pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(pixels), pre_logits=True)
    cosines = np.sum(unit(timm.features(list(inputs))) * unit(expected.numpy()), axis=1)
    assert cosines.min() > 0.9999


def cosines_to_f32(precision: str, *, calibrated: bool) -> Matrix:
    """Return the cosines of timm's lite0 in `precision` to float32, by OpenVINO."""
    # encoders are cached in the process: with an option of its own, this one has the test's folder
    common = {"runtime": "openvino", **({"batch_size": 5} if calibrated else {})}
    exact = load("tf_efficientnet_lite0", options={**common, "precision": "f32"})
    assert isinstance(exact, ExportedEncoder)
    inputs = list(probes(224, count=12))
    if calibrated:
        calibration.write(exact.folder, inputs)
    rough = load("tf_efficientnet_lite0", options={**common, "precision": precision})
    assert rough.fingerprint.runtime == f"openvino {precision}"
    return np.sum(unit(exact.features(inputs)) * unit(rough.features(inputs)), axis=1)


def test_weights_of_the_package_run_in_bf16_where_the_processor_has_it() -> None:
    if engines.has_bf16("openvino"):
        assert 0.9 < cosines_to_f32("bf16", calibrated=False).min() < 0.999999
    else:
        assert cosines_to_f32("f32", calibrated=False).min() > 0.999999


@pytest.mark.nightly  # quantizing takes a minute on two cores
def test_weights_of_the_package_run_in_int8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path))
    assert 0.9 < cosines_to_f32("int8", calibrated=True).min() < 0.999999
