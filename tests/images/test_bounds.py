"""Limits of the content around the pixels are checked before decoding; real files pass."""

import contextlib
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from imgsearch.errors import FormatRefused, ImageCorrupt, ImageTooLarge
from imgsearch.images import decode, header
from imgsearch.images.bounds.av1 import frame_sizes
from tests.images.test_decoder import SAMPLES, SCENE, chunk, encoded, png

MB = 1 << 20


def gif(blocks: bytes) -> bytes:
    data = encoded(Image.new("P", (1, 1)), "GIF")
    at = data.index(b",")
    return data[:at] + blocks + data[at:]


def jpeg(segments: bytes) -> bytes:
    return SAMPLES["JPEG"][:2] + segments + SAMPLES["JPEG"][2:]


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def exif(tags: int, size: int) -> bytes:
    """Return EXIF with `tags` tags that share `size` bytes."""
    entries = b"".join(struct.pack("<HHII", 1_000 + tag, 7, size, 0) for tag in range(tags))
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries + bytes(4)
    return head.ljust(size, b"\0")


def exif_announced_as_bigtiff(tags: int, size: int) -> bytes:
    """Return big-endian EXIF with a BigTIFF's version, whose classic directory has many tags."""
    entries = b"".join(struct.pack(">HHII", 1_000 + tag, 7, size, 0) for tag in range(tags))
    # the classic offset of the first directory, then an 8-byte one that lies beyond the file
    head = b"MM\0+" + struct.pack(">IQ", 16, size) + struct.pack(">H", tags) + entries
    return head.ljust(size, b"\0")


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """Return a TIFF of entries: tag, type, count, value."""
    fields = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + fields + bytes(4) + tail


