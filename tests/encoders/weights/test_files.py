import hashlib
import json
import socket
import time
import zipfile

import pytest

from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError, WeightsInvalid, WeightsNotFound


def safetensors(header, payload=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


ROW = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
WHOLE = safetensors(ROW, bytes(8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "git lfs pull"),
        (b"\n <!DOCTYPE html><title>404 \xe4\xb8\xad</title>", "web page"),
        (b"<html><body>Anmelden</body></html>", "web page"),
        (WHOLE[:-1], "truncated"),
        (WHOLE[:20], "truncated in its header"),
        (b"\x00\x01", "not a safetensors file"),
        (b"\xff" * 40, "not a safetensors file"),
        (b"\xff" * 8 + b"{" * 9, "truncated in its header"),
        (safetensors([1, 2]), "not a safetensors file"),
        (b"\x04\x00\x00\x00\x00\x00\x00\x00{nix", "unreadable"),
        (b"\x80\x02}q\x00.", "rename it to gewichte.pth"),
        (b"PK\x03\x04 and no end", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)
def test_files_of_another_kind_raise(tmp_path, content, message):
    path = tmp_path / "gewichte.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsInvalid, match=message):
        files.check(path)


def test_complete_files_are_accepted(tmp_path):
    path = tmp_path / "重み.safetensors"
    path.write_bytes(WHOLE)
    files.check(path)
    archive = tmp_path / "x.pth"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", "b")
    files.check(archive)


@pytest.mark.parametrize("length", [0x80, 0x4B50, 0x8B1F])
def test_header_length_is_not_mistaken_for_another_format(tmp_path, length):
    # the file starts with its header length, here 0x80 like a pickle, "PK" like a zip, or like gzip
    text = json.dumps(ROW).encode().ljust(length)
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + text + bytes(8))
    files.check(path)


def test_safetensors_file_with_another_suffix_raises(tmp_path):
    path = tmp_path / "modèle.bin"
    path.write_bytes(WHOLE)
    with pytest.raises(WeightsInvalid, match=r"rename it to modèle\.safetensors"):
        files.check(path)


def test_sha256_is_computed_from_the_bytes(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(WHOLE)
    assert files.sha256(path) == hashlib.sha256(WHOLE).hexdigest()


def test_only_files_named_as_weights_are_located(tmp_path, monkeypatch):
    with pytest.raises(WeightsNotFound, match="nirgends"):
        files.locate(tmp_path / "nirgends.pth")
    with pytest.raises(WeightsInvalid, match="folder"):
        files.locate(tmp_path)
    (tmp_path / "x.onnx").touch()
    with pytest.raises(WeightsInvalid, match=r"\.safetensors"):
        files.locate(tmp_path / "x.onnx")
    (tmp_path / "Größe.PTH").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.locate("~/Größe.PTH") == (tmp_path / "Größe.PTH").resolve()


def test_link_to_a_nameless_blob_keeps_its_name(tmp_path):
    (tmp_path / "blob").write_bytes(WHOLE)  # the form of files in the hub's cache
    (tmp_path / "model.safetensors").symlink_to("blob")
    assert files.locate(tmp_path / "model.safetensors").name == "model.safetensors"


def test_stamp_changes_with_weights_and_sidecar(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"1")
    stamps = [files.stamp(path)]
    path.write_bytes(b"22")
    stamps.append(files.stamp(path))
    (tmp_path / "x.json").write_text("{}")
    stamps.append(files.stamp(path))
    assert len(set(stamps)) == 3
    assert files.stamp(path) == stamps[-1]


def test_sidecar_holds_options(tmp_path):
    path = tmp_path / "x.safetensors"
    assert files.sidecar(path) == {}
    (tmp_path / "x.json").write_text('{"std": [1, 2, 3], "pad_type": "same", "mean": 0.5}')
    assert files.sidecar(path) == {"mean": 0.5, "pad_type": "same", "std": (1, 2, 3)}


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"a": null}', '{"a": {"b": 1}}', '{"a": ["b"]}', '{"ä": "' + "x" * 70_000]
)
def test_invalid_sidecar_is_rejected(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"x\.json"):
        files.sidecar(tmp_path / "x.safetensors")


def test_options_must_be_plain_values():
    assert list(files.plain_options({"b": [1.5, 2], "a": True})) == ["a", "b"]
    for wrong in ({1: 2}, {"a": None}, {"a": {"b": 1}}, {"a": ["x"]}):
        with pytest.raises(ConfigError):
            files.plain_options(wrong)


class Tensor:
    def __init__(self, *shape):
        self.shape = shape


def test_wrappers_of_state_dicts_are_removed():
    inner = {"module.a": Tensor(1), "module.b": Tensor(2)}
    assert files.unwrap({"epoch": 3, "state_dict": inner}).keys() == {"a", "b"}
    assert files.unwrap({"model": {"state_dict": inner}}).keys() == {"a", "b"}
    assert files.unwrap({"module.a": 1, "b": 2}).keys() == {"module.a", "b"}
    assert files.unwrap([1]) == {}
    assert files.unwrap({1: 2}) == {}


def test_differences_are_counted_and_named():
    own = {"a": Tensor(2, 3), "b": Tensor(1), "n.num_batches_tracked": Tensor()}
    assert files.differences(own, {"a": Tensor(2, 3), "b": Tensor(1)}) == ""
    state = {"a": Tensor(2, 4), "c": Tensor(), "d": Tensor(), "e": Tensor(), "f": Tensor()}
    assert files.differences(own, state) == (
        "1 missing (b); 4 unexpected (c, d, e, …); 1 of another shape (a 2x4 for 2x3)"
    )


def test_silent_host_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(WeightsNotFound, match="does not answer"):
            files.reach(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
    assert time.monotonic() - started < 5


def test_only_web_addresses_are_requested():
    with pytest.raises(WeightsNotFound, match="http"):
        files.reach("file:///etc/hostname")
