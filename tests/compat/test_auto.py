"""The three pipelines under Towhee's own AutoConfig and AutoPipes."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.errors import ConfigError, OperatorNotFound
from imgsearch.towhee.imports import towhee
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


def test_search_finds_inserted_images(tmp_path):
    write(tmp_path, 5)
    rows = pipeline("imgsearch_insert", url="memory://auto", collection="bilder")(str(tmp_path))
    assert rows.size == 5
    search = pipeline("imgsearch_search", url="memory://auto", collection="bilder", k=2)
    path, hits = search(str(tmp_path / "*0003.png")).get()
    assert (hits[0].fields["path"], len(hits)) == (path, 2)


def test_insert_and_search_are_separate_pipelines():
    """Two of Towhee's own registered pipelines share a function name; the later one wins."""
    configs = {name: AutoConfig.load_config(f"imgsearch_{name}") for name in ("insert", "search")}
    assert hasattr(configs["insert"], "index")
    assert hasattr(configs["search"], "k")


def test_configuration_may_contain_options():
    config = AutoConfig.load_config(
        "imgsearch_search", url="memory://x", k=3, where=imgsearch.Field("a") == 1
    )
    assert (config.url, config.k, config.where) == ("memory://x", 3, imgsearch.Field("a") == 1)


def test_store_is_required():
    with pytest.raises(ConfigError, match="Use PATH"):
        AutoPipes.pipeline("imgsearch_insert")


def test_pipelines_are_registered_on_import():
    code = """
import imgsearch
from towhee import AutoConfig, AutoPipes
print(AutoPipes.pipeline("imgsearch_embed", config=AutoConfig.load_config("imgsearch_embed")))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert "Runtime" in done.stdout, done.stderr


@pytest.fixture
def no_host(monkeypatch, tmp_path):
    """Install a failing resolver and an empty Towhee cache; return the resolved names."""
    names = []

    def getaddrinfo(host, *_rest, **_options):
        names.append(host)
        raise socket.gaierror(f"no address of {host}")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("TOWHEE_HOME", str(tmp_path / "towhee"))
    return names


@pytest.mark.parametrize("load", [AutoPipes.pipeline, AutoConfig.load_config])
@pytest.mark.parametrize("name", ["unbekannt", "image_embedding", "towhee/x", "a/b/c", "größe", ""])
def test_unknown_pipeline_raises_without_a_request(no_host, load, name):
    with pytest.raises(OperatorNotFound, match="ours are imgsearch_embed, imgsearch_insert"):
        load(name)
    assert no_host == []


def test_unknown_pipeline_error_suggests_similar_names(no_host):
    with pytest.raises(OperatorNotFound, match="did you mean imgsearch_embed"):
        AutoPipes.pipeline("imgsearch-embed")
    with pytest.raises(OperatorNotFound, match="did you mean insert_milvus"):
        AutoConfig.load_config("insert-milvus")


@pytest.mark.parametrize("function", [towhee.hub.get_operator, towhee.hub.get_pipeline])
def test_towhee_itself_downloads_nothing(no_host, function):
    for name in ("towhee/image-decode", "a/b"):
        with pytest.raises(OperatorNotFound, match="nothing is downloaded"):
            function(name, "main", latest=True)
    assert no_host == []


def test_pipeline_in_a_file_is_still_loaded(no_host, tmp_path):
    file = tmp_path / "eigene.py"
    file.write_text(
        "from towhee import AutoPipes, pipe\n"
        "@AutoPipes.register\n"
        "def eigene():\n"
        "    return pipe.input('x').map('x', 'y', lambda x: x + 1).output('y')\n"
    )
    assert AutoPipes.pipeline(str(file))(1).get() == [2]
    AutoPipes._PIPES_DEF.pop(str(file))
