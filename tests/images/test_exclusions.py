"""Files that a walk passes over."""

import os

import pytest

from imgsearch.errors import ConfigError
from imgsearch.images import sources
from imgsearch.images.exclusions import Exclusions
from tests.pictures import write


def walked(root, *exclude):
    """Return the relative paths of images, and of files that are passed over."""
    ignored = []
    images = sources.references(root, exclude=exclude, on_ignored=ignored.append)
    names = [os.path.relpath(reference.path, root) for reference in images]
    assert sources.count(root, exclude=exclude) == len(names) + len(ignored)
    return names, sorted(os.path.relpath(path, root) for path in ignored)


@pytest.fixture
def root(tmp_path):
    (picture,) = write(tmp_path / "from", 1)
    root = tmp_path / "[fotos] größe"
    for name in (
        "a.jpg", "a.tmp.jpg", "@eaDir/x.jpg", "#recycle/x.jpg", ".Trash-1000/x.jpg", "._a.jpg",
        "node_modules/x.jpg", ".git/x.jpg", ".hidden.jpg", "raw/b.jpg", "sub/raw/c.jpg",
        "sub/d.jpg",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture.read_bytes())
    return root


ALWAYS = ["#recycle", ".Trash-1000", "._a.jpg", ".git", ".hidden.jpg", "@eaDir", "node_modules"]


def test_folders_of_other_programs_and_hidden_names_are_passed_over(root):
    names, ignored = walked(root)
    assert names == ["a.jpg", "a.tmp.jpg", "raw/b.jpg", "sub/d.jpg", "sub/raw/c.jpg"]
    assert ignored == ALWAYS


def test_patterns_have_the_syntax_of_gitignore(root):
    names, ignored = walked(root, "*.tmp.*", "/raw/", "!node_modules")
    assert names == ["a.jpg", "node_modules/x.jpg", "sub/d.jpg", "sub/raw/c.jpg"]
    assert sorted([*ignored, "node_modules"]) == sorted([*ALWAYS, "a.tmp.jpg", "raw"])
    assert walked(root, "raw", "sub/*.jpg")[0] == ["a.jpg", "a.tmp.jpg"]


def test_ignore_files_apply_below_their_folder_and_the_callers_patterns_win(root):
    (root / ".imgsearchignore").write_text("# größe\n*.tmp.jpg\nd.jpg\n")
    (root / "sub/.imgsearchignore").write_text("!d.jpg\nraw\n")
    assert walked(root)[0] == ["a.jpg", "raw/b.jpg", "sub/d.jpg"]
    assert walked(root, "!a.tmp.jpg", "raw")[0] == ["a.jpg", "a.tmp.jpg", "sub/d.jpg"]


def test_globs_are_filtered_by_the_callers_patterns(root):
    pattern = str(root).replace("[", "[[]") + "/**/*.jpg"
    every = [reference.path for reference in sources.references(pattern)]
    rest = [reference.path for reference in sources.references(pattern, exclude=["raw/", "a.*"])]
    assert [os.path.relpath(path, root) for path in every] == walked(root)[0]
    assert [path for path in every if "raw" not in path and "/a." not in path] == rest
    named = list(sources.references(str(root / "@eaDir/*.jpg").replace("[", "[[]")))
    assert len(named) == 0


def test_invalid_pattern_is_an_error():
    with pytest.raises(ConfigError, match="invalid pattern"):
        Exclusions.of("/", ["!"])
