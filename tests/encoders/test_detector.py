"""Detectors: boxes by hand and by transformers' own pipeline, invalid folders, no network."""

import importlib.util
import json
import math
import pickle
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from imgsearch.encoders.detector import Detection, Detector
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    MissingExtra,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.images.regions import Region
from tests.pictures import picture

if any(importlib.util.find_spec(name) is None for name in ("transformers", "torch", "timm")):
    pytest.skip("detectors need the extras torch and regions", allow_module_level=True)

from tests.detectors import write_detector

TINY = {
    "d_model": 16, "num_queries": 6, "num_labels": 3, "encoder_layers": 1, "decoder_layers": 2,
    "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}  # fmt: skip
RT = {"encoder_hidden_dim": 16, "encoder_in_channels": [8, 8, 16], "decoder_in_channels": [16] * 3}
STAGES = {"hidden_sizes": [8, 8, 8, 16], "depths": [1] * 4, "embedding_size": 8}
LEVELS = ["stage2", "stage3", "stage4"]


@pytest.fixture(scope="module")
def torch():
    from imgsearch.encoders.torch.imports import frameworks

    return frameworks()[0]


@pytest.fixture(scope="module")
def transformers(torch):
    return pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path):
    write_detector(tmp_path / "Melder-ü")
    return tmp_path / "Melder-ü"


@pytest.fixture
def requested_addresses(monkeypatch):
    """Return the list of requested addresses; every connection fails."""
    requested_addresses = []

    def refuse(*address, **_):
        requested_addresses.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return requested_addresses


def change(folder, file="config.json", **changes):
    """Change a JSON file; keys set to None are removed."""
    config = json.loads((folder / file).read_text()) | changes
    kept = {name: value for name, value in config.items() if value is not None}
    (folder / file).write_text(json.dumps(kept))


def detr(transformers, folder):
    """Write a small DETR with a timm backbone."""
    config = transformers.DetrConfig(
        use_timm_backbone=True, backbone="test_resnet", use_pretrained_backbone=False, **TINY
    )
    transformers.DetrForObjectDetection(config).save_pretrained(folder)
    transformers.DetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def rt_detr(transformers, folder):
    backbone = transformers.RTDetrResNetConfig(
        **STAGES, layer_type="basic", out_features=LEVELS, downsample_in_first_stage=False
    )
    config = transformers.RTDetrV2Config(backbone_config=backbone, **RT, **TINY)
    transformers.RTDetrV2ForObjectDetection(config).save_pretrained(folder)
    transformers.RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def d_fine(transformers, folder):
    backbone = transformers.HGNetV2Config(
        **STAGES, out_features=LEVELS, stem_channels=[3, 8, 8], stage_in_channels=[8] * 4,
        stage_mid_channels=[8] * 4, stage_out_channels=[8, 8, 8, 16], stage_num_blocks=[1] * 4,
        stage_numb_of_layers=[1] * 4,
    )  # fmt: skip
    config = transformers.DFineConfig(backbone_config=backbone, **RT, **TINY)
    transformers.DFineForObjectDetection(config).save_pretrained(folder)
    transformers.RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def test_box_is_in_pixels_of_the_image(torch, folder):
    """Center (1/2, 1/2), a quarter wide, three quarters high: 120 to 200 of 320, 30 to 210 of 240.

    The logits 0, ln 3, 0 and 0 ("nothing") make 3 of 6 of the second label.
    """
    model = write_detector(folder)
    with torch.no_grad():
        last = model.bbox_predictor.layers[-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0, 0, -math.log(3), math.log(3)]))
        last = model.class_labels_classifier.layers[-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0, math.log(3), 0, 0]))
    model.save_pretrained(folder)
    image = picture(1, (320, 240))
    regions = Detector(folder).detect(image)
    assert {region.box for region in regions} == {(120, 30, 200, 210)}
    assert [region.score for region in regions] == [pytest.approx(0.5, abs=1e-6)] * 8
    (region,) = Detection(str(folder), threshold=0.49)(image)
    assert region == Region((120, 30, 200, 210), "dog", region.score)
    assert Detection(str(folder), threshold=0.51)(image) == []


@pytest.mark.parametrize("write", [detr, rt_detr, d_fine])
def test_families_agree_with_transformers_own_pipeline(
    torch, transformers, write, tmp_path, requested_addresses
):
    torch.manual_seed(5)
    write(transformers, tmp_path)
    image = picture(3, (160, 120))
    model = transformers.AutoModelForObjectDetection.from_pretrained(tmp_path)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    oracle = transformers.pipeline("object-detection", model=model, image_processor=processor)
    expected = oracle(Image.fromarray(image), threshold=0.0)
    regions = sorted(Detector(tmp_path).detect(image), key=lambda region: -region.score)
    assert len(regions) == len(expected) == 6
    for region, other in zip(regions, expected, strict=True):
        assert region.score == pytest.approx(other["score"], abs=1e-5)
        edges = [other["box"][name] for name in ("xmin", "ymin", "xmax", "ymax")]
        # transformers truncates, we round
        assert np.all(np.abs(np.subtract(region.box, edges)) <= 1)
    assert requested_addresses == []


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 3), (900, 20)])
def test_images_too_small_for_any_region_are_accepted(folder, size):
    assert Detection(str(folder), threshold=0)(picture(1, size)) == []


