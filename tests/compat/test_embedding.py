"""Decoding, embedding and normalizing with the calls of public code, alone and in a pipe."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.errors import ConfigError, EncoderError, ImageCorrupt, WeightsNotFound
from imgsearch.towhee.imports import towhee
from tests.pictures import picture

ops, pipe = towhee.ops, towhee.pipe
WEIGHTS = Path(__file__).resolve().parents[3] / "shared/weights/mobilenetv2_100.safetensors"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "gold-魚.png"
    Image.fromarray(picture(3)).save(file)
    return str(file)


@pytest.mark.parametrize(
    ("operator", "mode"),
    [
        (ops.image_decode(), "BGR"),
        (ops.towhee.image_decode(), "BGR"),
        (ops.image_decode.cv2(), "BGR"),
        (ops.image_decode.cv2("rgb"), "RGB"),
        (ops.image_decode.cv2(mode="RGB"), "RGB"),
        (ops.image_decode("bgr"), "BGR"),
        (ops.image_decode.cv2_rgb(), "RGB"),
    ],
)
def test_image_knows_its_color_order(operator, mode, path):
    image = operator(path)
    assert isinstance(image, towhee.types.Image)
    assert (image.mode, image.width, image.height, image.channel) == (mode, 64, 48, 3)
    upright = image if mode == "RGB" else image[..., ::-1]
    assert np.array_equal(upright, picture(3))
    assert np.array_equal(operator(Path(path).read_bytes()), image)


def test_both_color_orders_give_the_same_embedding(path):
    embed = ops.image_embedding.timm(model_name="classic")
    vectors = [embed(ops.image_decode.cv2(mode)(path)) for mode in ("BGR", "RGB")]
    assert np.array_equal(*vectors)
    plain = embed(picture(3))
    assert np.array_equal(plain, vectors[0])
    swapped = embed(np.ascontiguousarray(picture(3)[..., ::-1]))
    assert not np.allclose(swapped, plain)


def test_gray_images_are_accepted_and_other_modes_rejected():
    gray = towhee.types.Image(picture(1)[..., 0].copy(), "GRAY")
    embed = ops.image_embedding.timm(model_name="classic")
    assert embed(gray).shape == (imgsearch.load_encoder("classic").dim,)
    with pytest.raises(imgsearch.errors.ImageError, match="HSV"):
        embed(towhee.types.Image(picture(1), "HSV"))


def test_list_of_images_gives_a_list_of_vectors(path):
    embed, image = ops.image_embedding.timm(model_name="classic"), ops.image_decode()(path)
    many = embed([image, image])
    assert isinstance(many, list)
    assert np.allclose(many[0], embed(image), atol=1e-6)


def test_model_is_built_once_for_many_threads_and_pipes(path):
    def once(_):
        return (
            pipe.input("p")
            .map("p", "i", ops.image_decode())
            .map("i", "v", ops.image_embedding.timm(model_name="classic"))
            .output("v")(path)
            .get()[0]
        )

    with ThreadPoolExecutor(4) as threads:
        vectors = list(threads.map(once, range(12)))
    assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
    assert imgsearch.load_encoder("classic") is imgsearch.load_encoder("classic")


@pytest.mark.skipif(not WEIGHTS.exists(), reason="../shared/weights is not there")
@pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra torch")
def test_timm_gives_pooled_features_that_are_not_normalized(path):
    options = {"pad_type": "same", "mean": 0.5, "std": 0.5}
    embed = ops.image_embedding.timm(
        "mobilenetv2_100", 1000, False, None, os.fspath(WEIGHTS), options=options
    )
    bgr, rgb = (embed(ops.image_decode.cv2(mode)(path)) for mode in ("BGR", "RGB"))
    assert (bgr.shape, bgr.dtype) == ((1280,), np.float32)
    assert np.array_equal(bgr, rgb)
    assert np.linalg.norm(bgr) > 2
    encoder = imgsearch.load_encoder(
        "timm:mobilenetv2_100", weights=WEIGHTS, options={**options, "device": "auto"}
    )
    assert ops.towhee.np_normalize()(bgr) == pytest.approx(
        encoder.encode([picture(3)])[0], abs=1e-6
    )


def test_normalizing_keeps_shape_and_dtype():
    vector = np.array([3, 4], np.float32)
    unit = ops.towhee.np_normalize(axis=0)(vector)
    assert (unit.tolist(), unit.dtype) == (pytest.approx([0.6, 0.8]), np.float32)
    rows = ops.np_normalize(axis=1)(np.array([[3.0, 4.0], [0.0, -2.0]]))
    assert rows.tolist() == [pytest.approx([0.6, 0.8]), [0, -1]]
    with pytest.raises(EncoderError, match="cannot normalize"):
        ops.towhee.np_normalize()(np.zeros(4))


def test_clip_operators_agree_with_the_encoder(tmp_path):
    pytest.importorskip("open_clip")
    from tests.encoders.clips import write_tiny

    write_tiny(tmp_path / "modèle")
    names = {"checkpoint_path": str(tmp_path / "modèle")}
    texts = ops.image_text_embedding.clip("clip:tiny", "text", **names)
    images = ops.image_text_embedding.clip(model_name="clip:tiny", modality="image", **names)
    encoder = imgsearch.encoders.load("clip:tiny", weights=tmp_path / "modèle")
    text_features = encoder.text_features(["A white dog"])[0]
    np.testing.assert_allclose(texts("A white dog"), text_features, atol=1e-6)  # not normalized
    queue = pipe.input("t").map("t", "v", texts).output("v")("A white dog")
    np.testing.assert_allclose(queue.get()[0], text_features, atol=1e-6)
    pixels = picture(3)
    image_features = encoder.features([encoder.prepare(pixels)])[0]
    bgr = towhee.types.Image(np.ascontiguousarray(pixels[..., ::-1]), "BGR")
    for image in (pixels, bgr):
        np.testing.assert_allclose(images(image), image_features, atol=1e-6)


def test_clip_without_weights_names_the_missing_file(monkeypatch):
    pytest.importorskip("open_clip")
    monkeypatch.setenv("IMGSEARCH_OFFLINE", "1")
    clip = ops.image_text_embedding.clip(model_name="clip_vit_base_patch16", modality="text")
    with pytest.raises(WeightsNotFound, match="clip:ViT-B-16/openai.*--weights"):
        clip("A white dog")
    with pytest.raises(RuntimeError, match="--weights"):
        pipe.input("t").map("t", "v", clip).output("v")("A white dog")
    with pytest.raises(ConfigError, match="modality"):
        ops.image_text_embedding.clip("clip_vit_b32", "sound")("A white dog")


def test_bad_image_raises_our_error_alone_and_towhees_error_in_a_pipe():
    broken = io.BytesIO()
    Image.fromarray(picture(0)).save(broken, "PNG")
    data = broken.getvalue()[:200]
    with pytest.raises(ImageCorrupt):
        ops.image_decode()(data)
    with pytest.raises(RuntimeError, match="ImageCorrupt"):
        pipe.input("d").map("d", "i", ops.image_decode()).output("i")(data)


def test_invalid_argument_raises_at_the_first_row():
    with pytest.raises(TypeError, match="colour"):
        ops.image_decode.cv2(colour="rgb")("x.png")
    with pytest.raises(imgsearch.errors.ConfigError, match="'hsv'"):
        ops.image_decode.cv2("hsv")("x.png")


@pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra torch")
def test_weights_added_later_are_found_by_the_same_pipe(tmp_path, path):
    """As in a notebook, whose pipe exists before the missing file is added."""
    if not WEIGHTS.exists():
        pytest.skip("../shared/weights is not there")
    weights = tmp_path / "später.safetensors"
    options = {"pad_type": "same", "mean": 0.5, "std": 0.5}
    embed = (
        pipe.input("p")
        .map("p", "i", ops.image_decode())
        .map(
            "i",
            "v",
            ops.image_embedding.timm(
                model_name="mobilenetv2_100", checkpoint_path=str(weights), options=options
            ),
        )
        .output("v")
    )
    with pytest.raises(RuntimeError, match="WeightsNotFound"):
        embed(path)
    weights.symlink_to(WEIGHTS)
    assert embed(path).get()[0].shape == (1280,)
