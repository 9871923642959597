"""Encoders and stores of installed packages are found by their entry points."""

import json
import subprocess
import sys

import numpy as np
import pytest

import imgsearch
from imgsearch import backends, encoders
from imgsearch.encoders import registered
from imgsearch.errors import ConfigError, PluginFailed
from imgsearch.library.models import described
from tests.pictures import write

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "farbsuche"
version = "1.0"
[project.entry-points."imgsearch.encoders"]
farben = "farbsuche:build"
[project.entry-points."imgsearch.backends"]
farbspeicher = "farbsuche:Store"
"""
MODULE = '''
import numpy as np
from imgsearch.backends.memory import Backend


class Colors:
    name, version, dim = "farben", "1", 3

    def encode_images(self, images):
        return np.array([image.reshape(-1, 3).mean(axis=0) for image in images])


def build(name, weights=None):
    return Colors()


class Store(Backend):
    """A store in memory with another scheme."""
'''


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a folder with an installed package, which offers an encoder and a store."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "farbsuche.py").write_text(MODULE)
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    words += ["--no-build-isolation", "--disable-pip-version-check", "--target", target, source]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def installed(package, monkeypatch):
    """Make the package importable; forget its encoder and store after the test."""
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setattr(registered, "_factories", {})
    monkeypatch.setattr(registered, "_built", {})
    monkeypatch.setattr(backends, "_registered", {})


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Return a function that adds a package with entry points, without code."""

    def offer(package, group, **points):
        folder = tmp_path / "more" / f"{package}-1.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (folder / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))
        monkeypatch.syspath_prepend(str(folder.parent))

    return offer


@pytest.mark.long
def test_library_uses_the_encoder_and_the_store_of_a_package(installed, tmp_path):
    files = write(tmp_path, 3)
    with imgsearch.open("farbspeicher://x", model="farben") as library:
        assert library.add(tmp_path).added == 3
        assert library.search(files[2])[0].fields["path"] == str(files[2])
        assert (library.encoder.dim, library.model) == (3, "farben")
    np.testing.assert_allclose(np.linalg.norm(library.encode(files[0])), 1, atol=1e-6)


def test_commands_use_the_encoder_of_a_package(installed, run, tmp_path):
    (file,) = write(tmp_path, 1)
    store = ("--db", "farbspeicher://befehle", "--json")
    done = run("add", file, "--model", "farben", *store)
    assert json.loads(done.stdout)["added"] == 1, done.output
    hits = json.loads(run("search", file, *store).stdout)
    assert hits[0]["fields"]["path"] == str(file)
    assert json.loads(run("info", *store).stdout)["encoder"]["model"] == "farben"
    assert "farben\tits own" in run("models").stdout
    assert described("farben")[0].description == "of the package farbsuche"


def test_broken_package_is_named_and_breaks_no_other(installed, offer, run):
    offer("kaputt", "imgsearch.encoders", broken="kaputt_module:build", number="sys:maxsize")
    offer("speicher", "imgsearch.backends", leer="os:sep")
    message = "'broken' of the package kaputt .* cannot be used: ModuleNotFoundError.*Update"
    with pytest.raises(PluginFailed, match=message):
        encoders.load("broken")
    with pytest.raises(PluginFailed, match="'number' of the package kaputt .* not a function"):
        encoders.load("number")
    with pytest.raises(PluginFailed, match="'leer' of the package speicher .* not a subclass"):
        imgsearch.connect("leer://x")
    assert encoders.load("farben").dim == 3
    assert {"broken", "farben"} <= {model.name for model in encoders.models()}
    assert "broken\tits own" in run("models").stdout
    done = run("add", "x.jpg", "--model", "broken")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_name_of_two_packages_is_refused(installed, offer):
    offer("zweite", "imgsearch.encoders", farben="zweite:build")
    with pytest.raises(PluginFailed, match="several packages offer 'farben' .* farbsuche, zweite"):
        encoders.load("farben")


def test_package_cannot_replace_an_encoder_of_imgsearch(installed, offer):
    offer("falsch", "imgsearch.encoders", lite="falsch:build", classic="falsch:build")
    assert encoders.load("classic").dim == 722
    assert [model.name for model in encoders.models()].count("classic") == 1


def test_unknown_scheme_lists_the_packages_stores(installed):
    with pytest.raises(ConfigError, match="unknown store nichts://. The stores are .*farbspeicher"):
        imgsearch.connect("nichts://x")
