"""Sources list exactly their images, and reading never hangs or raises an untyped error."""

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import SourceError
from imgsearch.images.sources import Reference, content_id, count, printable, read, references
from tests.unprivileged import unprivileged


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 3, 3), 9, np.uint8)).save(path, "PNG")
    return path


def paths(found_references: Iterator[Reference], root: Path) -> list[str]:
    return [str(Path(reference.path).relative_to(root)) for reference in found_references]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    root = tmp_path / "Fotos für später"
    for name in ("b.png", "a.png", "猫/chat noir.png", "猫/deep/[1].png", "Ångström/x.png"):
        picture(root / name)
    (root / "猫" / "notes.txt").write_text("BMW, GIF and P5 are words")
    return root


def test_folder_is_walked_in_order_with_labels(album: Path) -> None:
    album_references = list(references(album))
    assert paths(iter(album_references), album) == [
        "a.png",
        "b.png",
        "Ångström/x.png",
        "猫/chat noir.png",
        "猫/deep/[1].png",
    ]
    assert [reference.label for reference in album_references] == [
        None,
        None,
        "Ångström",
        "猫",
        "deep",
    ]


def test_folder_skips_hidden_and_other_files_and_reports_them(album: Path) -> None:
    picture(album / ".thumbs" / "t.png")
    picture(album / ".hidden.png")
    ignored: list[str] = []
    assert len(list(references(str(album), on_ignored=ignored.append))) == 5
    assert sorted(Path(path).name for path in ignored) == [".hidden.png", ".thumbs", "notes.txt"]


def test_folder_recognizes_images_by_first_bytes_and_by_suffix(tmp_path: Path) -> None:
    picture(tmp_path / "no suffix")
    (tmp_path / "broken.JPG").write_bytes(b"not a picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "data.bin").write_bytes(b"\0" * 64)
    assert paths(references(tmp_path), tmp_path) == [
        "broken.JPG",
        "empty.png",
        "no suffix",
        "phone.HEIC",
    ]


def test_links_to_folders_are_not_followed(album: Path) -> None:
    (album / "猫" / "loop").symlink_to(album)
    (album / "猫" / "loop.png").symlink_to(album)  # claims to be an image, but is a folder
    (album / "itself.png").symlink_to("itself.png")
    (album / "linked.png").symlink_to(album / "a.png")
    (album / "nowhere.png").symlink_to("gone.png")
    ignored: list[str] = []
    names = paths(references(album, on_ignored=ignored.append), album)
    assert {"itself.png", "linked.png", "nowhere.png"} < set(names)
    assert len(names) == 8
    assert {Path(path).name for path in ignored} == {"loop", "loop.png", "notes.txt"}
    with pytest.raises(SourceError, match=r"nowhere\.png: no such file"):
        read(album / "nowhere.png")
    with pytest.raises(SourceError, match=r"itself\.png: cannot be read"):
        read(album / "itself.png")


def test_source_folder_may_be_a_link(album: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(album)
    assert len(list(references(tmp_path / "link"))) == 5


@pytest.mark.timeout(20)
def test_pipes_and_sockets_do_not_hang(tmp_path: Path) -> None:
    for name in ("pipe.jpg", "pipe", "pipe.csv"):
        os.mkfifo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))  # its name may have 107 bytes only
        assert list(references(tmp_path)) == []
        assert list(references(f"{tmp_path}/*")) == []
        for name in ("pipe.jpg", "pipe.csv"):
            (reference,) = references(tmp_path / name)
            with pytest.raises(SourceError, match="is a pipe, socket or device"):
                read(reference)
        with pytest.raises(SourceError, match="cannot be read"):
            read(tmp_path / "socket.jpg")


