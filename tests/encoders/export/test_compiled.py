"""Compiled models are kept, checked, and replaced if they are damaged or outdated."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from imgsearch.encoders.export import engines
from imgsearch.encoders.export.compiled import Entry, stamp

ONNX = pytest.importorskip("onnx", reason="the model is made with the extra onnx")


@pytest.fixture
def entry(tmp_path):
    return Entry(tmp_path / "größe" / "model.bin", {"version": "1", "sizes": [[1, 2]]})


def double():
    """Return an ONNX model that doubles float32 rows of two numbers."""
    helper, kind = ONNX.helper, ONNX.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", kind, ["n", 2])],
        [helper.make_tensor_value_info("y", kind, ["n", 2])],
        [helper.make_tensor("two", kind, [1], [2.0])],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def save_openvino(folder):
    """Write an OpenVINO model that doubles float32 rows of two numbers; return its file."""
    openvino = engines.openvino_module()
    (folder / "model.onnx").write_bytes(double())
    file = folder / "model.xml"
    openvino.save_model(openvino.Core().read_model(folder / "model.onnx"), file)
    return file


ROWS = np.float32([[1, 2], [3, -4]])


def test_content_is_read_as_it_was_written(entry):
    assert entry.read() is None
    for content in (b"model", b"", b"a\nb\n"):
        entry.write(content)
        assert entry.read() == content
    assert [file.name for file in entry.file.parent.iterdir()] == ["model.bin"]


def test_content_of_another_key_is_ignored(entry):
    entry.write(b"model")
    assert Entry(entry.file, {**entry.key, "version": "2"}).read() is None


@pytest.mark.parametrize("place", [0, 5, -1])
def test_damaged_content_is_ignored(entry, place):
    entry.write(b"model")
    content = bytearray(entry.file.read_bytes())
    content[place] ^= 1
    entry.file.write_bytes(content)
    assert entry.read() is None


@pytest.mark.parametrize("kept", [0, 1, 30, -1])
def test_truncated_content_is_ignored(entry, kept):
    entry.write(b"model")
    entry.file.write_bytes(entry.file.read_bytes()[:kept])
    assert entry.read() is None


def test_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    entry = Entry(tmp_path / "file" / "model.bin", {})
    entry.write(b"model")
    assert entry.read() is None


def test_concurrent_writers_leave_one_whole_file(entry):
    contents = [bytes([letter]) * 100_000 for letter in b"abcd"]
    threads = [threading.Thread(target=entry.write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entry.read() in contents
    assert len(list(entry.file.parent.iterdir())) == 1


def test_optimized_onnx_model_is_built_once(tmp_path):
    built = []

    def model():
        built.append(1)
        return double()

    file = tmp_path / "optimized" / "double.onnx"
    for _ in range(2):
        engine = engines.optimized_onnx(model, file, {"weights": "a"})
        np.testing.assert_array_equal(engine.run(ROWS), 2 * ROWS)
    assert len(built) == 1
    engines.optimized_onnx(model, file, {"weights": "b"})
    assert len(built) == 2
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(
        engines.optimized_onnx(model, file, {"weights": "b"}).run(ROWS), 2 * ROWS
    )
    assert file.read_bytes() == whole


def test_openvino_model_is_compiled_once(tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino")
    file = save_openvino(tmp_path)
    first = engines.OpenVino(file, "f32").run(ROWS)
    (kept,) = tmp_path.glob("*.compiled")
    inode = kept.stat().st_ino
    np.testing.assert_array_equal(engines.OpenVino(file, "f32").run(ROWS), first)
    assert kept.stat().st_ino == inode  # read, not replaced
    np.testing.assert_array_equal(first, 2 * ROWS)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "older"])
def test_openvino_model_is_compiled_again_if_the_kept_one_is_unusable(tmp_path, damage):
    pytest.importorskip("openvino", reason="the extra openvino")
    file = save_openvino(tmp_path)
    engines.OpenVino(file, "f32")
    (kept,) = tmp_path.glob("*.compiled")
    header, _, content = kept.read_bytes().partition(b"\n")
    if damage == "truncated":
        kept.write_bytes(header + b"\n" + content[:-9])
    elif damage == "older":
        os.utime(file, ns=(1, 1))
    else:  # a valid checksum, but OpenVINO rejects the content
        from imgsearch.text import load_json

        Entry(kept, load_json(header)["key"]).write(b"no model")
    inode = kept.stat().st_ino
    np.testing.assert_array_equal(engines.OpenVino(file, "f32").run(ROWS), 2 * ROWS)
    assert kept.stat().st_ino != inode


START = """
import sys
from pathlib import Path
import numpy as np
from imgsearch.encoders.export import engines
rows = np.float32([[1, 2]])
assert (engines.OpenVino(Path(sys.argv[1]), "f32").run(rows) == 2 * rows).all()
"""


def test_processes_that_start_together_compile_or_read(tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino")
    file = save_openvino(tmp_path)
    starts = [
        subprocess.Popen([sys.executable, "-c", START, file], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for start in starts:
        assert start.communicate()[1] == b""
        assert start.returncode == 0
    assert len(list(tmp_path.glob("*.compiled"))) == 1


def test_stamp_changes_with_a_file(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"a")
    before = stamp(file)
    file.write_bytes(b"ab")
    assert stamp(file) != before
