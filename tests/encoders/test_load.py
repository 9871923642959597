import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from imgsearch import encoders
from imgsearch.encoders import load, models, timm_names
from imgsearch.errors import ConfigError, ModelNotFound, WeightsNotFound
from tests.pictures import picture

ROOT = Path(__file__).resolve().parents[2]
needs_timm = pytest.mark.skipif(
    not models()[1].installed, reason="timm's models need the extra torch"
)


@pytest.fixture
def weights(tmp_path):
    from imgsearch.encoders.torch.imports import frameworks

    torch, timm = frameworks()
    from safetensors.torch import save_file

    def write(seed=1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "ä.safetensors")
        return tmp_path / "ä.safetensors"

    return write


@needs_timm
@pytest.mark.parametrize(
    "row",
    [row for row in models() if row.source and not (row.hub or row.package)],
    ids=lambda row: row.name,
)
def test_described_model_without_a_hub_never_takes_the_frameworks_weights(
    row, monkeypatch, tmp_path
):
    from imgsearch.encoders.weights import hub

    def other_weights(*_arguments, **_options):
        raise AssertionError(f"{row.name} asked for the framework's weights")

    monkeypatch.setattr(hub, "timm_weights", other_weights)
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path))
    for name in (row.name, *row.aliases):
        with pytest.raises(WeightsNotFound, match=re.escape(row.source)):
            load(name, options={"runtime": "torch"})


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # noqa: TID251  # a child's
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_lite_is_the_default_and_shared():
    encoder = load()
    assert encoder is load("lite") is load(options={})
    vectors = encoder.encode([picture(1), picture(2)])
    assert vectors.shape == (2, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_own_encoders_reject_weights_and_classic_rejects_options(tmp_path):
    with pytest.raises(ConfigError, match="lite takes no weights"):
        load(weights=tmp_path / "x.pth")
    for arguments in ({"weights": tmp_path / "x.pth"}, {"options": {"mean": 0.5}}):
        with pytest.raises(ConfigError, match="classic takes neither"):
            load("classic", **arguments)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("clasic", "did you mean classic"), ("", "no model"), ("größe:x", "no model")],
)
def test_unknown_names_are_rejected(name, meant):
    with pytest.raises(ModelNotFound, match=meant):
        load(name)


@needs_timm
def test_timm_name_without_its_prefix_is_recognized():
    with pytest.raises(ModelNotFound, match="did you mean timm:resnet18"):
        load("resnet18")
    for name in ("timm:", "Timm:resnet50"):
        with pytest.raises(ModelNotFound):
            load(name)


@needs_timm
def test_same_arguments_share_one_encoder(weights, monkeypatch):
    path = weights()
    encoder = load("timm:test_resnet", weights=path, options={"mean": 0.5, "std": [1, 1, 1]})
    monkeypatch.chdir(path.parent)
    again = load("timm:test_resnet", weights=path.name, options={"std": (1, 1, 1), "mean": 0.5})
    assert again is encoder
    assert load("timm:test_resnet", weights=str(path), options={"mean": 0.25}) is not encoder


@needs_timm
def test_changed_weights_are_read_again(weights):
    path = weights(seed=1)
    first = load("timm:test_resnet", weights=path)
    path = weights(seed=2)
    # the size is equal, and a coarse clock may give both files the same time
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    second = load("timm:test_resnet", weights=path)
    assert second.fingerprint.weights != first.fingerprint.weights
    path.with_suffix(".json").write_text(json.dumps({"input_size": 64}))
    assert "input_size=64" in load("timm:test_resnet", weights=path).fingerprint.preprocessing


@needs_timm
def test_concurrent_loads_build_one_encoder(weights):
    path, got, start = weights(), [], threading.Barrier(4)

    def work():
        start.wait()
        got.append(load("timm:test_resnet", weights=path, options={"crop_pct": 0.9}))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(map(id, got))) == 1


@needs_timm
def test_failed_build_is_tried_again(weights, tmp_path):
    with pytest.raises(WeightsNotFound):
        load("timm:test_resnet", weights=tmp_path / "ä.safetensors")
    assert load("timm:test_resnet", weights=weights()).dim > 0


def test_models_are_listed_without_a_framework():
    by_name = {model.name: model for model in models()}
    assert list(by_name)[:3] == ["lite", "lite2", "classic"]
    assert list(by_name)[-3:] == ["timm:NAME", "clip:ARCH/TAG", "towhee:NAME"]
    for name in ("lite", "classic"):
        assert by_name[name].installed
        assert by_name[name].needs == ""
        assert by_name[name].dim == load(name).dim
    extra_installed = all(
        importlib.util.find_spec(p) for p in ("torch", "torchvision", "timm", "safetensors")
    )
    for name, dim in (("timm:NAME", None), ("resnet50", 2048)):
        assert by_name[name].needs == "torch"
        assert by_name[name].dim == dim
        assert by_name[name].installed == extra_installed


@needs_timm
def test_timm_names_are_accepted_by_load():
    names = timm_names("mobilenetv2_1*")
    assert "timm:mobilenetv2_100" in names
    assert all(name.startswith("timm:mobilenetv2_1") for name in names)
    assert timm_names("timm:mobilenetv2_1*") == names


def test_importing_and_listing_load_no_framework():
    code = """
import sys
import imgsearch.encoders
heavy = {"torch", "torchvision", "timm", "safetensors", "PIL", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
imgsearch.encoders.models()
print(sorted((heavy - {"PIL"}) & set(sys.modules)))
"""
    done = python(code)
    assert done.stdout == "[]\n[]\n", done.stdout + done.stderr


@pytest.mark.parametrize("package", ["torch", "timm", "safetensors", "torchvision"])
def test_missing_package_names_its_extra(package):
    code = f"""
import sys
sys.modules[{package!r}] = None  # as if it were not installed
from imgsearch import encoders, errors
assert not next(row for row in encoders.models() if row.name == "timm:NAME").installed
try:
    encoders.load("timm:resnet18")
except errors.MissingExtra as error:
    print(error.name, error)
"""
    if any(importlib.util.find_spec(p) is None for p in ("torch", "timm")) and package != "torch":
        pytest.skip("the extra torch is missing here as it is")
    done = python(code)
    assert done.stdout.startswith(f"{package} timm models need {package}, "), done.stderr
    assert "pip install '.[torch]'" in done.stdout


def test_all_is_sorted_and_defined():
    assert encoders.__all__ == sorted(encoders.__all__)
    assert all(hasattr(encoders, name) for name in encoders.__all__)