def test_depth_beyond_the_recursion_limit(tmp_path: Path) -> None:
    folders = [tmp_path / ("d/" * depth) for depth in range(1, 1100)]
    for folder in folders:
        folder.mkdir()
    picture(folders[-1] / "x.png")
    assert [reference.label for reference in references(tmp_path)] == ["d"]
    assert count(tmp_path) == 1
    (folders[-1] / "x.png").unlink()
    for folder in reversed(folders):  # too deep for pytest's cleanup
        folder.rmdir()


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    image = picture(tmp_path / "x.png").read_bytes()
    Path(os.fsdecode(folder + b"/\xff.png")).write_bytes(image)
    reference = list(references(tmp_path))[1]
    assert os.fsencode(reference.path) == folder + b"/\xff.png"
    assert reference.label == "caf\\udce9"
    assert printable(reference.path) == f"{tmp_path}/caf\\udce9/\\udcff.png"
    assert read(reference) == image
    Path(reference.path).unlink()
    with pytest.raises(SourceError, match=r"udcff\.png: no such file") as caught:
        read(reference)
    assert caught.value.path == reference.path
    str(caught.value).encode()  # valid UTF-8


def test_printable_leaves_text_alone() -> None:
    assert printable("Grüße/猫.png") == "Grüße/猫.png"


def test_glob_is_expanded_sorted(album: Path) -> None:
    matches = list(references(f"{album}/**/*.png"))
    assert paths(iter(matches), album) == [
        "a.png",
        "b.png",
        "Ångström/x.png",
        "猫/chat noir.png",
        "猫/deep/[1].png",
    ]
    assert [reference.label for reference in matches] == [
        album.name,
        album.name,
        "Ångström",
        "猫",
        "deep",
    ]
    assert paths(references(f"{album}/[ab].png"), album) == ["a.png", "b.png"]
    assert len(list(references(f"{album}/**"))) == 5


def test_glob_filters_like_a_folder(album: Path) -> None:
    picture(album / ".thumbs" / "t.png")
    (album / "猫" / "loop").symlink_to(album)
    ignored: list[str] = []
    names = paths(references(f"{album}/**/*", on_ignored=ignored.append), album)
    assert len(names) == 5
    assert [Path(path).name for path in ignored] == ["notes.txt"]
    assert paths(references(f"{album}/.thumbs/*.png"), album) == [".thumbs/t.png"]
    assert paths(references(f"{album}/.th*/*.png"), album) == [".thumbs/t.png"]


def test_brackets_in_existing_names_are_not_a_pattern(tmp_path: Path) -> None:
    picture(tmp_path / "trip [2024]" / "1.png")
    picture(tmp_path / "trip [2024]" / "2.png")
    picture(tmp_path / "x[1].png")
    picture(tmp_path / "x1.png")
    assert paths(references(tmp_path / "x[1].png"), tmp_path) == ["x[1].png"]
    assert len(list(references(tmp_path / "trip [2024]"))) == 2
    assert len(list(references(f"{tmp_path}/trip [2024]/*.png"))) == 2
    assert paths(references(f"{tmp_path}/x[1-3].png"), tmp_path) == ["x1.png"]


def test_home_is_expanded(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(album))
    assert [reference.path for reference in references("~/a.png")] == [f"{album}/a.png"]
    assert count("~") == 6
    assert read("~/a.png") == (album / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://bilder/猫.jpg", "猫.jpg: not an http or https URL. Download"),
        ("s3://bilder/猫.jpg", "猫.jpg: not fetched here. Download"),
        ("", "an empty path names no file"),
        ("nirgends/größe", "nirgends/größe: no such file or folder"),
        ("nirgends/*.jpg", r"nirgends/\*.jpg: no file matches"),
        ("nirgends/a**b.jpg", "no file matches|cannot be read"),
        ("nul\0.jpg", "no such file"),
    ],
)
def test_missing_source_raises(source: str, message: str) -> None:
    for call in (references, count):
        with pytest.raises(SourceError, match=message):
            call(source)


def test_url_is_read_by_the_given_function_only() -> None:
    url = "https://example.org/猫.jpg"
    assert [reference.path for reference in references(url)] == [url]
    assert read(url, fetch=str.encode) == url.encode()
    with pytest.raises(SourceError, match="not fetched here. Download the image"):
        read(url)