def test_image_that_the_model_cannot_scale_raises(folder):
    with pytest.raises(EncoderError, match=r"an image of \(1, 300\)"):
        Detector(folder).detect(picture(1, (300, 1)))


def test_old_config_needs_no_hub(torch, transformers, tmp_path, requested_addresses):
    """Transformers 4 stored a backbone name and settings; 5.23 requests it from the hub."""
    torch.manual_seed(5)
    detr(transformers, tmp_path)
    image = picture(2)
    described = Detector(tmp_path).detect(image)
    change(
        tmp_path, backbone_config=None, backbone="test_resnet", use_timm_backbone=True,
        use_pretrained_backbone=True, backbone_kwargs={"in_chans": 3, "out_indices": [1, 2, 3, 4]},
    )  # fmt: skip
    assert Detector(tmp_path).detect(image) == described
    change(tmp_path, use_timm_backbone=False, backbone="jemand/größe")
    with pytest.raises(WeightsInvalid, match="'jemand/größe' to a hub"):
        Detector(tmp_path)
    assert requested_addresses == []


def test_code_in_the_folder_is_not_run(folder, tmp_path):
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\nclass Mine: pass\n"
    (folder / "mine.py").write_text(code)
    names = ("AutoConfig", "AutoModelForObjectDetection")
    change(folder, model_type="mine", auto_map=dict.fromkeys(names, "mine.Mine"))
    with pytest.raises(WeightsInvalid):
        Detector(folder)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", "[]", "not a detector's folder"),
        ("config.json", '{"model_type": "vit"}', "not a detector's folder"),
        ("config.json", '{"größe": ', "not a detector's folder"),
        ("preprocessor_config.json", "[]", "not a detector's folder"),
        (
            "preprocessor_config.json",
            '{"image_processor_type": "ViTImageProcessor"}',
            "does not detect objects",
        ),
        ("model.safetensors", "version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
    ],
)
def test_invalid_folder_raises(folder, file, text, message):
    (folder / file).write_text(text)
    with pytest.raises(WeightsInvalid, match=message):
        Detection.of(folder).build()


def test_missing_folder_raises(tmp_path):
    with pytest.raises(WeightsNotFound, match="fehlt"):
        Detection.of(tmp_path / "fehlt").build()


def test_missing_transformers_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[torch,regions\]'"):
        Detector(folder)


def test_failing_import_of_transformers_raises(folder, tmp_path, monkeypatch):
    """Transformers fails like this with an unsupported version of the hub client."""
    (tmp_path / "transformers.py").write_text("raise ImportError('tokenizers>=9 is required')")
    monkeypatch.delitem(sys.modules, "transformers")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match="tokenizers>=9 is required"):
        Detector(folder)


def test_half_precision_weights_run_in_single_precision(folder, torch):
    image = picture(4)
    whole = Detector(folder).detect(image)
    assert whole
    write_detector(folder).half().save_pretrained(folder)
    for half, region in zip(Detector(folder).detect(image), whole, strict=True):
        assert half.score == pytest.approx(region.score, abs=0.01)
        assert np.all(np.abs(np.subtract(half.box, region.box)) <= 1)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_detector_with_nan_outputs_raises(folder, torch, broken):
    model = write_detector(folder)
    with torch.no_grad():
        model.bbox_predictor.layers[-1].bias.fill_(math.nan)
        model.class_labels_classifier.layers[-1].bias.fill_(broken)
    model.save_pretrained(folder)
    with pytest.raises(EncoderError, match="NaN or infinity"):
        Detection.of(folder)(picture(1))


def test_labels_are_valid_for_stores(folder):
    change(folder, id2label={0: "K\0äfer", 1: "\ud800", 2: "cat"})
    labels = {
        region.label for seed in range(9) for region in Detector(folder).detect(picture(seed))
    }
    assert labels <= {"Käfer", "\\ud800", "cat"}
    assert labels & {"Käfer", "\\ud800"}


def test_detector_is_built_once_until_its_folder_changes(folder):
    detection = Detection(str(folder), threshold=0, smallest=1)
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: detection.build(), range(8)))
    assert len(set(map(id, built))) == 1
    image = picture(1)
    before = detection(image)
    write_detector(folder, seed=4)
    assert detection.build() is not built[0]
    assert detection(image) != before
    assert pickle.loads(pickle.dumps(detection)) == detection  # noqa: S301  # our own


def test_threads_get_the_same_regions(folder):
    detection = Detection(str(folder), threshold=0, smallest=1)
    images = [picture(seed) for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detection, images)) == [detection(image) for image in images]


def test_logging_of_transformers_is_not_changed(folder, transformers):
    logging = transformers.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity_info()
        logging.enable_progress_bar()
        Detector(folder)
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.INFO, True)
        (folder / "config.json").write_text("{}")
        with pytest.raises(WeightsInvalid):
            Detector(folder)
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.INFO, True)
    finally:
        logging.set_verbosity(level)
        if not bars:
            logging.disable_progress_bar()


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.1}, {"threshold": -0.1}, {"threshold": math.nan}, {"most": 0},
              {"smallest": 0}]
)  # fmt: skip
def test_settings_out_of_range_raise(wrong):
    with pytest.raises(ConfigError, match="a detection's"):
        Detection("x", **wrong)
