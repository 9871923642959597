"""Files of a given size that cause the most work for their decoder."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageFile

from tests.images.test_bounds import (
    BOMBS,
    box,
    exif,
    gif,
    gray_entries,
    jp2,
    jpeg2000,
    riff,
    segment,
    tiff,
    webp,
)
from tests.images.test_decoder import SAMPLES, chunk, encoded, png

SIDE = 7_000  # 49 megapixels, which is just within the default limit
HALF = 0.6  # of the size, for parts that are a bit larger than their content


def files(size, only=""):
    """Yield the bombs of at most `size` bytes whose names contain `only`, by name."""
    for name, make in (*BOMBS.items(), *FILLED.items(), *PIXELS.items()):
        if only not in name:
            continue
        data = make(size) if name in FILLED or name in PIXELS else make()
        if data is not None and len(data) <= size:
            yield name, data


def _filled(head, part, tail, size):
    """Return head, as many parts as fit, and tail."""
    return head + part * ((size - len(head) - len(tail)) // len(part)) + tail


def _around(data, at, part, size):
    return _filled(data[:at], part, data[at:], size)


def _png(part, size):
    start = png(1, 1, rows=b"\0\0")
    return _around(start, 33, part, size)


def _png_tail(part, size):
    data = png(1, 1, rows=b"\0\0")
    return _around(data, len(data) - 12, part, size)


def _gif(part, size):
    data = gif(b"")
    return _around(data, data.index(b","), part, size)


def _gif_tail(part, size):
    return _filled(gif(b"")[:-1], part, b";", size)


def _jpeg(part, size):
    return _around(SAMPLES["JPEG"], 20, part, size)


def _jpeg_tail(part, size):
    return _around(SAMPLES["JPEG"], len(SAMPLES["JPEG"]) - 2, part, size)


def _tiff(entries, size, **options):
    return tiff(*entries, tail=bytes(size - 14 - 12 * len(entries)), **options)


def _ifds(size):
    """Return a chain of directories, each of one tag, behind the first one's pixels."""
    number = size // 18 - 20
    start = 8 + 2 + 12 * 6 + 4
    first = tiff(*gray_entries(1, 1), (273, 4, 1, 8))[:-4] + struct.pack("<I", start)
    return first + b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, 1, start + 18 * (number_before + 1))
        for number_before in range(number)
    )


def _entries(size):
    """Return a BigTIFF of millions of tags."""
    number = (size - 32) // 20
    entry = struct.pack("<HHQQ", 40_000, 4, 1, 1)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, number) + entry * number + bytes(8)


def _moov(*tables):
    stbl = box(b"stbl", b"".join(tables))
    minf = box(b"minf", stbl)
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    mdhd = box(b"mdhd", bytes(12) + struct.pack(">II", 1, 1) + bytes(4))
    mdia = box(b"mdia", mdhd + handler + minf)
    tkhd = box(b"tkhd", bytes(12) + b"\0\0\0\1" + bytes(60) + b"\0\1\0\0\0\1\0\0")
    mvhd = box(b"mvhd", bytes(100))
    return box(b"ftyp", b"avis\0\0\0\0avisavifmsf1") + box(
        b"moov", mvhd + box(b"trak", tkhd + mdia)
    )


def _meta(*boxes):
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(
        b"meta", bytes(4) + handler + b"".join(boxes)
    )


def _table(name, entry, number):
    return box(name, bytes(4) + struct.pack(">I", number) + entry * number)


