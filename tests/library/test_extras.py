"""Extras are read from the metadata of the installed distribution."""

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


def test_own_distribution_has_all_its_extras():
    core, *rest = extras()
    assert core.name == ""
    assert "towhee" in core.installed
    assert {"service", "torch", "ui"} <= {extra.name for extra in rest}
