"""int8 with the real mobilenetv2 weights on photographs, and with random ones on drawings."""

import importlib.util
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from imgsearch.cli import cli
from imgsearch.encoders import load
from imgsearch.errors import ConfigError
from tests.pictures import write

if any(importlib.util.find_spec(package) is None for package in ("nncf", "openvino", "timm")):
    pytest.skip("int8 is of the extra int8, and models of torch", allow_module_level=True)

from imgsearch.encoders.export import calibration
from imgsearch.encoders.torch.imports import frameworks

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def weights(tmp_path):
    from safetensors.torch import save_file

    torch, timm = frameworks()
    torch.manual_seed(4)
    path = tmp_path / "größe.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), path)
    return path


def test_calibrated_model_runs_in_int8_near_f32(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "cache"))
    handler = logging.NullHandler(logging.INFO)
    monkeypatch.setattr(logging.getLogger("nncf"), "handlers", [handler])
    write(tmp_path / "fotos", 12)
    (tmp_path / "fotos/kaputt.jpg").write_bytes(b"\xff\xd8\xff")
    common = ["--model", "timm:test_resnet", "--weights", str(weights)]
    config = {"model": "timm:test_resnet", "weights": weights}
    with pytest.raises(ConfigError, match="imgsearch calibrate"):
        load(**config, options={"precision": "int8"})
    done = CliRunner().invoke(cli, ["calibrate", str(tmp_path / "fotos"), *common])
    assert done.exit_code == 0, done.output
    assert "on 12 images" in done.stdout
    assert "kaputt.jpg" in done.stderr
    least = float(re.search(r"float32 ([\d.]+) at least", done.stdout)[1])
    rough = load(**config, options={"precision": "int8"})
    exact = load(**config, options={"precision": "f32", "runtime": "openvino"})
    assert rough.fingerprint.runtime == "openvino int8"
    assert rough.fingerprint == exact.fingerprint
    pixels = np.random.default_rng(2).integers(0, 256, (20, 160, 160, 3), dtype=np.uint8)
    cosines = (rough.encode(list(pixels)) * exact.encode(list(pixels))).sum(axis=1)
    assert cosines.min() >= 0.99
    assert least >= 0.99
    again = CliRunner().invoke(cli, ["calibrate", str(tmp_path / "fotos"), *common])
    assert again.exit_code == 0, again.output
    assert handler.level == logging.INFO


def test_calibrate_fails_with_fewer_than_10_images_or_without_an_export(
    weights, tmp_path, monkeypatch
):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "fotos", 9)
    common = ["--model", "timm:test_resnet", "--weights", str(weights)]
    few = CliRunner().invoke(cli, ["calibrate", str(tmp_path / "fotos"), *common])
    assert few.exit_code == 1
    assert "on 9 images; give at least 10" in few.stderr
    nameless = CliRunner().invoke(cli, ["calibrate", str(tmp_path / "fotos")])
    assert nameless.exit_code == 2


def test_intel_libraries_send_no_telemetry():
    code = """
import socket, sys

def refuse(*arguments, **options):
    print("a connection to", arguments)
    raise OSError("refused")

socket.socket.connect = refuse
socket.getaddrinfo = refuse
import numpy as np
from imgsearch.encoders.export.calibration import _nncf
from imgsearch.encoders.export.engines import openvino_module
openvino, nncf = openvino_module(), _nncf()
from openvino import opset13 as ops
given = ops.parameter([-1, 3, 8, 8], np.float32)
weights = np.ones((4, 3, 3, 3), np.float32)
made = ops.convolution(given, weights, [1, 1], [0, 0], [0, 0], [1, 1])
model = openvino.Model([made], [given])
nncf.quantize(model, nncf.Dataset([np.ones((1, 3, 8, 8), np.float32)] * 2), subset_size=2)
print("openvino_telemetry" in sys.modules, nncf.telemetry.wrapper.telemetry.__class__.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "a connection" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "False MagicMock", done.stdout + done.stderr


def test_card_contains_the_report(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "cache"))
    encoder = load(
        "timm:test_resnet", weights=weights, options={"runtime": "openvino", "precision": "f32"}
    )
    inputs = list(np.random.default_rng(2).integers(0, 256, (10, 160, 160, 3), dtype=np.uint8))
    report = calibration.write(encoder.folder, inputs)
    card = json.loads((encoder.folder / "int8/calibration.json").read_text())
    assert card == {"samples": 10, "least": report.least, "median": report.median}
    assert 0.9 < report.least <= report.median <= 1.0001
