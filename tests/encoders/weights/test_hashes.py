"""Remembered hashes: an unchanged file is not read again, a changed file always is."""

import hashlib
import os

import pytest

from imgsearch.encoders.weights import files, hashes
from imgsearch.errors import WeightsNotFound


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "_known", {})
    return tmp_path / "cache/hashes"


@pytest.fixture
def later(monkeypatch):
    """Set the clock of `hashes` ahead, so that new files count as settled."""
    monkeypatch.setattr(hashes, "_RECENT", -1.0)


@pytest.fixture
def read(monkeypatch):
    """Return the list of the files that are hashed."""
    paths, real = [], files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: paths.append(path) or real(path))
    return paths


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "gewichte-ü.safetensors"
    path.write_bytes(b"numbers")
    return path


def digest(content):
    return hashlib.sha256(content).hexdigest()


def test_unchanged_file_is_read_once_also_by_the_next_process(file, later, read, monkeypatch):
    for _ in range(2):
        assert hashes.sha256(file) == digest(b"numbers")
    monkeypatch.setattr(hashes, "_known", {})  # as in another process
    assert hashes.sha256(file) == digest(b"numbers")
    assert read == [file]


@pytest.mark.parametrize("process", ["same", "other"])
def test_file_edited_in_place_with_its_old_time_is_read_again(file, later, monkeypatch, process):
    hashes.sha256(file)
    status = file.stat()
    while file.stat().st_ctime_ns == status.st_ctime_ns:  # until the clock of the disk moves
        with file.open("r+b") as stream:
            stream.write(b"N")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        status.st_size, status.st_mtime_ns, status.st_ino,
    )  # fmt: skip
    if process == "other":
        monkeypatch.setattr(hashes, "_known", {})
    assert hashes.sha256(file) == digest(b"Numbers")


def test_file_that_replaces_another_is_read_again(file, later, tmp_path):
    hashes.sha256(file)
    status = file.stat()
    other = tmp_path / "other"
    other.write_bytes(b"numBers")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert hashes.sha256(file) == digest(b"numBers")


def test_hash_of_a_file_that_has_just_changed_is_not_remembered(file, read, cache):
    for _ in range(2):
        hashes.sha256(file)
    assert read == [file, file]
    assert not cache.exists()


def test_hash_of_a_file_that_changes_while_it_is_read_is_not_remembered(file, later, monkeypatch):
    real = files.sha256

    def slow(path):
        content = real(path)
        path.write_bytes(b"a longer content")
        return content

    monkeypatch.setattr(files, "sha256", slow)
    hashes.sha256(file)
    monkeypatch.setattr(files, "sha256", real)
    assert hashes.sha256(file) == digest(b"a longer content")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stamp": 1, "sha256": 2}', b"\xff"])
def test_damaged_memory_is_replaced(file, later, cache, monkeypatch, content):
    hashes.sha256(file)
    (memory,) = cache.iterdir()
    whole = memory.read_bytes()
    memory.write_bytes(content)
    monkeypatch.setattr(hashes, "_known", {})
    assert hashes.sha256(file) == digest(b"numbers")
    assert memory.read_bytes() == whole


def test_hash_is_computed_if_the_cache_cannot_be_written(file, later, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "a file"))
    assert hashes.sha256(file) == digest(b"numbers")


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(WeightsNotFound, match="cannot read"):
        hashes.sha256(tmp_path / "missing")
