"""The blocks of docs/own.md run."""

import re
import uuid
from pathlib import Path

import pytest

import imgsearch
from imgsearch.encoders import registered
from tests.pictures import picture, write

PAGE = Path(__file__).resolve().parents[1] / "docs/own.md"
OBJECT, HUGGING_FACE = re.findall(
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
