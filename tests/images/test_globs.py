"""Globs match as pathlib's do, in order, and without listing all folders first."""

import os
from itertools import islice
from pathlib import Path

import pytest

from imgsearch.images import globs

PATTERNS = (
    "*.jpg", "**/*.jpg", "**", "*", "?/*", "a/**/c/*.jpg", "a/**", "**/b/**/*.jpg", "[ab]/*.jpg",
    "*/*/*", "**/c/../*.jpg", ".*/*", "**/.x/*", "**/**/*.jpg", "*/b/k.jpg", "link/*", "l*/*",
    "nothing/*", "größe/*", "**/*[", "a*", "*.jpg/*",
)  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a folder with nested folders, hidden names, links and a folder called *.jpg."""
    root = tmp_path_factory.mktemp("tree")
    for name in (
        "k.jpg", "z.txt", "a/k.jpg", "a/b/k.jpg", "a/b/c/k.jpg", "a/b/c/d/k.jpg", "b/k.jpg",
        "a.jpg/in.jpg", ".x/k.jpg", "a/.x/k.jpg", ".k.jpg", "größe/ü.jpg", "a-b/k.jpg", "q[",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "link").symlink_to(root / "a", target_is_directory=True)
    (root / "b/loop").symlink_to(root, target_is_directory=True)
    (root / "dead.jpg").symlink_to(root / "missing.jpg")
    (root / "file.jpg").symlink_to(root / "k.jpg")
    return root


def oracle(root, pattern):
    """Return the matches of pathlib, which lists everything before the first one."""
    parts = [*Path(pattern).parts]
    if parts[-1] == "**":
        parts.append("*")
    hidden = any(part.startswith(".") for part in parts)
    return sorted(
        path
        for path in set(root.glob(str(Path(*parts))))
        if (hidden or not any(part.startswith(".") for part in path.relative_to(root).parts))
        and not path.is_dir()
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_matches_are_those_of_pathlib_in_order(tree, pattern):
    assert list(globs.matches(tree / pattern)) == oracle(tree, pattern)


def test_relative_patterns_give_relative_paths(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert [str(path) for path in globs.matches(Path("a/*.jpg"))] == ["a/k.jpg"]
    assert [str(path) for path in islice(globs.matches(Path("*.jpg")), 1)] == ["dead.jpg"]


def test_the_first_match_needs_no_other_folder(tree, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))
    first = next(globs.matches(tree / "**/*.jpg"))
    assert first == tree / "a/b/c/d/k.jpg"
    assert str(tree / "b") not in listed


def test_deep_folders_are_walked(tmp_path):
    deep = tmp_path
    for _ in range(60):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "k.jpg").touch()
    assert list(globs.matches(tmp_path / "**/*.jpg")) == [deep / "k.jpg"]
