"""The three pipelines under Towhee's own AutoConfig and AutoPipes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.errors import ConfigError
from imgsearch.seam.engine import towhee
from tests.pictures import write

AutoConfig, AutoPipes = towhee.AutoConfig, towhee.AutoPipes


def pipeline(name, **settings):
    config = AutoConfig.load_config(name)
    for key, value in settings.items():
        assert hasattr(config, key)
        setattr(config, key, value)
    return AutoPipes.pipeline(name, config=config)


def test_embed_gives_path_image_and_vector(tmp_path):
    write(tmp_path, 3)
    queue = pipeline("imgsearch_embed")(str(tmp_path))
    assert queue.size == 3
    path, image, vector = queue.get()
    assert (Path(path).name, image.shape) == ("bild-ü 0000.png", (48, 64, 3))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_what_insert_writes_search_finds(tmp_path):
    write(tmp_path, 5)
    rows = pipeline("imgsearch_insert", url="memory://auto", collection="bilder")(str(tmp_path))
    assert rows.size == 5
    search = pipeline("imgsearch_search", url="memory://auto", collection="bilder", k=2)
    path, hits = search(str(tmp_path / "*0003.png")).get()
    assert (hits[0].fields["path"], len(hits)) == (path, 2)


def test_insert_and_search_are_not_one_another():
    """Two of Towhee's own registered pipelines share a function's name; the later one wins."""
    configs = {name: AutoConfig.load_config(f"imgsearch_{name}") for name in ("insert", "search")}
    assert hasattr(configs["insert"], "index")
    assert hasattr(configs["search"], "k")


def test_options_may_come_with_the_configuration():
    config = AutoConfig.load_config(
        "imgsearch_search", url="memory://x", k=3, where=imgsearch.Field("a") == 1
    )
    assert (config.url, config.k, config.where) == ("memory://x", 3, imgsearch.Field("a") == 1)


def test_a_store_has_to_be_named():
    with pytest.raises(ConfigError, match="give PATH"):
        AutoPipes.pipeline("imgsearch_insert")


def test_they_are_there_before_anything_else_is_imported():
    code = """
import imgsearch
from towhee import AutoConfig, AutoPipes
print(AutoPipes.pipeline("imgsearch_embed", config=AutoConfig.load_config("imgsearch_embed")))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert "Runtime" in done.stdout, done.stderr
