"""Models pulled from a hub on loopback, moved, and used without a network, by the command line."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgsearch.encoders import load, on_disk
from imgsearch.encoders.weights import cache as weights_cache
from imgsearch.encoders.weights import hub
from imgsearch.errors import WeightsInvalid, WeightsNotFound
from tests.encoders.hubs import serving
from tests.pictures import picture

if importlib.util.find_spec("timm") is None:
    pytest.skip("models with weights need the extra torch", allow_module_level=True)

from imgsearch.encoders.torch.imports import frameworks

ROOT = Path(__file__).resolve().parents[3]
NAME = "timm:test_resnet"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Return the bytes of a weights file with a classifier, like files of a hub."""
    from safetensors.torch import save_file

    torch, timm = frameworks()
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("w") / "x.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def repository():
    return frameworks()[1].get_pretrained_cfg("test_resnet").hf_hub_id


def command(*words, cache, **environment):
    return subprocess.run(
        [sys.executable, "-m", "imgsearch", *map(str, words)],
        cwd=ROOT,
        env={
            **os.environ,  # noqa: TID251  # a child's
            "IMGSEARCH_CACHE": str(cache),
            "HF_HOME": str(cache / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def disk(content, repository, tmp_path_factory):
    """Return a folder filled by `pull --to`."""
    folder = tmp_path_factory.mktemp("pulled")
    disk = folder / "Wechselplatte ü"
    with serving({f"{repository}/model.safetensors": content}) as (url, seen):
        done = command("models", "pull", NAME, "--to", disk, cache=folder / "a", HF_ENDPOINT=url)
    assert done.returncode == 0, done.stderr
    assert "MB" in done.stderr
    assert any(request == "GET" for request, _ in seen)
    return disk


@pytest.fixture
def carried(disk, tmp_path):
    """Return the folder of the pulled model, on a disk that the test may change."""
    return shutil.copytree(disk, tmp_path / disk.name) / "timm--test_resnet"


def test_pulled_model_is_used_elsewhere_without_a_network(
    run, carried, content, tmp_path, monkeypatch
):
    away = tmp_path / "b"
    monkeypatch.setenv("IMGSEARCH_CACHE", str(away))
    monkeypatch.setenv("IMGSEARCH_OFFLINE", "1")
    done = run("models", "pull", NAME, "--from", carried.parent)
    assert done.exit_code == 0, done.stderr
    (tmp_path / "same.safetensors").write_bytes(content)
    pulled_, given = load(NAME), load(NAME, weights=tmp_path / "same.safetensors")
    assert pulled_.fingerprint == given.fingerprint
    np.testing.assert_array_equal(pulled_.encode([picture(1)]), given.encode([picture(1)]))
    assert on_disk(NAME) == away / "models/timm--test_resnet/model.safetensors"
    again = run("models", "pull", NAME, "--from", carried.parent)
    assert again.exit_code == 0, again.stderr


def test_changed_file_is_rejected(carried, tmp_path, monkeypatch):
    cache = tmp_path / "c"
    weights_cache.copy(NAME, carried.parent, cache)
    file = cache / "models/timm--test_resnet/model.safetensors"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    monkeypatch.setenv("IMGSEARCH_CACHE", str(cache))
    with pytest.raises(WeightsInvalid, match="another sha256"):
        load(NAME)
    (carried / "model.safetensors").unlink()
    with pytest.raises(WeightsInvalid, match="lacks"):
        weights_cache.copy(NAME, carried.parent, cache)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("[]", "not a model's manifest"),
        ('{"files": {}}', "names no files"),
        ('{"files": {"../../etc/passwd": "ab"}}', "lacks"),
        ("{", "not a model's manifest"),
    ],
)
def test_manifest_is_not_trusted(tmp_path, manifest, message):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(WeightsInvalid, match=message):
        weights_cache.check(tmp_path)


def test_pull_does_not_replace_other_files(carried, tmp_path):
    mine = tmp_path / "d/models/timm--test_resnet"
    mine.mkdir(parents=True)
    (mine / "wichtig.txt").write_text("mine")
    with pytest.raises(
        WeightsInvalid, match="not a model that was pulled|no model that was pulled"
    ):
        weights_cache.copy(NAME, carried.parent, tmp_path / "d")
    assert (mine / "wichtig.txt").read_text() == "mine"


def test_wrong_bytes_of_a_hub_are_rejected(content, repository, tmp_path):
    with serving({f"{repository}/model.safetensors": content}, lying=True) as (url, _):
        done = command("models", "pull", NAME, cache=tmp_path, HF_ENDPOINT=url)
    assert done.returncode == 1
    assert "its sha256 differs" in done.stderr, done.stderr
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def test_error_without_network_or_hub_is_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path))
    monkeypatch.setenv("IMGSEARCH_OFFLINE", "1")
    done = run("models", "pull", "resnet50")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "IMGSEARCH_OFFLINE is set" in done.stderr
    assert done.stderr.count("\n") == 1
    monkeypatch.delenv("IMGSEARCH_OFFLINE")
    assert "notop.h5" in run("models", "pull", "vgg16-512-keras").stderr
    both = run("models", "pull", "resnet50", "--to", tmp_path, "--from", tmp_path)
    assert both.exit_code == 2


