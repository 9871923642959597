"""The blocks of docs/own.md run."""

import json
import re
import uuid
from pathlib import Path

import pytest

import imgsearch
from imgsearch.encoders import registered
from tests.pictures import picture, write

PAGE = Path(__file__).resolve().parents[1] / "docs/own.md"
OBJECT, HUGGING_FACE, SENTENCES = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def run(block):
    namespace = {}
    exec(compile(block, "own.md", "exec"), namespace)  # noqa: S102 - our own page
    return namespace


def test_object_of_the_guide_searches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "photos/cats", 3, suffix=".jpg")[0].rename(tmp_path / "photos/cats/1.jpg")
    hits = run(OBJECT)["hits"]
    assert hits[0].fields["path"].endswith("photos/cats/1.jpg")


@pytest.mark.torch
def test_hugging_face_model_of_the_guide_searches(tmp_path, monkeypatch):
    from imgsearch.encoders.torch import imports

    imports.frameworks()  # mends torchvision where its build does not fit
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    monkeypatch.setattr(registered, "_factories", {})
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ViTConfig(**size, intermediate_size=32, image_size=32, patch_size=8)
    folder = tmp_path / "vit"
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    files = write(tmp_path / "fotos", 3)
    run(HUGGING_FACE)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model=f"hf:{folder}") as library:
        assert library.add(tmp_path / "fotos").added == 3
        hits = library.search(picture(1))
        assert hits[0].fields["path"] == str(files[1])
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert len(library.encoder.fingerprint.weights) == 64


@pytest.mark.torch
def test_sentence_transformers_model_of_the_guide_searches(tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers")
    from imgsearch.encoders.torch import imports

    imports.frameworks()
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    monkeypatch.setattr(registered, "_factories", {})
    folder = tmp_path / "clip"
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (tmp_path / "vocab.json").write_text(json.dumps({token: at for at, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    size = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    texts = {
        "vocab_size": 54,
        "max_position_embeddings": 32,
        "bos_token_id": 52,
        "eos_token_id": 53,
    }
    config = CLIPConfig(
        text_config={**size, **texts},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer = CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pixels, tokenizer).save_pretrained(folder)
    files = write(tmp_path / "fotos", 3)
    run(SENTENCES)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model=f"sentences:{folder}") as library:
        assert library.add(tmp_path / "fotos").added == 3
        (hit, *_) = library.search(picture(1))
        assert (hit.path, hit.score) == (str(files[1]), pytest.approx(1, abs=1e-5))
        assert len(library.search("a red bus")) == 3
        assert (library.encoder.dim, len(library.encoder.fingerprint.weights)) == (8, 64)
