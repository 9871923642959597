"""Images in tar files, also in hostile ones."""

import gzip
import io
import tarfile

import pytest

import imgsearch
from imgsearch.errors import SourceError
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.sources import count, read, references
from tests.pictures import write


def shard(file, members):
    """Write a tar of (name, bytes) or ready TarInfos."""
    with tarfile.open(file, "w") as tar:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return file


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return [file.read_bytes() for file in write(tmp_path_factory.mktemp("fotos"), 3)]


def test_samples_have_labels_and_declared_captions(tmp_path, photos):
    tar = shard(tmp_path / "größe-0.tar", [
        ("./0.png", photos[0]), ("./0.cls", b"katze\n"), ("./0.txt", "schläft".encode()),
        ("./0.json", b"{}"), ("a.cls", b"hund"), ("a.png", photos[1]), ("b/c.d.png", photos[2]),
    ])  # fmt: skip
    ignored = []
    columns = ListColumns(fields={"caption": "str"})
    images = list(references(tar, columns=columns, on_ignored=ignored.append))
    assert [image.path for image in images] == [
        f"{tar}#file=0.png", f"{tar}#file=a.png", f"{tar}#file=b/c.d.png",
    ]  # fmt: skip
    assert [image.label for image in images] == ["katze", "hund", None]
    assert [dict(image.fields) for image in images] == [{"caption": "schläft"}, {}, {}]
    assert ignored == [f"{tar}#file=0.json"]
    assert [read(image) for image in images] == photos
    assert read(f"{tar}#file=a.png") == photos[1]
    assert next(references(tar)).fields == {}
    assert count(tar) == 4


def test_tars_of_a_glob_are_added_but_not_tars_of_a_folder(tmp_path, photos):
    for place in range(2):
        shard(tmp_path / f"{place}.tar", [(f"{place}.png", photos[place])])
    assert [image.path[-11:] for image in references(tmp_path / "*.tar")] == [
        "tar#file=0.png"[-11:], "tar#file=1.png"[-11:],
    ]  # fmt: skip
    assert list(references(tmp_path)) == []
    with imgsearch.open("memory://tars", model="classic") as library:
        report = library.add(tmp_path / "*.tar")
        assert (report.added, report.failed) == (2, 0)
        (hit,) = library.search(tmp_path / "0.tar#file=0.png", k=1)
        assert hit.fields["path"] == f"{tmp_path}/0.tar#file=0.png"


def link(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info, b""


def test_hostile_members_are_never_followed(tmp_path, photos):
    tar = shard(tmp_path / "x.tar", [
        ("/etc/a.jpg", photos[0]), ("../../etc/b.jpg", photos[0]), ("c\n\x1b[31m.jpg", photos[0]),
        link("d.jpg", tarfile.SYMTYPE), link("e.jpg", tarfile.LNKTYPE), ("ok.jpg", photos[1]),
    ])  # fmt: skip
    images = list(references(tar))
    unsafe = [str(image.content) for image in images[:-1]]
    assert len(unsafe) == 3
    assert all("the name of a member is unsafe" in text for text in unsafe)
    assert not any("\n" in text or "\x1b" in text for text in unsafe)
    assert images[-1].path == f"{tar}#file=ok.jpg"
    with imgsearch.open("memory://hostile", model="classic") as library:
        report = library.add(tar)
        assert (report.added, report.failed) == (1, 3)
        assert [record.fields["path"] for record in library.records()] == [images[-1].path]
    with pytest.raises(SourceError, match="no such file in the tar"):
        read(f"{tar}#file=d.jpg")


def test_a_tar_that_is_cut_off_gives_its_whole_members(tmp_path, photos):
    tar = shard(tmp_path / "x.tar", [("0.jpg", photos[0]), ("1.jpg", photos[1])])
    content = tar.read_bytes()
    start = content.index(photos[1])
    tar.write_bytes(content[: start + 10])
    images = list(references(tar))
    assert read(images[0]) == photos[0]
    for image in images[1:]:
        with pytest.raises(SourceError, match="damaged or cut off"):
            read(image)
    assert len(images) > 1


def test_large_members_and_other_files_are_refused(tmp_path, photos):
    tar = shard(tmp_path / "x.tar", [("0.jpg", photos[0])])
    with pytest.raises(SourceError, match="too large: .* at most 100 are read"):
        read(f"{tar}#file=0.jpg", max_bytes=100)
    (tmp_path / "y.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(SourceError, match="not an uncompressed tar file"):
        list(references(tmp_path / "y.tar"))
    with pytest.raises(SourceError, match="no such file or folder"):
        read(f"{tmp_path}/z.tar#file=0.jpg")


def test_a_huge_header_is_not_read_into_memory(tmp_path, photos):
    tar = shard(tmp_path / "x.tar", [("0.jpg", photos[0]), ("a" * 3_000_000 + ".jpg", photos[1])])
    good, bad = references(tar)
    assert read(good) == photos[0]
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(bad)


def packed(file, members):
    """Write a tar and compress it."""
    data = shard(file.with_name("plain.tar"), members).read_bytes()
    file.write_bytes(gzip.compress(data))
    return file


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_compressed_tars_are_streamed(tmp_path, photos, suffix):
    tar = packed(tmp_path / f"größe{suffix}", [
        ("0.png", photos[0]), ("0.cls", b"katze"), ("0.txt", "schläft".encode()),
        ("1.json", b"{}"), ("../2.png", photos[1]), ("b/c.d.png", photos[2]),
    ])  # fmt: skip
    ignored = []
    columns = ListColumns(fields={"caption": "str"})
    images = list(references(tar, columns=columns, on_ignored=ignored.append))
    assert [(image.path, image.label) for image in images] == [
        (f"{tar}#file=0.png", "katze"), (str(tar), None), (f"{tar}#file=b/c.d.png", None),
    ]  # fmt: skip
    assert [images[0].content, images[2].content] == [photos[0], photos[2]]
    assert "unsafe" in str(images[1].content)
    assert images[0].fields == {"caption": "schläft"}
    assert ignored == [f"{tar}#file=1.json"]
    assert read(f"{tar}#file=b/c.d.png") == photos[2]
    with pytest.raises(SourceError, match="no such file in the tar"):
        read(f"{tar}#file=x.png")


def test_a_compressed_tar_that_is_cut_off_gives_its_whole_files(tmp_path, photos):
    tar = packed(tmp_path / "a.tgz", [("0.png", photos[0]), ("1.png", photos[1] * 20)])
    tar.write_bytes(tar.read_bytes()[: len(photos[0]) + 1_000])
    first, *rest = references(tar)
    assert first.content == photos[0]
    assert [type(image.content) for image in rest][:1] == [SourceError]


def test_a_file_that_is_no_compressed_tar_is_an_error(tmp_path):
    (tmp_path / "a.tgz").write_bytes(b"no gzip" * 100)
    with pytest.raises(SourceError, match=r"a\.tgz: not a tar file"):
        list(references(tmp_path / "a.tgz"))


def test_a_compressed_tar_that_expands_without_end_is_refused(tmp_path):
    file = tmp_path / "bomb.tar.gz"
    with tarfile.open(file, "w:gz", compresslevel=1) as tar:
        info = tarfile.TarInfo("0.bin")
        info.size = 300 * 2**20
        tar.addfile(info, Zeros(info.size))
    with pytest.raises(SourceError, match="100 times its compressed bytes"):
        list(references(file))


class Zeros(io.RawIOBase):
    """A file of zeros."""

    def __init__(self, size):
        self.size = size

    def read(self, size=-1):
        size = min(size, self.size)
        self.size -= size
        return bytes(size)
