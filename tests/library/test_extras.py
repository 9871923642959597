"""Extras are read from pyproject.toml, or from the metadata of the installed distribution."""

import pytest

from imgsearch.library.extras import Extra, extras

METADATA = """Metadata-Version: 2.4
Name: beispiel
Version: 1.0
Provides-Extra: ui
Provides-Extra: torch
Provides-Extra: client
Requires-Dist: numpy>=2
Requires-Dist: nichts-davon ; sys_platform == "nirgends"
Requires-Dist: fehlt-hier>=1 ; extra == "torch"
Requires-Dist: click>=1000 ; extra == "torch"
Requires-Dist: rich>=13 ; extra == "client"
Requires-Dist: Beispiel[client] ; extra == "ui"
Requires-Dist: beispiel[ui] ; extra == "client"
Requires-Dist: pillow<99 ; extra == "ui"
"""


@pytest.fixture
def example(tmp_path, monkeypatch):
    folder = tmp_path / "beispiel-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "beispiel"


def test_each_extra_lists_installed_and_missing_packages(example):
    from importlib.metadata import version

    core, client, torch, ui = extras(example)
    assert core == Extra("", {"numpy": version("numpy")})
    assert client.installed == {"rich": version("rich"), "pillow": version("pillow")}
    assert ui.installed == client.installed  # each names the other
    assert ui.missing == client.missing == ()
    assert torch.installed == {}
    assert torch.missing == ("fehlt-hier", f"click {version('click')} instead of >=1000")


def test_distribution_that_is_not_installed_has_no_extras():
    assert extras("gibt-es-nicht") == []


PYPROJECT = """
[project]
name = "towhee-imgsearch"
dependencies = ["numpy>=2", "nichts-davon; sys_platform == 'nirgends'"]
[project.optional-dependencies]
neu = ["fehlt-hier>=1", "click>=1000", "nur-dort; sys_platform == 'nirgends'"]
beide = ["towhee-imgsearch[neu,opencv]"]
opencv = ["opencv-python-headless>=4.11"]
"""


def test_checkout_is_read_from_its_project_file(tmp_path):
    from importlib.metadata import version

    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    core, both, new, opencv = extras(checkout=tmp_path)
    assert core == Extra("", {"numpy": version("numpy")})
    missing = ("fehlt-hier", f"click {version('click')} instead of >=1000")
    assert (new.installed, new.missing) == ({}, missing)
    assert both.missing == (*missing, *opencv.missing)
    assert both.installed == opencv.installed


def test_other_distribution_of_opencv_is_accepted(tmp_path, monkeypatch):
    from importlib import metadata

    def version(name):
        if name == "opencv-contrib-python":
            return "4.12.0"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (opencv,) = [extra for extra in extras(checkout=tmp_path) if extra.name == "opencv"]
    assert opencv == Extra("opencv", {"opencv-contrib-python": "4.12.0"})


@pytest.mark.parametrize(
    "text",
    ["", "[", "[project]", "project = 1", '[project]\nname = "anderes"', "\0",
     '[project]\nname = "towhee-imgsearch"'],
)  # fmt: skip
def test_other_project_file_beside_the_package_is_ignored(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert extras(checkout=tmp_path) == extras(checkout=tmp_path / "fehlt")


def test_own_distribution_has_all_its_extras():
    core, *rest = extras()
    assert core.name == ""
    assert "towhee" in core.installed
    assert {"hash", "opencv", "service", "torch", "ui", "video"} <= {extra.name for extra in rest}
