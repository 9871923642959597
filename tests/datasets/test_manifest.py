"""Manifests list the files of a dataset, and a folder is checked against them."""

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from imgsearch.datasets.manifest import File, Manifest, Verdict
from imgsearch.errors import DatasetError
from tests.unprivileged import unprivileged

SUBSET = Path(__file__).parents[3] / "shared" / "data" / "imagenet-subset"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of no bytes
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


@pytest.fixture
def folder(tmp_path):
    for path, content in {"train/fuchs/1.jpg": b"abc", "test/füchse/2.jpg": b""}.items():
        (tmp_path / "set" / path).parent.mkdir(parents=True)
        (tmp_path / "set" / path).write_bytes(content)
    (tmp_path / "set/.DS_Store").write_bytes(b"hidden")
    return tmp_path / "set"


def parsed(*lines):
    return Manifest.parse("\n".join(("path\tsize\tsha256", *lines, "")))


def test_manifest_of_a_folder_round_trips(folder):
    manifest = Manifest.of(folder)
    assert manifest.text() == (
        f"path\tsize\tsha256\ntest/füchse/2.jpg\t0\t{EMPTY}\ntrain/fuchs/1.jpg\t3\t{ABC}\n"
    )
    assert Manifest.parse(manifest.text()) == manifest
    assert Manifest.parse(manifest.text().replace("\n", "\r\n")) == manifest
    assert manifest.total == 3
    assert manifest.files["train/fuchs/1.jpg"] == File("train/fuchs/1.jpg", 3, ABC)


def test_check_returns_good_missing_wrong_and_extra_files(folder):
    manifest = Manifest.of(folder)
    right = ("test/füchse/2.jpg", "train/fuchs/1.jpg")
    assert manifest.check(folder) == Verdict(right, (), (), ())
    (folder / "train/fuchs/1.jpg").write_bytes(b"abd")
    (folder / "test/füchse/2.jpg").unlink()
    (folder / "test/füchse/neu.jpg").write_bytes(b"abc")
    (folder / "train/.cache").mkdir()
    (folder / "train/.cache/x").write_bytes(b"")
    verdict = manifest.check(folder)
    assert verdict == Verdict(
        (), ("test/füchse/2.jpg",), ("train/fuchs/1.jpg",), ("test/füchse/neu.jpg",)
    )
    assert not verdict.complete


def test_folder_or_a_pipe_in_a_files_place_is_wrong(folder):
    manifest = Manifest.of(folder)
    (folder / "train/fuchs/1.jpg").unlink()
    os.mkfifo(folder / "train/fuchs/1.jpg")  # reading it would block
    (folder / "test/füchse/2.jpg").unlink()
    (folder / "test/füchse/2.jpg").mkdir()
    assert manifest.check(folder).wrong == ("test/füchse/2.jpg", "train/fuchs/1.jpg")


def test_missing_folder_lacks_every_file(folder, tmp_path):
    verdict = Manifest.of(folder).check(tmp_path / "nirgends")
    assert (len(verdict.missing), verdict.extra) == (2, ())
    (folder / "train/fuchs/1.jpg").unlink()
    (folder / "train/fuchs").rmdir()
    (folder / "train/fuchs").write_bytes(b"a file where a folder was")
    (folder / "test/füchse/2.jpg").write_bytes(b"")
    assert parsed(f"train/fuchs/1.jpg\t3\t{ABC}").check(folder).missing == ("train/fuchs/1.jpg",)


def test_name_of_another_form_of_unicode_is_the_same_file(tmp_path):
    apart = unicodedata.normalize("NFD", "füchse")
    assert apart != "füchse"
    (tmp_path / apart).mkdir()
    (tmp_path / apart / "1.jpg").write_bytes(b"abc")
    manifest = Manifest.of(tmp_path)
    assert list(manifest.files) == ["füchse/1.jpg"]
    assert manifest.check(tmp_path).extra == ()


