"""The fast ring rejects heavy packages, which other tests may need."""

import sys
from importlib import import_module

import pytest

from imgsearch.distribution import is_installed
from tests.rings import Refuse


def test_fast_ring_finds_heavy_packages_and_rejects_their_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "selenium", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])
    assert is_installed("selenium")
    with pytest.raises(AssertionError, match="imports selenium"):
        import_module("selenium")
    assert "selenium" not in sys.modules
