"""CLIP with seeded random weights: a small model in a folder, and ViT-B/32 as a file."""

import importlib.util
import json
import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.encoders import load, unit
from imgsearch.errors import (
    ConfigError,
    ModelNotFound,
    TextUnsupported,
    TextWarning,
    WeightsInvalid,
    WeightsNotFound,
)
from tests.encoders.clips import TINY, write_tiny
from tests.pictures import picture, write

if importlib.util.find_spec("open_clip") is None:
    pytest.skip("CLIP is of the extra clip", allow_module_level=True)

from imgsearch.encoders.clip import model
from imgsearch.encoders.clip.encoder import ClipEncoder
from imgsearch.encoders.clip.model import open_clip
from imgsearch.encoders.torch.imports import frameworks

TEXTS = ["a white dog", "Ein weißer Hund!", "", "snow " * 200]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("klein-ü")
    return write_tiny(folder), folder


@pytest.fixture(scope="module")
def encoder(tiny):
    return ClipEncoder("tiny", weights=tiny[1])


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    sizes = ((40, 60), (33, 32), (90, 50), (32, 32), (200, 31))
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_images_agree_with_open_clip(tiny, encoder, pictures):
    torch, module = frameworks()[0], tiny[0]
    transform = open_clip().image_transform(32, is_train=False)
    ours = [encoder.prepare(image) for image in pictures]
    theirs = torch.stack([transform(Image.fromarray(image)) for image in pictures])
    mean, std = (np.array(values) for values in (module_mean(), module_std()))
    scaled = (np.stack(ours) / 255 - mean) / std
    # exact to the pixel: a step of 1 in 255 is 0.0145 here
    np.testing.assert_allclose(scaled.transpose(0, 3, 1, 2), theirs.numpy(), atol=1e-5)
    with torch.inference_mode():
        expected = module.encode_image(theirs).numpy()
    np.testing.assert_allclose(encoder.features(ours), expected, rtol=1e-4, atol=1e-5)


def module_mean():
    return open_clip().constants.OPENAI_DATASET_MEAN


def module_std():
    return open_clip().constants.OPENAI_DATASET_STD


def test_texts_agree_with_open_clip(tiny, encoder):
    torch, module = frameworks()[0], tiny[0]
    with torch.inference_mode():
        expected = module.encode_text(open_clip().SimpleTokenizer()(TEXTS)).numpy()
    np.testing.assert_allclose(encoder.text_features(TEXTS), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), unit(expected), atol=1e-5)
    assert encoder.dim == 24
    assert encoder.languages == ("en",)
    assert encoder.text_features([]).shape == (0, 24)


def test_vectors_do_not_depend_on_the_batch(encoder, pictures):
    many = encoder.encode(pictures * 14)  # 70: three batches, the last one short
    texts = encoder.encode_texts(TEXTS * 18)
    for place, image in enumerate(pictures):
        np.testing.assert_allclose(encoder.encode([image])[0], many[place + 65], atol=1e-6)
    for place, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode_texts([text])[0], texts[place + 68], atol=1e-6)


