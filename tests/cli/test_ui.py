"""The command of the page names missing packages at once."""

import sys

import pytest


@pytest.mark.parametrize("package", ["gradio", "sqlalchemy", "fastapi"])
def test_missing_package_is_reported_with_one_install_line(run, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    done = run("ui", "--data", "archiv")
    assert done.exit_code == 1
    assert f"the page needs {package}" in done.stderr
    assert "pip install '.[ui]'" in done.stderr
    assert list(tmp_path.iterdir()) == []