def csv_of(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "list.CSV").write_bytes(content)
    return folder / "list.CSV"


def test_csv_with_the_usual_oddities(tmp_path: Path) -> None:
    listed = csv_of(
        tmp_path,
        "\ufeffid, path ,label\r\n"
        "7,./train/a.png,猫\r\n"
        "\r\n"
        '8,"b, ""c"".png","hund, groß"\r\n'
        "9,/abs/d.png\r\n"
        "10,,nothing\r\n"
        "11,https://example.org/e.png,x\r\n"
        "12,../f.png,x".encode(),
    )
    ignored: list[str] = []
    rows = list(references(listed, on_ignored=ignored.append))
    assert rows == [
        Reference(f"{tmp_path}/train/a.png", "猫", "7"),
        Reference(f'{tmp_path}/b, "c".png', "hund, groß", "8"),
        Reference("/abs/d.png", None, "9"),
        Reference("https://example.org/e.png", "x", "11"),
        Reference(f"{tmp_path}/../f.png", "x", "12"),
    ]
    assert ignored == [f"{listed}: line 6"]
    assert count(listed) == 6  # includes the row without a path
    with pytest.raises(SourceError, match=r"train/a\.png: no such file"):
        read(rows[0])


def test_csv_names_a_file_by_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    listed = csv_of(tmp_path, b"path,label\ncaf\xe9.png,caf\xe9\n")
    file = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(file).touch()
    notes: list[str] = []
    (reference,) = references(listed, on_note=notes.append)
    assert (reference.path, reference.label) == (file, "café")
    assert notes == ["list.CSV is not UTF-8 throughout: other bytes were read as cp1252"]


def test_empty_label_cell_is_an_empty_label(tmp_path: Path) -> None:
    listed = csv_of(tmp_path, b"path,label\na.png,\nb.png\n")
    assert [reference.label for reference in references(listed)] == ["", None]


def test_labels_are_composed_and_paths_are_unchanged(tmp_path: Path) -> None:
    decomposed = "cafe\u0301"
    picture(tmp_path / decomposed / "1.png")
    listed = csv_of(tmp_path / "list", f"path,label\n{decomposed}.png,{decomposed}\n".encode())
    for source, path in ((tmp_path, f"{decomposed}/1.png"), (listed, f"list/{decomposed}.png")):
        labeled = [reference for reference in references(source) if reference.label]
        assert [(reference.path, reference.label) for reference in labeled] == [
            (f"{tmp_path}/{path}", "café")
        ]