def test_templates_are_averaged_and_change_the_fingerprint(tiny, encoder):
    templates = "a photo of {}.|ein Bild: {}"
    other = ClipEncoder("tiny", weights=tiny[1], options={"templates": templates})
    by_text = [encoder.encode_texts([f"a photo of {text}.", f"ein Bild: {text}"]) for text in TEXTS]
    expected = unit(np.stack([two.mean(axis=0) for two in by_text]))
    np.testing.assert_allclose(other.encode_texts(TEXTS), expected, atol=1e-6)
    assert other.fingerprint.templates == templates
    assert other.fingerprint != encoder.fingerprint
    with pytest.raises(ConfigError, match="in the place of the text"):
        ClipEncoder("tiny", weights=tiny[1], options={"templates": "a dog"})


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_exports_embed_texts_without_torch(tiny, encoder, pictures, runtime, tmp_path, monkeypatch):
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime))
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "Zwischenlager"))
    config = {"weights": str(tiny[1]), "options": {"runtime": runtime, "precision": "f32"}}
    exported = load("clip:tiny", **config)
    assert exported.fingerprint.runtime == f"{runtime} f32"
    assert exported.fingerprint.identity() == {
        **encoder.fingerprint.identity(),
        "model": "clip:tiny",
    }
    vectors = np.concatenate([exported.encode(pictures), exported.encode_texts(TEXTS)])
    exact = np.concatenate([encoder.encode(pictures), encoder.encode_texts(TEXTS)])
    assert (vectors * exact).sum(axis=1).min() >= 0.9999
    code = f"""
import sys
import numpy as np
from imgsearch.encoders import load
encoder = load("clip:tiny", **{config!r})
print(encoder.encode_texts(["a white dog"])[0, :3].tolist())
print(sorted({{"torch", "open_clip", "timm", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    vector, loaded = done.stdout.splitlines()
    np.testing.assert_allclose(json.loads(vector), vectors[len(pictures), :3], atol=1e-5)
    assert loaded == "[]"


def test_texts_in_bf16_stay_near_f32(tiny, encoder, pictures):
    half = ClipEncoder("tiny", weights=tiny[1], options={"precision": "bf16"})
    for vectors, exact in (
        (half.encode(pictures), encoder.encode(pictures)),
        (half.encode_texts(TEXTS), encoder.encode_texts(TEXTS)),
    ):
        assert (vectors * exact).sum(axis=1).min() >= 0.999
    assert half.fingerprint == encoder.fingerprint


def test_library_is_searched_by_text(tiny, tmp_path):
    write(tmp_path / "fotos", 12)
    with imgsearch.open("memory://texte", model="clip:tiny", weights=tiny[1]) as library:
        library.add(tmp_path / "fotos")
        hits = library.search("a white dog", k=12)
        encoder = load("clip:tiny", weights=tiny[1])
        query = encoder.encode_texts(["a white dog"])[0]
        scores = {
            str(path): float(
                encoder.encode([np.asarray(Image.open(path).convert("RGB"))])[0] @ query
            )
            for path in (tmp_path / "fotos").iterdir()
        }
        best = sorted(scores, key=scores.get, reverse=True)
        assert [hit.fields["path"] for hit in hits] == best
        np.testing.assert_allclose(
            [hit.score for hit in hits], sorted(scores.values())[::-1], atol=1e-4
        )
        with pytest.warns(TextWarning, match="Han"):
            library.search("一只白狗")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            library.search("Straße im Schnee")


def test_model_described_by_its_name_accepts_a_file(tmp_path):
    """Uses ViT-B/32 in full size: the activation of the tag, the input of CLIP."""
    from safetensors.torch import save_file

    torch = frameworks()[0]
    torch.manual_seed(9)
    package = open_clip()
    config = package.get_model_config("ViT-B-32")
    module = package.CLIP(**config, quick_gelu=True).eval()
    path = tmp_path / "B-32.safetensors"
    save_file(module.half().state_dict(), path)  # the precision of OpenAI's files
    module = module.float()
    options = {"runtime": "torch"}
    encoder = load("clip_vit_b32", weights=path, options=options)
    image = picture(3)
    with torch.inference_mode():
        ready = package.image_transform(224, is_train=False)(Image.fromarray(image))[None]
        expected = module.encode_image(ready).numpy()
        said = module.encode_text(package.SimpleTokenizer()(["a dog"])).numpy()
    np.testing.assert_allclose(encoder.encode([image]), unit(expected), atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), unit(said), atol=1e-4)
    assert encoder.fingerprint.model == "clip_vit_base_patch32"
    plain = load("clip:ViT-B-32", weights=path, options=options)  # with another activation
    assert not np.allclose(plain.encode([image]), unit(expected), atol=1e-4)
    with pytest.raises(WeightsInvalid, match="width 768 with patches of 32"):
        load("clip:ViT-B-16/openai", weights=path, options=options)


def test_invalid_name_or_file_raises(tiny, tmp_path):
    torch = frameworks()[0]
    with pytest.raises(ModelNotFound, match="ViT-B-32"):
        ClipEncoder("ViT-B-33/openai", weights=tiny[1] / "open_clip_model.safetensors")
    with pytest.raises(ModelNotFound, match="openai"):
        ClipEncoder("ViT-B-32/öpenai")
    with pytest.raises(WeightsInvalid, match="does not fit"):
        ClipEncoder("ViT-B-32", weights=tiny[1] / "open_clip_model.safetensors")
    theirs = tmp_path / "transformers.pth"
    torch.save({"text_model.x": torch.zeros(2), "vision_model.y": torch.zeros(2)}, theirs)
    with pytest.raises(WeightsInvalid, match="layout of transformers"):
        ClipEncoder("ViT-B-32", weights=theirs)
    script = tmp_path / "ViT-B-32.pt"
    with warnings.catch_warnings():
        # deprecated, but the format of OpenAI's files
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), script)
    with pytest.raises(WeightsInvalid, match="TorchScript"):
        ClipEncoder("ViT-B-32/openai", weights=script)
    with pytest.raises(WeightsNotFound, match="holds none of open_clip_model"):
        ClipEncoder("ViT-B-32", weights=tmp_path)
    with pytest.raises(ConfigError, match="no option global_pool"):
        ClipEncoder("tiny", weights=tiny[1], options={"global_pool": "avg"})
    (tmp_path / "b").mkdir()
    (tmp_path / "b/open_clip_config.json").write_text('{"model_cfg": 3}')
    (tmp_path / "b/open_clip_model.safetensors").write_bytes(
        (tiny[1] / "open_clip_model.safetensors").read_bytes()
    )
    with pytest.raises(WeightsInvalid, match="describes no model"):
        ClipEncoder("tiny", weights=tmp_path / "b")


def test_error_without_a_network_names_the_missing_weights(monkeypatch):
    monkeypatch.setenv("IMGSEARCH_OFFLINE", "1")
    with pytest.raises(
        WeightsNotFound, match=r"open_clip_model\.safetensors with --weights"
    ) as error:
        load("clip_vit_b32", options={"runtime": "torch"})
    assert "timm/vit_base_patch32_clip_224.openai" in str(error.value)


def test_model_without_texts_raises(tiny):
    with pytest.raises(TextUnsupported, match="clip_vit_b32"):
        load("classic").encode_texts(["a dog"])


def test_siglip_uses_its_own_tokenizer(tmp_path, pictures):
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: place for place, word in enumerate(["<pad>", "<unk>", "</s>", "weißer", "hund"])}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    config = {
        "embed_dim": 32,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {**TINY["vision_cfg"]},
        "text_cfg": {
            "context_length": 6, "vocab_size": 5, "width": 32, "heads": 2, "layers": 1,
            "hf_tokenizer_name": "nobody/nothing", "tokenizer_kwargs": {"clean": "canonicalize"},
            "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
        },
    }  # fmt: skip
    module = write_tiny(
        tmp_path / "s", config=config, mean=[0.5] * 3, std=[0.5] * 3,
        interpolation="bicubic", resize_mode="squash",
    )  # fmt: skip
    core.save(str(tmp_path / "s/tokenizer.json"))
    encoder = ClipEncoder("SigLIP2-tiny", weights=tmp_path / "s")
    assert encoder.languages == ("mul",)
    assert encoder.preprocessing.crop_mode == "squash"
    assert encoder.preprocessing.mean == (0.5, 0.5, 0.5)
    tokens = encoder.tokenizer(["Weißer, Hund!", "hund " * 9])
    assert tokens.tolist() == [[3, 4, 2, 0, 0, 0], [4, 4, 4, 4, 4, 2]]
    torch = frameworks()[0]
    with torch.inference_mode():
        said = module.encode_text(torch.from_numpy(tokens)).numpy()
    vectors = encoder.text_features(["Weißer, Hund!", "hund " * 9])
    np.testing.assert_allclose(vectors, said, rtol=1e-4, atol=1e-5)
    assert encoder.encode(pictures).shape == (5, 32)


def test_coca_features_are_not_normalized(tmp_path, pictures):
    """open_clip scales these features to unit norm by default."""
    text = {
        **TINY["text_cfg"], "context_length": 76, "embed_cls": True, "output_tokens": True,
    }  # fmt: skip
    vision = {**TINY["vision_cfg"], "attentional_pool": True, "attn_pooler_heads": 2,
              "output_tokens": True}  # fmt: skip
    decoder = {"context_length": 76, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, "multimodal_cfg": decoder}
    module = write_tiny(tmp_path, config=config)
    encoder = ClipEncoder("coca-klein", weights=tmp_path)
    torch = frameworks()[0]
    tokens = torch.from_numpy(encoder.tokenizer(TEXTS))
    with torch.inference_mode():
        expected = module.encode_text(tokens).numpy()
    vectors = encoder.text_features(TEXTS)
    np.testing.assert_allclose(unit(vectors), expected, atol=1e-5)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).min() > 0.01
    images = encoder.features([encoder.prepare(image) for image in pictures])
    assert np.abs(np.linalg.norm(images, axis=1) - 1).min() > 0.01


def test_building_does_not_change_logging(tiny):
    code = f"""
import logging
from imgsearch.encoders.clip import model
from imgsearch.encoders.clip.encoder import ClipEncoder
ClipEncoder("tiny", weights={str(tiny[1])!r})
print(logging.getLogger().handlers, logging.root.manager.disable)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[] 0\n", "")


def test_weights_folder_may_be_a_link(tiny, tmp_path):
    (tmp_path / "hier").symlink_to(tiny[1])
    assert load("clip:tiny", weights=tmp_path / "hier") is load("clip:tiny", weights=Path(tiny[1]))


def test_warnings_of_other_loggers_are_shown_while_open_clip_is_silent(caplog):
    with model._quiet():
        logging.warning("by open_clip")  # noqa: LOG015  # open_clip uses it
        logging.getLogger("imgsearch.other").warning("by us")
        other = threading.Thread(target=logging.warning, args=("by another thread",))
        other.start()
        other.join()
    logging.warning("afterwards")  # noqa: LOG015
    assert caplog.messages == ["by us", "by another thread", "afterwards"]
