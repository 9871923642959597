"""Operators are resolved locally; Towhee's own ways of local resolution still work."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from imgsearch.errors import ConfigError, OperatorNotFound
from imgsearch.towhee import Pipeline, operator_folders
from imgsearch.towhee.imports import towhee


def normalize_with(operator):
    closed = Pipeline.input("v").map("v", "u", operator).output("u")
    return closed(np.array([3.0, 4.0])).get()[0]


@pytest.mark.parametrize(
    "operator",
    [towhee.ops.image_captioning.blip(), towhee.ops.nobody.normalise(), towhee.ops.mystery()],
)
def test_operator_that_towhee_would_download_is_rejected(operator):
    with pytest.raises(OperatorNotFound, match="hub no longer exists"):
        Pipeline.input("v").map("v", "u", operator).output("u")


def test_folder_in_towhees_operator_folder_is_used(tmp_path, monkeypatch):
    folder = tmp_path / "operators/acme/normalize/versions/main"
    shutil.copytree(operator_folders() / "normalize", folder)
    monkeypatch.setenv("TOWHEE_HOME", str(tmp_path))
    assert normalize_with(towhee.ops.acme.normalize()).tolist() == pytest.approx([0.6, 0.8])


def test_folder_in_the_working_directory_is_used_as_local(tmp_path, monkeypatch):
    shutil.copytree(operator_folders() / "normalize", tmp_path / "normalize")
    monkeypatch.setenv("TEST_OP_CACHE", str(tmp_path))
    assert normalize_with(towhee.ops.local.normalize()).tolist() == pytest.approx([0.6, 0.8])


def test_folder_that_makes_towhee_run_pip_is_rejected(tmp_path, monkeypatch):
    shutil.copytree(operator_folders() / "normalize", tmp_path / "normalize")
    (tmp_path / "normalize/requirements.txt").write_text("six\n")
    monkeypatch.setenv("TEST_OP_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"requirements\.txt"):
        normalize_with(towhee.ops.local.normalize())


def test_towhee_alone_finds_our_operators_by_name():
    closed = towhee.pipe.input("v").map("v", "u", towhee.ops.imgsearch.normalize()).output("u")
    assert closed(np.array([3.0, 4.0])).get()[0].tolist() == pytest.approx([0.6, 0.8])


def test_no_pip_is_run_and_no_socket_opened(tmp_path):
    """Insert and search in a fresh process that reports every process and every connection."""
    script = textwrap.dedent("""
        import sys
        seen = []
        sys.addaudithook(lambda event, args: seen.append((event, str(args)[:200])) if event in
            ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect",
             "socket.getaddrinfo") else None)
        import numpy as np
        from PIL import Image
        import imgsearch
        for place in range(3):
            pixels = np.random.default_rng(place).integers(0, 255, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{place}.png")
        imgsearch.insert_pipeline("memory://audit")("*.png")
        hits = imgsearch.search_pipeline("memory://audit")("1.png")[0]["hits"]
        assert hits[0].fields["path"].endswith("1.png"), hits
        try:
            from imgsearch.towhee.imports import towhee
            unknown = towhee.ops.nobody.nothing()
            imgsearch.towhee.Pipeline.input("x").map("x", "y", unknown).output("y")
        except imgsearch.errors.OperatorNotFound:
            pass
        print(seen)
    """)
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