def test_splits_of_a_dataset_are_not_labels(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "Val/2.png", "test/3.png", "extra/4.png"):
        picture(tmp_path / "shop" / name)
    for source in (tmp_path, tmp_path / "shop", f"{tmp_path}/shop/*/*.png"):
        labels = {Path(reference.path).name: reference.label for reference in references(source)}
        assert labels.pop("1.png", "cat") == "cat"
        assert labels == {"2.png": None, "3.png": None, "4.png": "extra"}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.xlsx", "a spreadsheet, not an image. Save it as csv"),
        ("b.JSON", "a list of images, not an image"),
        ("c.zip", "an archive, not an image. Unpack it"),
        ("d.tsv", "a list of images, not an image"),
        ("e.txt", "a list of images, not an image"),
    ],
)
def test_read_names_the_type_of_other_files(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(SourceError, match=what):
        read(tmp_path / name)
    picture(tmp_path / name)
    assert read(tmp_path / name).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"Ablage;label\na.png;x\n",
            'list.CSV: cannot be read: no column "path". Its columns are: Ablage, label. Name',
        ),
        (b"", "It has no header. Add one: path,label"),
        (b"\n\n", "It has no header"),
        (b"a.png,x\n", "its first line names an image. Add a line above it"),
        (b"file,url\na.png,x\n", "its columns 'file', 'url' may all hold the paths. Name one"),
        (b'"path' + b"x" * 200_000, "its first line has more than 65,536 letters"),
    ],
)
def test_csv_without_paths_is_rejected_at_once(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        references(csv_of(tmp_path, content))


def test_broken_csv_raises_after_its_valid_rows(tmp_path: Path) -> None:
    rows = references(csv_of(tmp_path, b"path\na.png\n" + b"x" * 200_000))
    assert next(rows).path == f"{tmp_path}/a.png"
    with pytest.raises(SourceError, match="field larger than field limit"):
        next(rows)


def test_list_mixes_sources_and_continues_past_missing_ones(album: Path) -> None:
    listed = csv_of(album / "list", b"path,label\n../a.png,x\n")
    sources = [album / "猫", f"{album}/[ab].png", listed, str(album / "gone.png"), "s3://b/x"]
    mixed = list(references(sources))
    assert [(Path(reference.path).name, reference.label) for reference in mixed] == [
        ("chat noir.png", None),
        ("[1].png", "deep"),
        ("a.png", album.name),
        ("b.png", album.name),
        ("a.png", "x"),
        ("gone.png", None),
        ("x", None),
    ]
    for reference in mixed[-2:]:
        with pytest.raises(SourceError):
            read(reference)
    assert count(sources) == 8  # includes the text file in 猫
    assert list(references(iter(sources))) == mixed
    assert count(iter(sources)) == 0


def test_list_with_another_type_raises() -> None:
    with pytest.raises(SourceError, match="a list of sources holds 3, which is not a path"):
        list(references([3]))  # type: ignore[list-item]  # on purpose


def test_count_is_an_upper_bound(album: Path) -> None:
    assert count(album) == 6
    assert count(album / "a.png") == 1
    assert count(f"{album}/*.png") == 2


def test_read_returns_the_content(tmp_path: Path) -> None:
    file = tmp_path / "naïve.png"
    file.write_bytes(b"\0\xff" * 500)
    assert read(file) == read(str(file)) == read(Reference(str(file))) == b"\0\xff" * 500
    assert read(file, max_bytes=1000) == b"\0\xff" * 500
    with pytest.raises(SourceError, match=r"naïve\.png: too large: 1,000 bytes, at most 999"):
        read(file, max_bytes=999)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_read_limits_files_of_unknown_size() -> None:
    assert b"VmRSS" in read("/proc/self/status")
    with pytest.raises(SourceError, match="at most 10 are read"):
        read("/proc/self/status", max_bytes=10)


def test_read_error_states_the_cause(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder") as caught:
        read(tmp_path)
    assert caught.value.path == str(tmp_path)
    with pytest.raises(SourceError, match="is a pipe, socket or device"):
        read("/dev/zero")
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(SourceError, match="cannot be read"):
        read("\ud800.png")
    with pytest.raises(SourceError, match="cannot be read"):
        read("a\0b")


def test_unreadable_files_and_folders_are_reported(album: Path) -> None:
    ignored: list[str] = []
    with unprivileged(album) as copy:
        (copy / "a.png").chmod(0)
        (copy / "猫").chmod(0)
        names = paths(references(copy, on_ignored=ignored.append), copy)
        assert names == ["a.png", "b.png", "Ångström/x.png"]
        assert ignored == [str(copy / "猫")]
        with pytest.raises(SourceError, match=r"a\.png: cannot be read: Permission denied"):
            read(copy / "a.png")
        with pytest.raises(SourceError, match="cannot be read: Permission denied"):
            references(copy / "猫")
        (copy / "猫").chmod(0o700)


def test_folder_that_vanishes_during_the_walk_is_reported(album: Path) -> None:
    ignored: list[str] = []
    rest = references(album, on_ignored=ignored.append)
    assert Path(next(rest).path).name == "a.png"
    (album / "Ångström" / "x.png").unlink()
    (album / "Ångström").rmdir()
    assert len(list(rest)) == 3
    assert str(album / "Ångström") in ignored


def test_content_id_is_sha256() -> None:
    # FIPS 180-2, appendix B.1: the digest of "abc"
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_id(b"abc") == expected == hashlib.sha256(b"abc").hexdigest()