def test_unreadable_file_raises(folder):
    manifest = Manifest.of(folder)
    with unprivileged(folder) as copy:
        (copy / "train/fuchs/1.jpg").chmod(0)
        with pytest.raises(DatasetError, match=r"1\.jpg cannot be read"):
            manifest.check(copy)
        with pytest.raises(DatasetError, match=r"1\.jpg cannot be read"):
            Manifest.of(copy)
        (copy / "train/fuchs").chmod(0o600)
        with pytest.raises(DatasetError, match="cannot be"):
            manifest.check(copy)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../a",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "",
        "C:/a",
        "C:a",
        "a\\b",
        "a\x00b",
        "a\x1bb",
        "a./b",
        "a /b",
        "what?",
        unicodedata.normalize("NFD", "ü"),
    ],
)
def test_manifest_with_paths_outside_the_folder_is_rejected(path):
    with pytest.raises(DatasetError, match="line 2"):
        parsed(f"{path}\t0\t{EMPTY}")


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a\t0",
        f"a\t-1\t{EMPTY}",
        f"a\t²\t{EMPTY}",
        f"a\t{'9' * 16}\t{EMPTY}",
        f"a\t0\t{EMPTY[1:]}",
        f"a\t0\t{EMPTY.upper()}",
        f"a\t0\t{EMPTY}\t",
        "",
    ],
)
def test_manifest_with_invalid_lines_is_rejected(line):
    with pytest.raises(DatasetError, match="line 2"):
        parsed(line)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b.jpg", "a/B.JPG"), ("straße", "STRASSE"), ("É", "é"), ("a", "a/b"), ("A", "a/b/c")],
)
def test_manifest_with_two_paths_for_one_file_is_rejected(one, other):
    with pytest.raises(DatasetError, match="one file|is a file, and the folder"):
        parsed(f"{one}\t0\t{EMPTY}", f"{other}\t0\t{EMPTY}")


def test_manifest_with_a_repeated_path_is_rejected():
    with pytest.raises(DatasetError, match="line 3 repeats a"):
        parsed(f"a\t0\t{EMPTY}", f"a\t3\t{ABC}")


@pytest.mark.parametrize("content", [b"", b"id,path,label\n", b"path\tsize\tsha256\n", b"\xff"])
def test_error_names_an_invalid_manifest(tmp_path, content):
    (tmp_path / "liste.tsv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"liste\.tsv"):
        Manifest.read(tmp_path / "liste.tsv")


def test_names_that_some_systems_change_are_rejected(tmp_path):
    with pytest.raises(DatasetError, match="holds no files"):
        Manifest.of(tmp_path)
    (tmp_path / "a\nb").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"'a\\nb' is not safe"):
        Manifest.of(tmp_path)


def test_package_contains_the_manifest_of_the_subset():
    manifest = Manifest.published("imagenet-subset")
    kinds = [path.split("/")[0] for path in manifest.files]
    assert [kinds.count(kind) for kind in ("train", "test", "reverse_image_search.csv")] == [
        1000,
        100,
        1,
    ]
    assert len({path.split("/")[1] for path in manifest.files if "/" in path}) == 100
    with pytest.raises(DatasetError, match="no manifest of 'anderes'"):
        Manifest.published("anderes")


@pytest.mark.skipif(not SUBSET.is_dir(), reason="no ../shared/data/imagenet-subset at hand")
def test_manifest_of_the_subset_matches_the_real_files():
    manifest = Manifest.published("imagenet-subset")
    verdict = manifest.check(SUBSET)
    assert (len(verdict.good), verdict.complete, verdict.extra) == (1101, True, ())
    sample = sorted(SUBSET.glob("test/*/*"))[42]  # hashed with hashlib, not with the module
    listed = manifest.files[sample.relative_to(SUBSET).as_posix()]
    assert hashlib.sha256(sample.read_bytes()).hexdigest() == listed.sha256
