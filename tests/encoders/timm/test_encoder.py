import hashlib
import importlib.util
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import (
    ConfigError,
    EncoderError,
    ModelNotFound,
    WeightsInvalid,
    WeightsNotFound,
)
from tests.encoders.hubs import serving
from tests.pictures import picture

if any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "safetensors")):
    pytest.skip("timm's models need the extra torch", allow_module_level=True)

from imgsearch.encoders.timm.architectures import architectures
from imgsearch.encoders.timm.encoder import TimmEncoder, names
from imgsearch.encoders.torch.imports import frameworks

ROOT = Path(__file__).resolve().parents[3]
MOBILENET = ROOT.parent / "shared" / "weights" / "mobilenetv2_100.safetensors"
HALVES = {"pad_type": "same", "mean": 0.5, "std": 0.5}


@pytest.fixture(scope="module")
def torch():
    return frameworks()[0]


@pytest.fixture(scope="module")
def timm():
    return frameworks()[1]


@pytest.fixture(scope="module")
def state(torch, timm):
    """Return a function that makes a seeded state dict with a head and non-trivial statistics."""

    def make(name="test_resnet", **arguments):
        with torch.random.fork_rng():
            torch.manual_seed(11)
            tensors = timm.create_model(name, **arguments).state_dict()
            for key, tensor in tensors.items():
                if key.endswith("running_var"):
                    tensor.uniform_(0.5, 2)
        return tensors

    return make


@pytest.fixture
def save(state, tmp_path):
    from safetensors.torch import save_file

    def write(name="test_resnet", file="gewichte-ü.safetensors", *, only=None, **arguments):
        tensors = {key: value for key, value in state(name, **arguments).items() if key != only}
        save_file(tensors, tmp_path / file)
        return tmp_path / file

    return write


def python(code, **environment):
    """Run code in a fresh interpreter; torch's global state cannot be reset in this one."""
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},  # noqa: TID251  # a child's
        capture_output=True,
        text=True,
        timeout=120,
    )


def cosine(one, other):
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def by_timm(torch, timm, name, state, images, options):
    """Return the vectors by timm's own transform, with contiguous layout and without classifier."""
    model = timm.create_model(name, **{k: v for k, v in options.items() if k == "pad_type"})
    model.load_state_dict(state)
    model.reset_classifier(0)
    config = timm.data.resolve_model_data_config(model)
    for key in ("mean", "std"):
        if key in options:
            config[key] = (options[key],) * 3
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        return (
            model.eval()(torch.stack([transform(Image.fromarray(image)) for image in images]))
        ).numpy()


