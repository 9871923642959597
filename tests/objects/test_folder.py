"""A folder of originals is private, consistent after a kill, and follows no links."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch.errors import ConfigError, ObjectNotFound, ObjectStoreError
from imgsearch.objects import connect
from tests.objects.shelf import jpeg
from tests.unprivileged import unprivileged

ROOT = Path(__file__).parents[2]


def entries(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())


def test_only_the_owner_can_read_the_folder(tmp_path):
    folder = tmp_path / "größe"
    content, data = jpeg(1)
    before = os.umask(0)
    try:
        with connect(str(folder)) as store:
            store.put(content, data, "image/jpeg")
            store.put_thumbnail(content, 64, b"small")
    finally:
        os.umask(before)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_originals_are_spread_over_folders_by_hash(tmp_path):
    content, data = jpeg(1)
    with connect(tmp_path.as_uri()) as store:
        store.put(content, data, "image/jpeg")
        store.put_thumbnail(content, 64, b"small")
        assert store.url == tmp_path.as_uri()
    assert entries(tmp_path) == [
        Path("originals", content[:2], content),
        Path("thumbnails/64", content[:2], content),
    ]


# the process is killed after the bytes are written, before fsync or before the rename
@pytest.mark.parametrize("step", ["fsync", "rename"])
@pytest.mark.parametrize("what", ["original", "thumbnail"])
def test_killed_write_leaves_no_partial_file(tmp_path, step, what):
    content, data = jpeg(1)
    (tmp_path / "bild").write_bytes(data)
    store = connect(str(tmp_path / "o"))
    store.put(*jpeg(2), "image/jpeg")  # creates the folders, because their fsync would come first
    store.put_thumbnail(content, 64, b"first")
    other = next(seed for seed in range(3, 5000) if digest(seed)[:2] == content[:2])
    store.put(digest(other), b"%d" % other, "image/jpeg")
    code = f"""
import os, pathlib, signal
from imgsearch.objects import connect
store = connect({str(tmp_path / "o")!r})
os.{step} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if {what == "original"}:
    store.put({content!r}, pathlib.Path({str(tmp_path / "bild")!r}).read_bytes(), "image/jpeg")
else:
    store.put_thumbnail({content!r}, 64, b"second")
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL
    assert not store.exists(content)
    assert content not in dict(store.contents())
    assert store.thumbnail(content, 64) == b"first"
    assert len(list((tmp_path / "o/unfinished").iterdir())) == 1
    store.put(content, data, "image/jpeg")
    assert store.get(content) == data


def digest(seed):
    return hashlib.sha256(b"%d" % seed).hexdigest()


def test_old_unfinished_files_are_removed(tmp_path):
    connect(str(tmp_path)).close()
    for name, age in (("old", 3700), ("young", 60)):  # seconds; a write takes less than an hour
        (tmp_path / "unfinished" / name).write_bytes(b"half")
        os.utime(tmp_path / "unfinished" / name, (0, (tmp_path.stat().st_mtime - age)))
    connect(str(tmp_path)).close()
    assert entries(tmp_path) == [Path("unfinished/young")]


def test_put_resets_the_age_and_repairs_a_wrong_length(tmp_path):
    content, data = jpeg(1)
    store = connect(str(tmp_path))
    store.put(content, data, "image/jpeg")
    path = tmp_path / "originals" / content[:2] / content
    os.utime(path, (0, path.stat().st_mtime - 7200))
    assert dict(store.contents())[content] == pytest.approx(7200, abs=60)
    store.put(content, data, "image/jpeg")
    assert dict(store.contents())[content] < 60
    path.write_bytes(data[:100])
    store.put(content, data, "image/jpeg")
    assert store.get(content) == data


def test_symbolic_links_are_not_followed(tmp_path):
    content, data = jpeg(1)
    outside = tmp_path / "außen"
    outside.mkdir()
    (outside / content).write_bytes(b"secret")
    (tmp_path / "o").mkdir()
    store = connect(str(tmp_path / "o"))
    shard = tmp_path / "o/originals" / content[:2]
    shard.mkdir()
    (shard / content).symlink_to(outside / content)
    assert not store.exists(content)
    assert list(store.contents()) == []
    with pytest.raises(ObjectStoreError, match="in its place") as refused:
        store.get(content)
    assert not isinstance(refused.value, ObjectNotFound)
    store.put(content, data, "image/jpeg")  # replaces the link
    assert store.get(content) == data
    store.delete(content)

    shard.rmdir()
    shard.symlink_to(outside)
    for use in (
        lambda: store.put(content, data, "image/jpeg"),
        lambda: store.get(content),
        lambda: store.exists(content),
        lambda: store.delete(content),
        lambda: list(store.contents()),
    ):
        with pytest.raises(ObjectStoreError, match="in its place"):
            use()
    assert (outside / content).read_bytes() == b"secret"
    assert entries(outside) == [Path(content)]


def test_foreign_files_are_ignored(tmp_path):
    content, data = jpeg(1)
    with connect(str(tmp_path)) as store:
        store.put(content, data, "image/jpeg")
        (tmp_path / "originals/.DS_Store").write_bytes(b"")
        (tmp_path / "originals" / content[:2] / "notes.txt").write_bytes(b"")
        (tmp_path / "thumbnails/.DS_Store").write_bytes(b"")
        assert [key for key, _ in store.contents()] == [content]
        store.delete(content)
    assert len(entries(tmp_path)) == 3


def test_folder_has_no_links(tmp_path):
    with connect(str(tmp_path)) as store:
        assert store.link(jpeg(1)[0], 60, name="bild.jpg") is None


def test_invalid_folder_raises(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ObjectStoreError, match="cannot open originals in .*file: "):
        connect(str(tmp_path / "file"))
    with pytest.raises(ObjectStoreError, match="No such file"):
        connect(str(tmp_path / "not/there"))
    for url in ("", "file://host/abs", "file:relative://", "ftp://host/x", "a\0b", "~nobody-ü/x"):
        with pytest.raises(ConfigError):
            connect(url)


def test_unmounted_disk_raises(tmp_path):
    content, data = jpeg(1)
    store = connect(str(tmp_path / "o"))
    store.put(content, data, "image/jpeg")
    for folder in ("o", "o/originals"):  # unmounted: the folder is missing or empty
        (tmp_path / folder).rename(tmp_path / "away")
        for use in (
            store.ping,
            lambda: store.exists(content),
            lambda: store.get(content),
            lambda: store.put(content, data, "image/jpeg"),
            lambda: store.delete(content),
            lambda: list(store.contents()),
        ):
            with pytest.raises(ObjectStoreError, match="are missing") as error:
                use()
            assert not isinstance(error.value, ObjectNotFound)
        (tmp_path / "away").rename(tmp_path / folder)
    assert store.get(content) == data


def test_folder_without_write_permission_raises(tmp_path):
    content, data = jpeg(1)
    with unprivileged(tmp_path) as place:
        store = connect(str(place / "o"))
        (place / "o/originals").chmod(0o500)
        with pytest.raises(ObjectStoreError, match="cannot write originals in .*: Permission"):
            store.put(content, data, "image/jpeg")
        (place / "o/originals").chmod(0o700)
        assert list(store.contents()) == []
