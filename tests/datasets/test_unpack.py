"""Valid and hostile archives: only the files of the manifest are written."""

import os
import stat
import struct
import unicodedata
import zipfile
import zlib

import numpy as np
import pytest

from imgsearch.datasets.manifest import Manifest
from imgsearch.datasets.unpack import copy, unpack
from imgsearch.errors import DatasetError

FILES = {
    "train/fuchs/1.jpg": np.random.default_rng(1).bytes(70_000),
    "train/mäuse/2.jpg": b"ab" * 40_000,
    "test/fuchs/3.jpg": b"",
    "liste.csv": b"id,path,label\n",
}
PATH = "train/fuchs/1.jpg"


@pytest.fixture
def manifest(tmp_path):
    return Manifest.of(lay(tmp_path / "original"))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "hier" / "ziel"


def lay(folder, files=FILES):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def packed(tmp_path, *entries, method=zipfile.ZIP_DEFLATED):
    """Return an archive of entries, each a name or ZipInfo and a content."""
    archive = tmp_path / "archiv.zip"
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return archive


def files_around(folder):
    """Return every file below the folder, including hidden ones, and the files beside it."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    beside = sorted(path.name for path in folder.parent.iterdir()) if folder.parent.exists() else []
    assert beside in ([], [folder.name])
    return files


@pytest.mark.parametrize("prefix", ["", "top/", "a/b/ç/", "./", "train/", "test/train/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_are_found_below_any_prefix(tmp_path, manifest, target, prefix, method):
    entries = [(prefix + path, content) for path, content in FILES.items()]
    done = unpack(packed(tmp_path, *entries, method=method), manifest, target)
    assert files_around(target) == FILES
    assert (done.written, done.wrong, done.passed) == (tuple(sorted(FILES)), (), ())


def test_other_entries_are_skipped_and_listed(tmp_path, manifest, target):
    others = [
        ("README", b"x"),
        ("__MACOSX/train/fuchs/._1.jpg", b"x"),
        ("train/fuchs/4.jpg", b"x"),
        ("TRAIN/FUCHS/1.JPG", b"x"),
        ("train/", b""),
    ]
    done = unpack(packed(tmp_path, *others, *FILES.items()), manifest, target)
    assert files_around(target) == FILES
    assert done.passed == (
        "README",
        "__MACOSX/train/fuchs/._1.jpg",
        "train/fuchs/4.jpg",
        "TRAIN/FUCHS/1.JPG",
    )


@pytest.mark.parametrize(
    "name",
    [
        f"../{PATH}",
        f"../../{PATH}",
        f"a/../../{PATH}",
        f"/{PATH}",
        f"//server/share/{PATH}",
        f"C:/{PATH}",
        f"C:\\{PATH}",
        PATH.replace("/", "\\"),
        f"..\\{PATH}",
        f"a/./{PATH}",
        f"{PATH}/",
        f"{PATH}/../1.jpg",
        f"{PATH}.",
        f"{PATH} ",
        f"{PATH}:stream",
        "train/fuchs/\x1b[2J1.jpg",
    ],
)
def test_path_outside_the_folder_is_not_unpacked(tmp_path, manifest, target, name):
    done = unpack(packed(tmp_path, (name, FILES[PATH])), manifest, target)
    assert done.written == ()
    assert files_around(target) == {}


def test_name_is_not_cut_at_a_nul(tmp_path, manifest, target):
    archive = packed(tmp_path, (PATH + "#.exe", FILES[PATH]))
    archive.write_bytes(archive.read_bytes().replace(b"#.exe", b"\0.exe"))
    done = unpack(archive, manifest, target)
    assert (done.written, done.passed) == ((), (PATH + "\0.exe",))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices_are_skipped(tmp_path, manifest, target, kind):
    entry = zipfile.ZipInfo(PATH)
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    done = unpack(packed(tmp_path, (entry, b"/etc/passwd")), manifest, target)
    assert (done.written, done.passed) == ((), (PATH,))
    assert files_around(target) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PATH, f"top/{PATH}"),
        ("train/mäuse/2.jpg", unicodedata.normalize("NFD", "train/mäuse/2.jpg")),
    ],
)
def test_two_entries_for_one_file_are_rejected(tmp_path, manifest, target, one, other):
    with pytest.raises(DatasetError, match="two entries for"):
        unpack(packed(tmp_path, (one, b"a"), (other, b"b")), manifest, target)
    assert not target.exists()


# from zipfile, when the test writes the archive
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_duplicate_name_is_rejected(tmp_path, manifest, target):
    with pytest.raises(DatasetError, match="two entries for"):
        unpack(packed(tmp_path, (PATH, b"a"), (PATH, b"b")), manifest, target)


def test_unpacking_stops_at_the_declared_size(tmp_path, manifest, target):
    steps = []
    bomb = packed(tmp_path, (PATH, b"\0" * 50_000_000), ("liste.csv", FILES["liste.csv"]))
    assert bomb.stat().st_size < 60_000
    done = unpack(bomb, manifest, target, on_progress=lambda *step: steps.append(step))
    assert (done.written, done.wrong) == (("liste.csv",), (PATH,))
    assert files_around(target) == {"liste.csv": FILES["liste.csv"]}
    assert max(at for _, at, _ in steps) == 70_014  # the two files as declared


def test_entry_with_a_false_size_is_wrong(tmp_path, manifest, target):
    archive = packed(tmp_path, (PATH, b"\0" * 5_000_000))
    lie = archive.read_bytes().replace(struct.pack("<L", 5_000_000), struct.pack("<L", 70_000))
    archive.write_bytes(lie)
    assert unpack(archive, manifest, target).wrong == (PATH,)
    assert files_around(target) == {}


def test_entries_with_shared_bytes_write_no_more_than_declared(tmp_path, manifest, target):
    archive = packed(tmp_path, *FILES.items())
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        first, second = opened.infolist()[:2]
    pointed = struct.pack("<L", second.header_offset)
    place = data.rindex(pointed, 0, data.rindex(second.orig_filename.encode()))
    archive.write_bytes(data[:place] + struct.pack("<L", first.header_offset) + data[place + 4 :])
    done = unpack(archive, manifest, target)
    assert done.wrong == ("train/mäuse/2.jpg",)
    assert sorted(files_around(target)) == sorted(FILES.keys() - {"train/mäuse/2.jpg"})


def test_wrong_content_is_not_written_and_the_rest_is(tmp_path, manifest, target):
    changed = {**FILES, PATH: FILES[PATH][:-1] + b"!", "liste.csv": b"short"}
    done = unpack(packed(tmp_path, *changed.items()), manifest, target)
    assert done.wrong == ("liste.csv", PATH)
    assert files_around(target) == {
        path: FILES[path] for path in ("test/fuchs/3.jpg", "train/mäuse/2.jpg")
    }


def test_broken_stream_is_wrong_and_the_rest_is_written(tmp_path, manifest, target):
    archive = packed(tmp_path, *FILES.items())
    packed_mice = zlib.compress(FILES["train/mäuse/2.jpg"], -1)[2:-4]
    data = archive.read_bytes()
    assert packed_mice in data
    archive.write_bytes(data.replace(packed_mice, b"\xff" * len(packed_mice)))
    done = unpack(archive, manifest, target)
    assert (done.wrong, len(done.written)) == (("train/mäuse/2.jpg",), 3)


def test_wrong_file_never_replaces_a_correct_one(tmp_path, manifest, target):
    lay(target)
    unpack(packed(tmp_path, (PATH, b"other")), manifest, target)
    assert files_around(target) == FILES


def test_archive_with_many_extra_entries_is_rejected(tmp_path, manifest, target):
    # 4 files, and the 1,000 extra entries allowed
    entries = [(f"{place}", b"") for place in range(1_005)]
    with pytest.raises(DatasetError, match="many more entries"):
        unpack(packed(tmp_path, *entries), manifest, target)
    unpack(packed(tmp_path, *entries[:1_004]), manifest, target)
    large = [(f"{place}" + "x" * 60_000, b"") for place in range(10)]  # a directory of 600 kB
    with pytest.raises(DatasetError, match="many more entries"):
        unpack(packed(tmp_path, *large), manifest, target)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_than_deflate_are_rejected(tmp_path, manifest, target, method):
    with pytest.raises(DatasetError, match="compressed by method 1[24]"):
        unpack(packed(tmp_path, *FILES.items(), method=method), manifest, target)
    assert not target.exists()


def test_encrypted_files_are_rejected(tmp_path, manifest, target):
    archive = packed(tmp_path, (PATH, FILES[PATH]))
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\3\4") + 6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match="encrypted"):
        unpack(archive, manifest, target)


def test_incomplete_archive_raises(tmp_path, manifest, target):
    whole = packed(tmp_path, *FILES.items()).read_bytes()
    archive = tmp_path / "kaputt.zip"
    for data in (b"", b"<html>", whole[:-30], whole[: len(whole) // 2], b"PK\5\6" + b"\xff" * 18):
        archive.write_bytes(data)
        with pytest.raises(DatasetError, match=r"kaputt\.zip is not a complete zip archive"):
            unpack(archive, manifest, target)
    with pytest.raises(DatasetError, match="not a complete zip archive"):
        unpack(tmp_path / "nirgends.zip", manifest, target)
    assert not target.exists()


@pytest.mark.long
def test_corrupt_archive_writes_only_correct_files(tmp_path, manifest, target):
    small = {"liste.csv": FILES["liste.csv"]}
    whole = packed(tmp_path, *small.items()).read_bytes()
    archive = tmp_path / "kaputt.zip"
    for place in range(len(whole)):
        for value in (0, 255, *(whole[place] ^ 1 << bit for bit in range(8))):
            archive.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                unpack(archive, manifest, target)
            except DatasetError:
                continue
            finally:
                assert files_around(target).items() <= small.items()
    assert files_around(target) == small


def test_link_in_a_files_place_is_replaced_and_not_written_through(tmp_path, manifest, target):
    elsewhere = tmp_path / "fremd.txt"
    elsewhere.write_bytes(b"theirs")
    (target / "train/fuchs").mkdir(parents=True)
    (target / PATH).symlink_to(elsewhere)
    unpack(packed(tmp_path, *FILES.items()), manifest, target)
    assert elsewhere.read_bytes() == b"theirs"
    assert not (target / PATH).is_symlink()


def test_partial_file_of_a_killed_run_is_overwritten(tmp_path, manifest, target):
    (target / "train/fuchs").mkdir(parents=True)
    (target / "train/fuchs/.1.jpg.part").write_bytes(b"x" * 100_000)
    unpack(packed(tmp_path, *FILES.items()), manifest, target)
    assert files_around(target) == FILES


def test_skipped_files_are_neither_read_nor_written(tmp_path, manifest, target):
    done = unpack(packed(tmp_path, *FILES.items()), manifest, target, skip=[PATH, "liste.csv"])
    assert done.written == ("test/fuchs/3.jpg", "train/mäuse/2.jpg")


def test_source_folder_provides_only_matching_files(tmp_path, manifest, target):
    source = lay(tmp_path / "quelle", {**FILES, PATH: b"another", "train/fuchs/4.jpg": b"more"})
    (source / "liste.csv").unlink()
    os.mkfifo(source / "liste.csv")  # reading it would block
    done = copy(source, manifest, target, skip=["test/fuchs/3.jpg"])
    assert (done.written, done.wrong) == (("train/mäuse/2.jpg",), (PATH,))
    assert files_around(target) == {"train/mäuse/2.jpg": FILES["train/mäuse/2.jpg"]}


def test_archive_embedded_in_another_file_is_read(tmp_path, manifest, target):
    whole = packed(tmp_path, *FILES.items()).read_bytes()
    archive = tmp_path / "selbst.exe"  # zip files are found from their end
    archive.write_bytes(b"MZ" * 500 + whole)
    assert len(unpack(archive, manifest, target).written) == 4