def test_loading_weights_draws_no_random_numbers(torch, save):
    path = save()
    before = torch.get_rng_state()
    TimmEncoder("test_resnet", weights=path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"])
def test_features_agree_with_timm(torch, timm, state, save, name):
    images = [picture(seed, size=(90 + 37 * seed, 120)) for seed in range(5)]
    options = {"mean": 0.4, "std": 0.3}
    encoder = TimmEncoder(name, weights=save(name), options=options)
    features = encoder.features([encoder.prepare(image) for image in images])
    expected = by_timm(torch, timm, name, state(name), images, options)
    assert features.shape == expected.shape == (5, encoder.dim)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    assert cosine(features, expected).min() > 1 - 1e-5
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not MOBILENET.is_file(), reason="no ../shared/weights at hand")
def test_mobilenet_has_its_canonical_numbers(torch, timm):
    # equal to timm's own transform and model with torch 2.13.0, timm 1.0.31, Pillow 13.0.0
    ramp = np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3)
    image = (ramp * 7 // 11 % 256).astype(np.uint8)
    encoder = TimmEncoder("mobilenetv2_100", weights=MOBILENET, options=HALVES)
    vector = encoder.encode([image])[0]
    np.testing.assert_allclose(vector[:5], [0, 0.015208, 0, 0, 0], atol=1e-4)
    largest = [0.173848, 0.172050, 0.162823, 0.155990, 0.154849]
    np.testing.assert_allclose(vector[[1183, 957, 538, 1143, 664]], largest, atol=1e-4)
    assert encoder.fingerprint.weights == hashlib.sha256(MOBILENET.read_bytes()).hexdigest()
    assert (encoder.fingerprint.model, encoder.dim) == ("timm:mobilenetv2_100", 1280)
    assert encoder.fingerprint.options == '{"pad_type": "same"}'
    assert encoder.fingerprint.preprocessing == (
        "input_size=224 crop_pct=0.875 crop_mode=center interpolation=bicubic "
        "mean=0.5,0.5,0.5 std=0.5,0.5,0.5"
    )
    from safetensors.torch import load_file

    images = [image, picture(3, size=(500, 375)), picture(4, size=(31, 40))]
    expected = by_timm(torch, timm, "mobilenetv2_100", load_file(MOBILENET), images, HALVES)
    assert cosine(encoder.encode(images), expected).min() > 1 - 1e-5


def test_vectors_do_not_depend_on_the_batch(save):
    encoder = TimmEncoder("test_resnet", weights=save())
    encoder.batch_size = 3
    images = [picture(seed) for seed in range(7)]
    alone = np.concatenate([encoder.encode([image]) for image in images])
    np.testing.assert_allclose(encoder.encode(images), alone, atol=1e-6)
    assert encoder.features([]).shape == (0, encoder.dim)


def test_threads_get_their_own_vectors(save):
    encoder = TimmEncoder("test_resnet", weights=save())
    images = [picture(seed) for seed in range(4)]
    expected, got = encoder.encode(images), {}

    def work(place):
        got[place] = np.concatenate([encoder.encode([images[place]]) for _ in range(5)])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(4):
        np.testing.assert_allclose(got[place], expected[[place] * 5], atol=1e-6)


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "module."])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_pytorch_files_load_like_safetensors(torch, state, save, tmp_path, wrap, suffix):
    tensors = state()
    if wrap == "module.":
        tensors = {f"module.{key}": value for key, value in tensors.items()}
    path = tmp_path / f"x{suffix}"
    torch.save({wrap: tensors, "epoch": 3} if wrap in ("state_dict", "model") else tensors, path)
    image = picture(1)
    expected = TimmEncoder("test_resnet", weights=save()).encode([image])
    encoder = TimmEncoder("test_resnet", weights=path)
    np.testing.assert_array_equal(encoder.encode([image]), expected)
    assert encoder.fingerprint.weights == hashlib.sha256(path.read_bytes()).hexdigest()


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("kind", ["torch", "legacy", "pickle"])
def test_weights_with_code_are_rejected_without_running_it(torch, state, tmp_path, kind):
    tensors, victim, path = (
        {**state(), "x": Attack(tmp_path / "hit")},
        tmp_path / "hit",
        tmp_path / "a.bin",
    )
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Attack(victim), protocol=2))
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(WeightsInvalid, match="more than tensors"):
        TimmEncoder("test_resnet", weights=path)
    assert not victim.exists()
    if kind == "pickle":
        pickle.loads(path.read_bytes())  # noqa: S301  # it would have worked
    else:
        torch.load(path, weights_only=False)
    assert victim.exists()


