"""Text encoders other than CLIP's own: configuration and tokenizer from folders and hubs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgsearch.errors import WeightsInvalid, WeightsNotFound
from tests.encoders.clips import TINY, write_tiny
from tests.encoders.hubs import serving

if not all(map(importlib.util.find_spec, ("open_clip", "transformers"))):
    pytest.skip("this needs open_clip and transformers", allow_module_level=True)

from imgsearch.encoders.clip.encoder import ClipEncoder
from imgsearch.encoders.torch.imports import frameworks

ROOT = Path(__file__).resolve().parents[2]
NAME = "xlm-roberta-nirgends"
ROBERTA = {
    "model_type": "xlm-roberta", "vocab_size": 7, "hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 16,
    "pad_token_id": 1, "type_vocab_size": 1,
}  # fmt: skip
TEXTS = ["ein weißer Hund", "ein " * 20, ""]


def text_side(**more):
    return {**TINY, "text_cfg": {"context_length": 8, "hf_tokenizer_name": NAME, **more}}


def write_tokenizer(folder):
    """Write a tokenizer that pads with its end token like SigLIP, although it has a <pad>."""
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<pad>", "</s>", "<unk>", "ein", "weißer", "Hund"]
    ids = {word: place for place, word in enumerate(words)}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    core.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "</s>"}))


@pytest.fixture
def roberta(tmp_path):
    """Return a complete folder of a model, and the module with its weights."""
    folder = tmp_path / "schräg"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(ROBERTA))
    hf_config = {"hf_pooler_type": "mean_pooler", "hf_model_name": str(folder)}
    config = text_side(**hf_config, hf_model_pretrained=False)
    module = write_tiny(folder, config={**config, "custom_text": True})
    beside = {"model_cfg": text_side(**{**hf_config, "hf_model_name": NAME})}
    (folder / "open_clip_config.json").write_text(json.dumps(beside))
    write_tokenizer(folder)
    return folder, module


def test_text_encoder_is_built_from_a_folder(roberta):
    folder, module = roberta
    encoder = ClipEncoder("xlm-klein", weights=folder, offline=True)
    assert encoder.languages == ("mul",)
    tokens = encoder.tokenizer(TEXTS)
    assert tokens.tolist() == [
        [3, 4, 5, 1, 1, 1, 1, 1],
        [3, 3, 3, 3, 3, 3, 3, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ]
    torch = frameworks()[0]
    with torch.inference_mode():
        expected = module.encode_text(torch.from_numpy(tokens)).numpy()
    # the last text has no letters, so its mean is NaN in both
    np.testing.assert_allclose(encoder.text_features(TEXTS[:2]), expected[:2], rtol=1e-4, atol=1e-5)


def test_missing_configuration_raises_at_once(roberta, monkeypatch):
    folder = roberta[0]
    (folder / "config.json").unlink()
    hosts = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *host, **_: hosts.append(host))
    with pytest.raises(WeightsNotFound, match=rf"config\.json of {NAME}.*IMGSEARCH_OFFLINE"):
        ClipEncoder("xlm-klein", weights=folder, offline=True)
    assert hosts == []


def test_configuration_of_another_kind_is_rejected(roberta):
    folder = roberta[0]
    other = {**ROBERTA, "model_type": "eigenbau", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(other))
    with pytest.raises(WeightsInvalid, match="eigenbau"):
        ClipEncoder("xlm-klein", weights=folder, offline=True)
    (folder / "config.json").write_text("[]")
    with pytest.raises(WeightsInvalid, match="describes no text side"):
        ClipEncoder("xlm-klein", weights=folder, offline=True)


def test_padding_token_is_read_from_the_hub(tmp_path):
    folder = tmp_path / "s"
    write_tiny(folder, config=text_side(vocab_size=6, width=32, heads=2, layers=1))
    write_tokenizer(tmp_path)
    names = ("tokenizer.json", "tokenizer_config.json")
    files = {f"{NAME}/{name}": (tmp_path / name).read_bytes() for name in names}
    code = f"""
from imgsearch.encoders.clip.encoder import ClipEncoder
print(ClipEncoder("tiny", weights={str(folder)!r}).tokenizer(["ein Hund"]).tolist())
"""
    with serving(files) as (url, _):
        cache = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"}
        environment = {**os.environ, **cache}  # noqa: TID251  # a child's
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True
        )
    assert done.stdout == "[[3, 5, 1, 1, 1, 1, 1, 1]]\n", done.stderr
