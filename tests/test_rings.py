"""The fast ring rejects heavy packages; the groups that start first exist."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from imgsearch.distribution import is_installed
from tests.rings import FIRST, MODULES, Refuse


def test_fast_ring_finds_heavy_packages_and_rejects_their_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "selenium", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])
    assert is_installed("selenium")
    with pytest.raises(AssertionError, match="imports selenium"):
        import_module("selenium")
    assert "selenium" not in sys.modules


def test_groups_that_start_first_exist():
    root, torch = Path(__file__).parents[1], {Path(module).parts[0] for module in MODULES["torch"]}
    groups = {"servers", "browser", *(f"torch/{folder}" for folder in torch)}
    assert [name for name in FIRST if name not in groups and not (root / name).is_file()] == []