PULL = """
import sys
from pathlib import Path
from imgsearch.encoders.weights import cache
from imgsearch.encoders.recipe import Plan
cache.pull(Plan("clip", sys.argv[1], sys.argv[2]), "timm/klein", Path(sys.argv[3]))
"""


def pull_clip(files, name, label, cache, tmp_path):
    with serving(files) as (url, _):
        done = subprocess.run(
            [sys.executable, "-c", PULL, name, label, str(cache / "models")],
            cwd=ROOT,
            env={
                **os.environ,  # noqa: TID251  # a child's
                "HF_ENDPOINT": url,
                "HF_HOME": str(tmp_path / "hf"),
                "HF_HUB_DISABLE_XET": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr


def test_clip_is_pulled_with_its_configuration(tmp_path, monkeypatch):
    pytest.importorskip("open_clip")
    from tests.encoders.clips import write_tiny

    write_tiny(tmp_path / "hub")
    files = {f"timm/klein/{file.name}": file.read_bytes() for file in (tmp_path / "hub").iterdir()}
    cache = tmp_path / "cache"
    pull_clip(files, "ViT-B-32/openai", "clip:tiny", cache, tmp_path)
    monkeypatch.setenv("IMGSEARCH_CACHE", str(cache))
    encoder = load("clip:tiny", options={"runtime": "torch"})
    given = load("clip:tiny", weights=tmp_path / "hub", options={"runtime": "torch"})
    np.testing.assert_array_equal(encoder.encode_texts(["ä dog"]), given.encode_texts(["ä dog"]))
    saved_manifest = json.loads((cache / "models/clip--tiny/manifest.json").read_text())
    assert set(saved_manifest["files"]) == {"open_clip_model.safetensors", "open_clip_config.json"}


def test_text_encoder_of_another_repository_is_included(tmp_path):
    pytest.importorskip("open_clip")
    files = {
        "timm/klein/open_clip_model.safetensors": b"weights",
        "timm/klein/config.json": b"of something else",
        "timm/klein/tokenizer.json": b"its own",
        "xlm-roberta-base/tokenizer.json": b"the other's",
        "xlm-roberta-base/tokenizer_config.json": b"pad",
        "xlm-roberta-base/config.json": b"text side",
    }
    pull_clip(files, "xlm-roberta-base-ViT-B-32/x", "multilingual", tmp_path, tmp_path)
    folder = tmp_path / "models/multilingual"
    got = {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name != "manifest.json"
    }
    assert got == {
        "open_clip_model.safetensors": b"weights",
        "tokenizer.json": b"its own",
        "tokenizer_config.json": b"pad",
        "config.json": b"text side",
    }


def test_hub_is_not_requested_offline(monkeypatch, tmp_path):
    client = pytest.importorskip("huggingface_hub")
    timm = frameworks()[1]
    monkeypatch.setattr(client.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(client.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsNotFound, match="HF_HUB_OFFLINE"):
        hub.timm_weights(timm.get_pretrained_cfg("resnet18"))
    with pytest.raises(WeightsNotFound, match="IMGSEARCH_OFFLINE"):
        hub.timm_weights(timm.get_pretrained_cfg("resnet18"), offline=True)
    with pytest.raises(WeightsNotFound, match="none"):
        hub.timm_weights(None)
