"""Removal by id, path, folder or glob, of existing and deleted files."""

import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.backends import Schema, connect
from imgsearch.errors import ConfigError
from imgsearch.filters import StartsWith
from imgsearch.library.removal import named_ids
from imgsearch.types import Record
from tests.pictures import write

PATHS = [
    "/a/b/1.jpg",
    "/a/b/c/2.jpg",
    "/a/b/c/3.png",
    "/a/bc/4.jpg",
    "/a/b%/5.jpg",
    "/a/b_/6.jpg",
    "/a/2*2/7.jpg",
    "/a/232/8.jpg",
    "/a/[x]/9.jpg",
    "/a/.hidden/10.jpg",
    "/ä/größe.jpg",
    "/a/\\udcff/12.jpg",
]


@pytest.fixture(scope="module")
def collection():
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        images = store.create("images", Schema(2, fields={"path": "str"}))
        vector = np.array([1, 0], dtype=np.float32)
        images.upsert(
            Record(f"{n:064x}", vector, {"path": path}) for n, path in enumerate(PATHS, 1)
        )
        yield images


@pytest.mark.parametrize(
    ("target", "numbers"),
    [
        ("/a/b/1.jpg", [1]),
        ("/a/b/../b/1.jpg", [1]),
        ("/a/b", [1, 2, 3]),
        ("/a/b/", [1, 2, 3]),
        ("/a/b/c", [2, 3]),
        ("/", list(range(1, 13))),
        ("/a/b%", [5]),
        ("/a/b_", [6]),
        ("/a/2*2", [7]),
        ("/a/2*2/7.jpg", [7]),
        ("/a/[x]", [9]),
        ("/a/2?2", [7, 8]),
        ("/a/b/*.jpg", [1]),
        ("/a/b/*", [1, 2, 3]),
        ("/a/b/**/*.jpg", [1, 2]),
        ("/a/b/**", [1, 2, 3]),
        ("/a/b*/*.jpg", [1, 4, 5, 6]),
        ("/a/*/10.jpg", []),
        ("/a/.*/10.jpg", [10]),
        ("/a/b*", [1, 2, 3, 4, 5, 6]),
        ("/ä", [11]),
        ("/a/\udcff", [12]),
        (Path("/a/b/c"), [2, 3]),
        (f"{4:064x}", [4]),
        ("/a/b/1.jp", []),
        ("/a/B", []),
        ("nope", []),
        ("~niemand/x.jpg", []),
        ("/a/b/\0", []),
        ("f" * 64, []),
        (f"{4:064x}#1", []),
    ],
)
@pytest.mark.parametrize("prefixes", [True, False])
def test_target_selects_records(collection, monkeypatch, target, numbers, prefixes):
    monkeypatch.setattr(
        type(collection),
        "translates",
        lambda _self, leaf: prefixes or not isinstance(leaf, StartsWith),
    )
    missing = []
    ids = named_ids(collection, [target], missing.append)
    assert sorted(int(id_, 16) for id_ in ids) == numbers
    assert missing == ([] if numbers else [str(target)])


def test_targets_are_combined_and_missing_ones_reported(collection):
    missing = []
    targets = ["/a/b/1.jpg", "nope", "/a/b", f"{1:064x}", "nope", *(f"/n/{n}" for n in range(20))]
    ids = named_ids(collection, targets, missing.append)
    assert sorted(int(id_, 16) for id_ in ids) == [1, 2, 3]
    assert missing == ["nope", *(f"/n/{n}" for n in range(20))]


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("/e\u0301/\xf6.jpg", 1),
        ("/\xe9/o\u0308.jpg", 1),
        ("/\xe9", 2),
        ("/e\u0301/*", 2),
        ("/x/\xf6.jpg", 1),
        ("/x/o\u0308.jpg", 1),
    ],
)
def test_name_matches_in_both_unicode_forms(target, number):
    paths = ["/e\u0301/\xf6.jpg", "/\xe9/2.jpg", "/x/\xf6.jpg", "/x/o\u0308.jpg"]
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        images = store.create("images", Schema(2, fields={"path": "str"}))
        vector = np.array([1, 0], dtype=np.float32)
        images.upsert(Record(str(n), vector, {"path": path}) for n, path in enumerate(paths))
        assert len(named_ids(images, [target])) == number


def test_current_folder_name_is_not_a_pattern(collection, tmp_path, monkeypatch):
    here = tmp_path / "[x]*"
    write(here / "tief", 2)
    monkeypatch.chdir(here)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(here)
        assert library.remove("*/*0.png") == 1
        assert library.remove("ti*") == 1


def test_empty_target_is_rejected(collection):
    with pytest.raises(ConfigError, match="empty path"):
        named_ids(collection, ["/a/b", ""])


@pytest.fixture(params=["memory", "embedded"])
def library(request, tmp_path):
    memory = request.param == "memory"
    url = f"memory://{uuid.uuid4().hex}" if memory else tmp_path / "x.db"
    with imgsearch.open(url, model="classic") as opened:
        yield opened


def test_images_of_deleted_files_are_removed_by_folder_and_glob(library, tmp_path):
    photos = tmp_path / "bilder"
    for start, name in enumerate(("100%", "100x", "ur_laub", "urxlaub")):
        write(photos / name, 2, start=2 * start)
    library.add(photos)
    shutil.rmtree(photos)
    assert library.remove(photos / "100%") == 2
    assert library.remove(photos / "ur_laub/*.png") == 2
    assert library.remove("nope") == 0
    assert library.count() == 4
    assert library.remove(photos) == 4