def gray_entries(width: int, height: int) -> tuple[tuple[int, int, int, int], ...]:
    """Return the entries of an uncompressed gray image."""
    return ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + SAMPLES["WEBP"][12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def avif(*boxes: bytes) -> bytes:
    """Return an AVIF with more boxes behind it, which leaves the offsets in it alone."""
    return SAMPLES["AVIF"] + b"".join(boxes)


def jpeg2000(
    side: int = 64,
    *,
    tile: int = 0,
    precincts: bytes = b"",
    levels: int = 0,
    layers: int = 1,
    order: int = 0,
    block: int = 4,
    components: int = 1,
    extra: bytes = b"",
) -> bytes:
    """Return the header of a codestream, and an empty tile."""
    size = struct.pack(
        ">HIIIIIIIIH", 0, side, side, 0, 0, tile or side, tile or side, 0, 0, components
    )
    style = struct.pack(">BBHBBBBBB", bool(precincts), order, layers, 0, levels, block, block, 0, 1)
    main = segment(0x51, size + b"\x07\x01\x01" * components) + segment(0x52, style + precincts)
    start = segment(0x90, struct.pack(">HIBB", 0, 14, 0, 1))
    return b"\xff\x4f" + main + segment(0x5C, b"\x20\x40") + extra + start + b"\xff\x93\xff\xd9"


def jp2(codestream: bytes, *boxes: bytes, inside: bytes = b"") -> bytes:
    side = struct.unpack_from(">I", codestream, 8)[0]
    ihdr = box(b"ihdr", struct.pack(">IIHBBBB", side, side, 1, 7, 7, 0, 0))
    colr = box(b"colr", b"\x01\0\0" + struct.pack(">I", 17))
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    jp2h = box(b"jp2h", ihdr + colr + inside)
    return start + jp2h + b"".join(boxes) + box(b"jp2c", codestream)


HEX_EXIF = b"Raw profile type exif\0\0" + zlib.compress(
    b"\n\n\n" + exif(2_000, 50_000).hex().encode()
)
BOMBS: dict[str, Callable[[], bytes]] = {
    "GIF comments": lambda: gif(b"\x21\xfe\x01a\0" * 90_000),
    "GIF one comment": lambda: gif(b"\x21\xfe" + b"\xff".ljust(256, b"a") * 16_000 + b"\0"),
    "GIF blocks": lambda: gif(b"\x21\xff" + b"\x01a" * 300_000 + b"\0"),
    "GIF empty first block": lambda: gif(b"\x21\x01\0" + b"\x01a" * 300_000 + b"\0"),
    "GIF stray bytes": lambda: gif(bytes(300_000)),
    "PNG chunks": lambda: png(1, 1, extra=chunk(b"prIv", b"") * 210_000),
    "PNG chunks behind the pixels": lambda: SAMPLES["PNG"][:-12] + chunk(b"prIv", b"") * 210_000,
    "PNG empty pixels": lambda: png(1, 1, extra=chunk(b"IDAT", b"") * 210_000),
    "PNG profiles": lambda: png(
        1, 1, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(9))) * 300
    ),
    "PNG texts": lambda: png(1, 1, extra=chunk(b"iTXt", b"a\0\1\0\0\0\xff") * 300),
    "PNG bytes beside the pixels": lambda: png(1, 1, extra=chunk(b"prIv", bytes(65 * MB))),
    "PNG numbers": lambda: png(1, 1, extra=chunk(b"cHRM", bytes(100_000))),
    "PNG EXIF": lambda: png(1, 1, extra=chunk(b"eXIf", exif(1_000, 50_000))),
    "PNG EXIF announced as BigTIFF": lambda: png(
        1, 1, extra=chunk(b"eXIf", exif_announced_as_bigtiff(1_000, 50_000))
    ),
    "PNG EXIF behind the pixels": lambda: (
        SAMPLES["PNG"][:-12] + chunk(b"eXIf", exif(1_000, 50_000))
    ),
    "PNG EXIF in hexadecimal": lambda: png(1, 1, extra=chunk(b"zTXt", HEX_EXIF)),
    "PNG EXIF by its name": lambda: png(1, 1, extra=chunk(b"eXIf", b"Exif\0\0" * 9)),
    "JPEG segments": lambda: jpeg(segment(0xEA, b"") * 11_000),
    "JPEG comments": lambda: jpeg(segment(0xFE, b"") * 11_000),
    "JPEG fill bytes": lambda: jpeg(b"\xff" * (2 * MB)),
    "JPEG stray bytes": lambda: jpeg(segment(0xEA, b"") + bytes(2 * MB)),
    "JPEG empty markers": lambda: jpeg(b"\xff\xd8" * (2 * MB)),
    "JPEG tables": lambda: jpeg(segment(0xDB, bytes(65 * 1_000)) * 20),
    "JPEG frames": lambda: jpeg(segment(0xC0, bytes(65_000)) * 20),
    "JPEG EXIF": lambda: jpeg(segment(0xE1, b"Exif\0\0" + exif(1_000, 60_000))),
    "JPEG segments of EXIF": lambda: jpeg(segment(0xE1, b"Exif\0\0") * 70),
    "JPEG directory of pictures": lambda: jpeg(segment(0xE2, b"MPF\0" + exif(1_000, 60_000))),
    "JPEG resources": lambda: jpeg(segment(0xED, b"Photoshop 3.0\0".ljust(60_000, b"a")) * 150),
    "TIFF tags": lambda: exif(1_000, 50_000),
    "TIFF tags, announced as BigTIFF": lambda: exif_announced_as_bigtiff(1_000, 50_000),
    "TIFF numbers": lambda: tiff(*gray_entries(1, 1), (40_000, 5, 250_000, 8), tail=bytes(2 * MB)),
    "TIFF strips": lambda: tiff(*gray_entries(9, 9), (273, 4, 150_000, 8), tail=bytes(MB)),
    "TIFF tiles": lambda: tiff(
        *gray_entries(9, 9), (322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 150_000, 8), tail=bytes(MB)
    ),
    "TIFF inner directory": lambda: tiff(
        *gray_entries(1, 1), (34665, 4, 1, 86), tail=exif(1_000, 50_000)[8:]
    ),
    "WEBP chunks": lambda: webp(riff(b"ABCD", b"") * 110_000),
    "WEBP EXIF": lambda: webp(riff(b"EXIF", exif(1_000, 50_000))),
    "BMP runs": lambda: (
        b"BM" + struct.pack("<IIIIiiHHI", 0, 0, 54, 40, 4, 4, 1, 8, 1) + bytes(100_000)
    ),
    "PPM spaces": lambda: b"P6 " + b" " * 100_000 + b"1 1 255 abc",
    "PPM comment": lambda: b"P6 #" + b"a" * 100_000 + b"\n1 1 255 abc",
    "PPM comments in a number": lambda: b"P6 1" + b"#\n" * 50_000 + b" 1 255 abc",
    "AVIF boxes": lambda: avif(box(b"free", b"") * 21_000),
    "AVIF nested boxes": lambda: avif(box(b"moov", box(b"trak", b"") * 21_000)),
    "AVIF items": lambda: avif(box(b"meta", bytes(4) + box(b"iloc", b"\0\0\0\0\x44\0\xff\xff"))),
    "AVIF references": lambda: avif(
        box(b"meta", bytes(4) + box(b"iref", bytes(4) + box(b"dimg", bytes(30_000))))
    ),
    "AVIF properties": lambda: avif(
        box(
            b"meta",
            bytes(4)
            + box(b"iprp", box(b"ipma", bytes(4) + struct.pack(">I", 11_000) + bytes(33_000))),
        )
    ),
    "AVIF samples": lambda: avif(
        box(b"moov", box(b"trak", box(b"stsz", bytes(8) + b"\0\xff\0\0")))
    ),
    "AVIF looks at a table": lambda: avif(
        box(
            b"stbl", box(b"stsc", bytes(4) + b"\0\0\xff\0") + box(b"stco", bytes(4) + b"\0\0\xff\0")
        )
    ),
    "JPEG2000 precincts": lambda: jpeg2000(7_000, precincts=b"\0"),
    "JPEG2000 precincts of a component": lambda: jpeg2000(
        7_000, extra=segment(0x53, b"\0\1\0\4\4\0\1\x11")
    ),
    "JPEG2000 precincts of a tile": lambda: (
        jpeg2000(7_000)[:-2] + segment(0x90, bytes(8)) + segment(0x52, b"\1\0\0\1\0\0\4\4\0\1\0")
    ),
    "JPEG2000 code blocks": lambda: jpeg2000(7_000, block=0),
    "JPEG2000 tiles": lambda: jpeg2000(7_000, tile=50),
    "JPEG2000 levels of tiles": lambda: jpeg2000(7_000, tile=60, levels=32, components=4),
    "JPEG2000 layers": lambda: jpeg2000(7_000, precincts=b"\x77", layers=65_535),
    "JPEG2000 positions": lambda: jpeg2000(
        7_000, precincts=b"\xff" * 31 + b"\xf1\x1f", levels=32, order=2
    ),
    "JPEG2000 changes of the progression": lambda: jpeg2000(
        7_000, precincts=b"\x77", layers=100, extra=segment(0x5F, b"\0\0\0\1\1\1\2" * 32)
    ),
    "JPEG2000 components": lambda: jpeg2000(components=16_384),
    "JPEG2000 segments": lambda: jpeg2000(extra=segment(0x64, b"\0\1") * 21_000),
    "JP2 precincts": lambda: jp2(jpeg2000(7_000, precincts=b"\0")),
    "JP2 boxes": lambda: jp2(jpeg2000(), box(b"free", b"") * 11_000),
    "JP2 palettes": lambda: jp2(jpeg2000(), inside=box(b"pclr", bytes(2 * MB))),
    "JP2 precincts behind another box": lambda: jp2(
        jpeg2000(7_000, precincts=b"\0"), box(b"uuid", b"\xff\x4f\xff\x51" + bytes(40))
    ),
}