def test_only_the_models_own_classifier_may_be_missing(torch, state, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    for extra, fits in (("fc.weight", True), ("fc2.weight", False), ("fc.weight.extra", False)):
        save_file({**state(num_classes=0), extra: torch.zeros(7, 3)}, path)
        if fits:
            TimmEncoder("test_resnet", weights=path)
        else:
            with pytest.raises(WeightsInvalid, match=rf"1 unexpected \({extra}\)"):
                TimmEncoder("test_resnet", weights=path)


def test_head_with_norms_may_be_missing(save):
    # the head of levit_128s is normalized: its default_cfg names the linear layers only
    assert TimmEncoder("levit_128s", weights=save("levit_128s")).dim == 384


def test_missing_tensors_are_named(save):
    with pytest.raises(WeightsInvalid, match=r"1 missing \(layer1.0.conv1.weight\)"):
        TimmEncoder("test_resnet", weights=save(only="layer1.0.conv1.weight"))


def test_training_counters_may_be_missing(save):
    TimmEncoder("test_resnet", weights=save(only="bn1.num_batches_tracked"))


def test_another_models_weights_are_recognized(save):
    path = save("mobilenetv3_small_050")
    with pytest.raises(WeightsInvalid) as caught:
        TimmEncoder("mobilenetv3_small_075", weights=path)
    assert "of another shape" in str(caught.value)
    assert str(caught.value).endswith("it looks like timm:mobilenetv3_small_050")
    with pytest.raises(WeightsInvalid, match=r"\d+ missing .* looks like timm:resnet18$"):
        TimmEncoder("test_vit", weights=save("resnet18"))


def test_files_without_a_state_dict_are_rejected(torch, tmp_path):
    path = tmp_path / "x.pth"
    for content in ({"epoch": 3}, [1, 2], {}, torch.zeros(3)):
        torch.save(content, path)
        with pytest.raises(WeightsInvalid, match="no state dict"):
            TimmEncoder("test_resnet", weights=path)
    for content in (b"nonsense, und zwar l\xc3\xa4nger", b"\x80\x02", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(WeightsInvalid):
            TimmEncoder("test_resnet", weights=path)


def test_missing_file_raises_before_building(tmp_path):
    with pytest.raises(WeightsNotFound, match="fort"):
        TimmEncoder("test_resnet", weights=tmp_path / "fort.safetensors")


def test_sidecar_options_are_defaults(save):
    path = save("test_efficientnet")
    path.with_suffix(".json").write_text('{"pad_type": "same", "mean": 0.5, "input_size": 64}')
    encoder = TimmEncoder("test_efficientnet", weights=path, options={"mean": [0.1, 0.2, 0.3]})
    assert encoder.fingerprint.options == '{"pad_type": "same"}'
    assert encoder.fingerprint.preprocessing.startswith("input_size=64 ")
    assert "mean=0.1,0.2,0.3" in encoder.fingerprint.preprocessing
    assert encoder.prepare(picture(1)).shape == (64, 64, 3)
    path.with_suffix(".json").write_text('{"fuellung": "same"}')
    with pytest.raises(ConfigError, match="fuellung"):
        TimmEncoder("test_efficientnet", weights=path)


def test_model_arguments_change_the_vectors_and_the_fingerprint(save):
    path, image = save("test_efficientnet"), picture(5)
    plain = TimmEncoder("test_efficientnet", weights=path)
    same = TimmEncoder("test_efficientnet", weights=path, options={"pad_type": "same"})
    assert plain.fingerprint != same.fingerprint
    assert plain.fingerprint.weights == same.fingerprint.weights
    assert cosine(plain.encode([image]), same.encode([image]))[0] < 0.99999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"farbe": "grün"}, "farbe"),
        ({"global_pool": "nope"}, "nope"),
        ({"global_pool": ""}, "not pooled"),
        ({"checkpoint_path": "x.pth"}, "checkpoint_path"),
        ({"pretrained": True}, "pretrained"),
        ({"pretrained_cfg": "x"}, "pretrained_cfg"),
        ({"num_classes": 5}, "num_classes"),
        ({"device": "tpu"}, "device"),
        ({"device": "cpu:x"}, "device"),
        ({"device": 0}, "device"),
        ({"mean": "hell"}, "mean"),
    ],
)
def test_wrong_options_are_rejected(save, options, message):
    with pytest.raises(ConfigError, match=message):
        TimmEncoder("test_resnet", weights=save(), options=options)


def test_fixed_input_size_is_reported(save):
    name, small = "vit_tiny_patch16_224", {"depth": 1}
    with pytest.raises(ConfigError, match="img_size"):
        TimmEncoder(name, weights=save(name, **small), options={"input_size": 96, **small})
    path = save(name, img_size=96, **small)
    encoder = TimmEncoder(name, weights=path, options={"input_size": 96, "img_size": 96, **small})
    assert encoder.prepare(picture(1)).shape == (96, 96, 3)


def test_device_is_selected(torch, save):
    path = save()
    auto = TimmEncoder("test_resnet", weights=path, options={"device": "auto"})
    cpu = TimmEncoder("test_resnet", weights=path, options={"device": "cpu"})
    assert auto.fingerprint == cpu.fingerprint
    if torch.cuda.is_available():
        image = picture(1)
        # convolutions on a GPU may round to TF32, 10 bits of mantissa
        assert cosine(auto.encode([image]), cpu.encode([image]))[0] > 1 - 1e-3
    else:
        with pytest.raises(ConfigError, match="no GPU"):
            TimmEncoder("test_resnet", weights=path, options={"device": "cuda"})