FILLED = {
    "filled GIF comments": lambda size: _gif(b"\x21\xfe\x01a\0", size),
    "filled GIF comment": lambda size: _gif(
        b"\x21\xfe" + b"\xff".ljust(256, b"a") * 5_000 + b"\0", size
    ),
    "filled GIF application": lambda size: _gif(b"\x21\xff\x0bNETSCAPE2.0\x03\1\0\0\0", size),
    "filled GIF control": lambda size: _gif(b"\x21\xf9\x04\0\0\0\0\0", size),
    "filled GIF bytes": lambda size: _gif(b"\0", size),
    "filled GIF frames": lambda size: _gif_tail(gif(b"")[13 + 768 : -1] or b"\0", size),
    "filled GIF empty pixels": lambda size: _filled(gif(b"")[:-5], b"\x01\0", b"\0;", size),
    "filled PNG private": lambda size: _png(chunk(b"prIv", b""), size),
    "filled PNG private tail": lambda size: _png_tail(chunk(b"prIv", b""), size),
    "filled PNG large private": lambda size: _png(chunk(b"prIv", bytes(size // 2 - 500)), size),
    "filled PNG texts": lambda size: _png(chunk(b"tEXt", b"a\0b"), size),
    "filled PNG text": lambda size: _png(chunk(b"tEXt", b"a\0".ljust(size - 500, b"b")), size),
    "filled PNG zTXt": lambda size: _png(
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20))), size
    ),
    "filled PNG iTXt": lambda size: _png(
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"\xff" * (1 << 20))), size
    ),
    "filled PNG iCCP": lambda size: _png(
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20))), size
    ),
    "filled PNG cHRM": lambda size: _png(chunk(b"cHRM", bytes(size - 500)), size),
    "filled PNG tRNS": lambda size: _png(chunk(b"tRNS", bytes(size - 500)), size),
    "filled PNG EXIF": lambda size: _png(chunk(b"eXIf", exif(60_000, size - 500)), size),
    "filled PNG EXIF prefix": lambda size: _png(
        chunk(b"eXIf", b"Exif\0\0" * (size // 6 - 90)), size
    ),
    "filled PNG EXIF text": lambda size: _png(
        chunk(b"tEXt", b"Raw profile type exif\0" + b"\n\n\n" + b"00" * (size // 2 - 500)), size
    ),
    "filled PNG empty IDAT": lambda size: _around(
        png(1, 1, rows=b"\0\0"), 33, chunk(b"IDAT", b""), size
    ),
    "filled PNG fcTL": lambda size: _png(
        chunk(b"acTL", struct.pack(">II", 9, 0))
        + chunk(b"fcTL", struct.pack(">5IHHBB", 0, 1, 1, 0, 0, 1, 1, 1, 0)),
        size,
    ),
    "filled PNG fdAT tail": lambda size: _png_tail(chunk(b"fdAT", b"\0\0\0\1"), size),
    "filled JPEG APP": lambda size: _jpeg(segment(0xEA, b""), size),
    "filled JPEG COM": lambda size: _jpeg(segment(0xFE, b""), size),
    "filled JPEG large APP": lambda size: _jpeg(segment(0xEA, bytes(65_000)), size),
    "filled JPEG fill": lambda size: _jpeg(b"\xff", size),
    "filled JPEG junk": lambda size: _jpeg(b"\0", size),
    "filled JPEG SOI": lambda size: _jpeg(b"\xff\xd8", size),
    "filled JPEG DQT": lambda size: _jpeg(segment(0xDB, bytes(65 * 1_000)), size),
    "filled JPEG DHT": lambda size: _jpeg(segment(0xC4, bytes(17)), size),
    "filled JPEG SOF": lambda size: _jpeg(segment(0xC0, bytes(65_000)), size),
    "filled JPEG EXIF": lambda size: _jpeg(segment(0xE1, b"Exif\0\0" + bytes(60_000)), size),
    "filled JPEG ICC": lambda size: _jpeg(
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000)), size
    ),
    "filled JPEG 8BIM": lambda size: _jpeg(
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5_000), size
    ),
    "filled JPEG tail": lambda size: _jpeg_tail(segment(0xEA, b""), size),
    "filled JPEG behind the end": lambda size: _filled(SAMPLES["JPEG"], b"\xff\xd8\xff", b"", size),
    "filled TIFF directories": _ifds,
    "filled TIFF tags": _entries,
    "filled TIFF shared tags": lambda size: exif(60_000, size),
    "filled TIFF strips": lambda size: _tiff(
        (*gray_entries(1, (size - 200) // 4), (273, 4, (size - 200) // 4, 90), (278, 3, 1, 1)), size
    ),
    "filled TIFF rationals": lambda size: _tiff(
        (*gray_entries(1, 1), (40_000, 5, (size - 200) // 8, 90)), size
    ),
    "filled TIFF bytes": lambda size: _tiff(
        (*gray_entries(1, 1), (40_000, 7, size - 200, 90), (273, 4, 1, 8)), size
    ),
    "filled TIFF texts": lambda size: _tiff(
        (*gray_entries(1, 1), (270, 2, size - 200, 90), (273, 4, 1, 8)), size
    ),
    "filled TIFF XMP": lambda size: _tiff(
        (*gray_entries(1, 1), (273, 4, 1, 8), (700, 1, size - 200, 90)), size
    ),
    "filled TIFF profile, on its side": lambda size: _tiff(
        (*gray_entries(1, 1), (273, 4, 1, 8), (274, 3, 1, 6), (34675, 7, size - 200, 110)), size
    ),
    "filled WEBP chunks": lambda size: webp(riff(b"ABCD", b"") * ((size - 400) // 8)),
    "filled WEBP large chunk": lambda size: webp(riff(b"ABCD", bytes(size - 400))),
    "filled WEBP EXIF": lambda size: webp(riff(b"EXIF", exif(60_000, size - 400))),
    "filled BMP runs": lambda size: (
        b"BM" + struct.pack("<IIIIiiHHI", 0, 0, 54, 40, 9, 9, 1, 8, 1) + bytes(size - 60)
    ),
    "filled PPM spaces": lambda size: b"P6 ".ljust(size - 20) + b"1 1 255 abc",
    "filled PPM comment": lambda size: b"P6 #".ljust(size - 20, b"a") + b"\n1 1 255 abc",
    "filled AVIF boxes": lambda size: _filled(SAMPLES["AVIF"], box(b"free", b""), b"", size),
    "filled AVIF locations": lambda size: _meta(
        box(b"iloc", b"\2\0\0\0\0\0" + struct.pack(">I", size // 10 - 90) + bytes(size - 1_000))
    ),
    "filled AVIF entries": lambda size: _meta(
        box(b"iinf", bytes(4) + b"\xff\xff" + box(b"infe", b"\2\0\0\0\0\1\0\0av01\0") * 65_000)
    ),
    "filled AVIF properties": lambda size: _meta(
        box(b"iprp", box(b"ipco", box(b"free", b"") * (size // 9)))
    ),
    "filled AVIF references": lambda size: _meta(
        box(b"iref", bytes(4) + box(b"dimg", b"\0\1\xff\xff" + bytes(131_070)) * (size // 140_000))
    ),
    "filled AVIF film": lambda size: _moov(
        _table(b"stsc", struct.pack(">III", 1, 0, 1), size // 40),
        _table(b"stco", b"\0\0\0\1", size // 40),
        _table(b"stsz", b"\0\0\0\1", 1),
    ),
    "filled AVIF film of samples": lambda size: _moov(
        _table(b"stsc", struct.pack(">III", 1, 1, 1), 1),
        _table(b"stco", b"\0\0\0\1", size // 9),
        box(b"stsz", bytes(4) + struct.pack(">II", 1, size // 9)),
    ),
    "filled JPEG2000 comments": lambda size: jpeg2000(
        extra=segment(0x64, b"\0\1") * ((size - 400) // 6)
    ),
    "filled JPEG2000 styles": lambda size: jpeg2000(
        extra=segment(0x53, b"\0\0\0\4\4\0\1") * ((size - 400) // 11)
    ),
    "filled JPEG2000 near styles": lambda size: jpeg2000() + b"\xff\x52" * (size // 2 - 200),
    "filled JPEG2000 tile parts": lambda size: _filled(
        jpeg2000()[:-2],
        segment(0x90, struct.pack(">HIBB", 0, 14, 1, 0)) + b"\xff\x93",
        b"\xff\xd9",
        size,
    ),
    "filled JP2 boxes": lambda size: jp2(jpeg2000(), box(b"free", b"") * ((size - 500) // 8)),
    "filled JP2 header": lambda size: jp2(
        jpeg2000(), inside=box(b"free", b"") * ((size - 500) // 8)
    ),
    "filled JP2 palette": lambda size: jp2(
        jpeg2000(),
        inside=box(b"pclr", b"\xff\xff\4\7\7\7\7" + bytes(4 * 65_535)) * (size // 300_000),
    ),
}


ImageFile.MAXBLOCK = 1 << 28  # noise as a progressive JPEG is larger than Pillow expects


def _noise(side, bands="RGB"):
    values = np.random.default_rng(1).integers(0, 256, (side, side, len(bands)), dtype=np.uint8)
    return Image.fromarray(values.squeeze(), None if len(bands) > 1 else "L")


def _fitted(kind, bands, size, bytes_a_pixel, **options):
    """Return noise in a format, as many pixels of it as fit the size and the limit."""
    side = min(SIDE, int((size / bytes_a_pixel) ** 0.5)) // 16 * 16
    return encoded(_noise(side, bands), kind, **options)


def _flat(kind, mode="RGB", **options):
    return encoded(Image.new(mode, (SIDE, SIDE)), kind, **options)


def _scans(_size):
    """Return a progressive JPEG of 100 scans, all but 10 of them empty."""
    data = encoded(Image.new("L", (SIDE, SIDE)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (100 - data.count(b"\xff\xda\0")) + b"\xff\xd9"


def _fringe(kind, side=2_200, **options):
    """Return a flat picture of many small tiles or strips."""
    return encoded(Image.new("L", (side, side)), kind, **options)


PIXELS = {
    "pixels JPEG noise": lambda size: _fitted("JPEG", "RGB", size, 5.5, quality=100, subsampling=0),
    "pixels JPEG progressive noise": lambda size: _fitted(
        "JPEG", "RGB", size, 3.3, quality=97, subsampling=0, progressive=True
    ),
    "pixels JPEG progressive CMYK": lambda _size: _flat("JPEG", "CMYK", progressive=True),
    "pixels JPEG 400 MP": lambda _size: encoded(Image.new("L", (20_000, 20_000)), "JPEG"),
    "pixels JPEG 390 MP, color": lambda _size: encoded(
        Image.new("RGB", (24_000, 16_000)), "JPEG", subsampling=0
    ),
    "pixels JPEG 98 MP, progressive": lambda _size: encoded(
        Image.new("CMYK", (14_000, 7_000)), "JPEG", progressive=True
    ),
    "pixels JPEG scans": _scans,
    "pixels PNG noise": lambda size: _fitted("PNG", "RGBA", size, 4.01, compress_level=1),
    "pixels PNG 16 bits": lambda _size: _deep_png(),
    "pixels PNG interlaced": lambda _size: _deep_png(interlaced=True),
    "pixels PNG with a transparent color": lambda _size: _deep_png(key=bytes(6)),
    "pixels PNG animated": lambda _size: _flat(
        "PNG",
        "RGBA",
        save_all=True,
        append_images=[Image.new("RGBA", (SIDE, SIDE), "red")],
        disposal=1,
    ),
    "pixels WEBP noise": lambda size: _fitted(
        "WEBP", "RGB", min(size, 36 << 20), 4, quality=100, method=0
    ),
    "pixels WEBP lossless": lambda size: _fitted(
        "WEBP", "RGBA", size, 4.1, lossless=True, quality=0, method=0
    ),
    "pixels WEBP flat": lambda _size: _flat("WEBP", "RGBA", lossless=True, quality=0, method=0),
    "pixels GIF noise": lambda size: _fitted("GIF", "L", size, 1.7),
    "pixels GIF transparent": lambda _size: _flat("GIF", "P", transparency=1, disposal=2),
    "pixels BMP": lambda size: _fitted("BMP", "RGBA", size, 4.01),
    "pixels BMP runs": lambda size: (
        b"BM"
        + struct.pack("<IIIIiiHHI", 0, 0, 1_078, 40, 1_580, 1_580, 1, 8, 1)
        + bytes(20 + 1_024)
        + b"\1\7" * (1_580 * 1_580)
        + b"\0\1"
    ),
    **{
        f"pixels TIFF {name}": lambda size, name=name: _fitted(
            "TIFF", "RGBA", size, 5.5, compression=name
        )
        for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd", "packbits")
    },
    "pixels TIFF jpeg": lambda size: _fitted(
        "TIFF", "RGB", size, 4.8, compression="jpeg", quality=100
    ),
    "pixels TIFF g4": lambda size: encoded(
        _noise(2_000, "L").convert("1"), "TIFF", compression="group4"
    ),
    "pixels TIFF g3 flat": lambda _size: _flat("TIFF", "1", compression="group3"),
    "pixels TIFF LAB": lambda size: _flat("TIFF", "LAB"),
    "pixels TIFF floats": lambda size: encoded(
        Image.new("F", (SIDE, SIDE // (1 if size > 2e8 else 4))), "TIFF"
    ),
    "pixels TIFF on its side": lambda _size: _flat(
        "TIFF", "CMYK", exif=_turned(), compression="lzma"
    ),
    "pixels TIFF rows": lambda _size: encoded(
        Image.new("L", (250, 190_000)), "TIFF", tiffinfo={278: 1}
    ),
    "pixels JPEG2000 noise": lambda size: _fitted("JPEG2000", "RGB", min(size, 11 << 20), 3.4),
    "pixels JPEG2000 flat": lambda _size: encoded(Image.new("RGB", (6_000, 4_900)), "JPEG2000"),
    "pixels JPEG2000 layers": lambda size: _fitted(
        "JPEG2000", "RGB", min(size, 16 << 20), 1, irreversible=True, quality_layers=[20]
    ),
    "pixels JPEG2000 small blocks": lambda _size: _fringe("JPEG2000", codeblock_size=(4, 4)),
    "pixels JPEG2000 small tiles": lambda _size: _fringe(
        "JPEG2000", tile_size=(20, 20), num_resolutions=2
    ),
    "pixels PPM": lambda size: _fitted("PPM", "RGB", size, 3.01),
    "pixels PPM odd": lambda _size: b"P6 912 912 254\n" + bytes(3 * 912 * 912),
    "pixels PPM odd 16": lambda _size: b"P6 912 912 40000\n" + bytes(6 * 912 * 912),
    "pixels PFM": lambda size: b"Pf 7000 7000 1\n".ljust(min(size, 196_000_015), b"a"),
    "pixels AVIF noise": lambda size: _fitted(
        "AVIF", "RGB", min(size, 32 << 20), 4, quality=100, speed=10, subsampling="4:4:4"
    ),
    "pixels AVIF flat": lambda _size: _flat("AVIF", "RGBA", speed=10, subsampling="4:4:4"),
    "pixels AVIF lie": lambda _size: _flat("AVIF", speed=10, subsampling="4:4:4").replace(
        b"ispe" + struct.pack(">III", 0, SIDE, SIDE), b"ispe" + struct.pack(">III", 0, 64, 64)
    ),
}


def _turned():
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


def _deep_png(*, interlaced=False, key=b""):
    """Return a flat PNG of 16 bits, of four channels or of three with a transparent color."""
    kind = 2 if key else 6
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, kind, 0, 0, interlaced))
    first += chunk(b"tRNS", key) if key else b""
    rows = zlib.compress(bytes(SIDE * (8 * SIDE + 1) + 100_000), 1)
    return b"\x89PNG\r\n\x1a\n" + first + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