@pytest.mark.parametrize("read", [decode, header])
@pytest.mark.parametrize("name", BOMBS)
def test_expensive_container_is_rejected_by_its_header(
    name: str, read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        pytest.fail("a decoder opened the file")  # no exception that the decoder would translate

    data = BOMBS[name]()
    monkeypatch.setattr("imgsearch.images.encoded_image.EncodedImage.open", fail)
    with pytest.raises((ImageTooLarge, ImageCorrupt)) as caught:
        read(data, path="straße.img")
    assert caught.value.stage == "header"
    assert str(caught.value).startswith("straße.img: ")


def test_metadata_of_real_files_is_within_the_limits() -> None:
    tags = Image.Exif()
    tags[0x010E], tags[0x0112] = "Straße", 6
    xmp = b"<x:xmpmeta " + b"a" * 60_000
    icc = bytes(400_000)
    options: dict[str, Any] = {"exif": tags, "icc_profile": icc}
    image = Image.fromarray(SCENE)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        more = {"xmp": xmp} if kind in {"JPEG", "WEBP", "AVIF"} else {}
        data = encoded(image, kind, **options, **more)
        assert decode(data).shape == (7, 5, 3), kind
    blocks = (
        b"\x21\xff\x0bXMP DataXMP" + b"".join(b"\x50" + b"a" * 80 for _ in range(2_000)) + b"\0"
    )
    assert decode(gif(blocks + b"\x21\xfe\x05hello\0")).shape == (1, 1, 3)
    assert decode(b"P6\n# GIMP\n1 1\n# more\n255\nabc").tolist() == [[[97, 98, 99]]]


@pytest.mark.parametrize(
    "options",
    [
        {"num_resolutions": 6, "tile_size": (64, 64), "quality_layers": [80, 40, 20, 10, 5]},
        {"num_resolutions": 6, "precinct_size": (128, 128), "progression": "RPCL"},
        {"codeblock_size": (16, 16), "progression": "PCRL"},
    ],
)
def test_jpeg2000_files_of_archives_pass(options: dict[str, Any]) -> None:
    image = Image.effect_noise((300, 200), 40)
    assert decode(encoded(image, "JPEG2000", irreversible=True, **options)).shape == (200, 300, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_large_canvas_is_rejected_before_allocation(kind: str) -> None:
    image = Image.new("P", (300, 200))
    data = encoded(image.convert("RGB") if kind == "WEBP" else image, kind)
    with pytest.raises(ImageTooLarge, match="300 x 200 pixels, at most 59,999"):
        decode(data, max_pixels=59_999)
    assert header(data) == (kind, 300, 200)


def test_header_of_an_animated_png_allocates_no_canvas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    frame = chunk(b"fcTL", struct.pack(">5IHHBB", 0, 6_000, 6_000, 0, 0, 1, 1, 1, 0))
    data = png(6_000, 6_000, extra=control + frame)
    monkeypatch.setattr("PIL.Image.core.fill", None)
    assert header(data) == ("PNG", 6_000, 6_000)


def test_header_finds_png_exif_behind_the_pixels_without_decoding() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    data = SAMPLES["PNG"][:-12] + chunk(b"eXIf", tags.tobytes()) + chunk(b"IEND", b"")
    assert header(data) == ("PNG", 5, 7)
    assert decode(data).shape == (7, 5, 3)
    assert header(data.replace(b"IDAT", b"IDAT", 1)[:-30] + b"broken") == ("PNG", 7, 5)


def test_gif_header_includes_the_size_of_its_first_frame() -> None:
    data = bytearray(gif(b"\x21\xf9\x04\x08\0\0\0\0"))
    at = data.index(b",")
    data[at + 5 : at + 9] = struct.pack("<HH", 40, 30)
    assert header(bytes(data)) == ("GIF", 40, 30)


@pytest.mark.parametrize("name", SAMPLES)
def test_truncated_file_is_passed_to_its_decoder(name: str) -> None:
    data = SAMPLES[name]
    for end in range(0, len(data), max(1, len(data) // 40)):
        with contextlib.suppress(ImageCorrupt, FormatRefused):
            decode(data[:end])


@pytest.mark.parametrize("frames", [1, 2])
def test_avif_size_is_the_size_of_its_frames(frames: int) -> None:
    more = [Image.new("RGB", (300, 200), "red")] * (frames - 1)
    data = encoded(
        Image.new("RGB", (300, 200)), "AVIF", speed=10, save_all=True, append_images=more
    )
    whole, small = (struct.pack(">III", 0, *size) for size in ((300, 200), (10, 10)))
    lie = data.replace(b"ispe" + whole, b"ispe" + small)
    assert lie != data
    assert decode(data, max_pixels=60_000).shape == (200, 300, 3)
    with pytest.raises(ImageTooLarge, match="300 x 200 pixels, at most 59,999"):
        decode(lie, max_pixels=59_999)


def test_av1_sizes_are_read_behind_timing_and_decoder_models() -> None:
    # 5.5.1: profile 0, no still picture, timing (2 x 32 bits, equal, 00101 = 4), decoder model (5,
    # 32, 5 and 5 bits), no display delay, one operating point of level 8 in tier 1 with a model of
    # 2 x 10 bits and a flag; then sizes of 11 and 10 bits: 1,920 - 1 and 1,080 - 1 (11 bits)
    bits = "000001" + "0" * 64 + "100101101001" + "0" * 42
    bits += "000000" + "0" * 12 + "0100011" + "0" * 21
    bits += "10101010" + f"{1_919:011b}" + f"{1_079:011b}"
    head = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    padding = bytes([15 << 3 | 2, 3]) + b"abc"
    assert list(frame_sizes(padding + bytes([1 << 3 | 2, len(head)]) + head)) == [(1_920, 1_080)]
    assert list(frame_sizes(bytes([1 << 3 | 4, 0]) + head)) == [(1_920, 1_080)]