def test_unknown_model_error_suggests_similar_names():
    with pytest.raises(ModelNotFound, match="timm:resnet50"):
        TimmEncoder("resnet5O")
    with pytest.raises(ModelNotFound, match=r"timm:resnet50\.a1_in1k"):
        TimmEncoder("resnet50.a1_in2k")
    for name in ("hf-hub:x/y", "local-dir:x", "../x", "ähnlich"):
        with pytest.raises(ModelNotFound):
            TimmEncoder(name)
    assert "mobilenetv2_100" in names("mobilenetv2*")


def test_names_read_without_importing_timm_are_timms():
    assert architectures() == set(names())


def test_loading_a_weights_file_opens_no_connection(save, monkeypatch):
    connections = []  # recorded, because libraries ignore errors of their telemetry

    def refuse(*arguments):
        connections.append(arguments)
        raise OSError("no network")

    path = save()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    TimmEncoder("test_resnet", weights=path)
    assert connections == []


HUB = """
import json, sys
from imgsearch.encoders.timm.encoder import TimmEncoder
from imgsearch.errors import WeightsNotFound
try:
    print(json.dumps(TimmEncoder("test_resnet").fingerprint.weights))
except WeightsNotFound as error:
    print(error)
"""


def test_error_without_weights_or_hub_names_the_options(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path)}
    started = time.monotonic()
    output = python(HUB, **hub).stdout
    # the hub client would retry for 46 s
    assert time.monotonic() - started < 30
    assert "no weights of timm:test_resnet" in output
    assert "--weights FILE" in output
    assert "model.safetensors" in output


def test_hub_weights_are_fetched_once_and_then_cached(timm, save, tmp_path):
    content = save().read_bytes()
    repository = timm.get_pretrained_cfg("test_resnet").hf_hub_id
    with serving({f"{repository}/model.safetensors": content}) as (url, seen):
        hub = {
            "HF_ENDPOINT": url,
            "HF_HOME": str(tmp_path / "hub"),
            "HF_HUB_DISABLE_XET": "1",
        }
        first = python(HUB, **hub)
    assert ("GET", f"/{repository}/resolve/main/model.safetensors") in seen, first.stderr
    second = python(HUB, **hub)  # the server has stopped
    assert json.loads(first.stdout) == hashlib.sha256(content).hexdigest()
    assert second.stdout == first.stdout


REPAIR = """
import sys
{before}
from imgsearch.encoders.torch.imports import frameworks
torch, timm = frameworks()
{after}
"""


def test_torchvision_built_for_another_torch_is_repaired():
    plain = python("import timm")
    if plain.returncode == 0:
        pytest.skip("torchvision imports normally here")
    assert "operator torchvision::nms does not exist" in plain.stderr
    after = (
        "timm.create_model('test_vit', num_classes=0); timm.data.create_transform(224); print('ok')"
    )
    repaired = python(REPAIR.format(before="", after=after))
    assert repaired.stdout == "ok\n", repaired.stderr


def test_working_torchvision_is_not_changed(tmp_path):
    # imported first with a repair, to test the later import by the runtime
    before = (
        "import torch\n"
        "try:\n"
        "    import torchvision\n"
        "except RuntimeError:\n"
        "    for name in [n for n in sys.modules if n.startswith('torchvision')]:\n"
        "        del sys.modules[name]\n"
        "    kept = torch.library.Library('torchvision', 'DEF')\n"
        "    for o in ('nms', 'qnms'): kept.define(o + '(Tensor a, Tensor b, float c) -> Tensor')\n"
        "    import torchvision\n"
        "loaded = {n: m for n, m in sys.modules.items() if n.startswith('torchvision')}\n"
        "schema = str(torch.ops.torchvision.nms.default._schema)\n"
    )
    after = (
        "from imgsearch.encoders.torch import imports as ours\n"
        "assert ours._libraries == []\n"
        "assert all(sys.modules[n] is m for n, m in loaded.items())\n"
        "assert str(torch.ops.torchvision.nms.default._schema) == schema\n"
        "print('ok')"
    )
    done = python(REPAIR.format(before=before, after=after))
    assert done.stdout == "ok\n", done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "raise RuntimeError('operator torchvision::roi_pool fails')",
            "import torch and timm together",
        ),
        ("import kein_solches_paket", "Reinstall"),
    ],
)
def test_other_faults_of_an_install_are_not_repaired(tmp_path, line, message):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(line)
    done = python(
        REPAIR.format(before=f"sys.path.insert(0, {str(tmp_path)!r})", after="print('no')")
    )
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"imgsearch.errors.{EncoderError.__name__}")
    assert message in last
