"""The format of a file by its first bytes, and the rejection of other files."""

import pytest

from imgsearch.errors import FormatRefused
from imgsearch.images import FORMATS, decode, sniff
from imgsearch.images.formats import refusal


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    """Return the first box of a file of the ISO base media format."""
    brands = b"".join(compatible)
    return (16 + len(brands)).to_bytes(4) + b"ftyp" + major + bytes(4) + brands


@pytest.mark.parametrize(
    "major", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"]
)
def test_heic_is_recognized_by_its_major_brand(major: bytes) -> None:
    assert sniff(ftyp(major, b"mif1", b"heic")) == "HEIC"


@pytest.mark.parametrize("major", [b"mif1", b"msf1"])
def test_shared_container_with_an_avif_brand_is_avif(major: bytes) -> None:
    assert sniff(ftyp(major, b"mif1", b"avif")) == "AVIF"
    assert sniff(ftyp(major, b"mif1", b"miaf", b"avis")) == "AVIF"
    assert sniff(ftyp(major, b"mif1", b"heic")) == "HEIC"
    assert sniff(ftyp(major)) == "HEIC"


@pytest.mark.parametrize(
    ("head", "maker"),
    [
        (ftyp(b"crx ", b"crx ", b"isom"), "Canon CR3"),
        (b"II\x1a\0\0\0HEAPCCDR", "Canon CRW"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm RAF"),
        (b"\0MRM\0\0\0\0", "Minolta MRW"),
        (b"IIRO\x08\0\0\0", "Olympus ORF"),
        (b"IIRS\x08\0\0\0", "Olympus ORF"),
        (b"MMOR\0\0\0\x08", "Olympus ORF"),
        (b"IIU\0\x18\0\0\0", "Panasonic RW2"),
        (b"FOVb\0\0\2\0", "Sigma X3F"),
    ],
)
def test_raw_files_without_tiff_structure_are_rejected_by_name(head: bytes, maker: str) -> None:
    assert sniff(head) is None
    with pytest.raises(FormatRefused, match=rf"refused: a camera's raw file \({maker}\)\. Conv"):
        decode(head)


def test_error_lists_the_readable_formats() -> None:
    assert refusal(b"8BPS") == f"not one of {', '.join(FORMATS)}"
    assert refusal(b"") == "the file is empty"
