"""Files of every format with random faults."""

import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

from tests.images.test_bounds import jp2, jpeg2000
from tests.images.test_decoder import SAMPLES, encoded

TINY = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
NUMBERS = (0, 1, 2, 7, 8, 9, 32, 127, 128, 255, 256, 4_095, 32_767, 32_768, 65_535, 65_536)
NUMBERS += (1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
# names that precede a length, a count or a size in some format
NAMES = (
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"iTXt"),
    *(b"eXIf", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xdd"),
    *(b"\xff\xe1", b"\xff\xe2", b"II*\0", b"MM\0*", b"\xff\x4f\xff\x51", b"\xff\x52", b"\xff\x53"),
    *(b"\xff\x5c", b"\xff\x5f", b"\xff\x90", b"jp2h", b"ihdr", b"colr", b"jp2c", b"VP8X", b"VP8L"),
    *(b"VP8 ", b"ANIM", b"ANMF", b"ALPH", b"EXIF", b"iloc", b"iinf", b"infe", b"ipma", b"ispe"),
    *(b"pixi", b"av1C", b"meta", b"mdat", b"stbl", b"stsz", b"stsc", b"stco", b"GIF8", b"BM"),
    *(b"\x21\xf9", b"\x21\xfe", b"\x21\xff", b",", b"P6", b"Pf"),
)


@cache
def seeds():
    """Return the files to mutate: every format and variant, small and larger."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "Straße"
    noise = Image.merge("RGB", [Image.effect_noise((180, 130), 60) for _ in range(3)])
    alpha = noise.copy()
    alpha.putalpha(Image.effect_noise((180, 130), 90))
    meta = {"exif": exif, "icc_profile": bytes(600)}

    def frames():
        # copies, because an image keeps the options of its last encoder
        turned = [noise.transpose(Image.Transpose.ROTATE_180) for _ in range(3)]
        return {"save_all": True, "append_images": turned}

    variants = {
        "JPEG large": encoded(noise, "JPEG", quality=80, comment=b"a", **meta),
        "JPEG progressive large": encoded(noise, "JPEG", progressive=True, quality=60),
        "JPEG grey": encoded(noise.convert("L"), "JPEG", restart_marker_blocks=4),
        "MPO large": encoded(noise, "MPO", **frames()),
        "PNG large": encoded(alpha, "PNG", **meta),
        "PNG 16": encoded(
            Image.fromarray(np.arange(4_000, dtype=np.uint16).reshape(50, 80)), "PNG"
        ),
        "APNG large": encoded(alpha, "PNG", disposal=1, **frames()),
        "WEBP large": encoded(alpha, "WEBP", quality=70, **meta),
        "WEBP animated": encoded(alpha, "WEBP", **frames()),
        "GIF large": encoded(noise.convert("P"), "GIF", comment=b"abc", transparency=3, **frames()),
        "BMP palette": encoded(noise.convert("P"), "BMP"),
        "BMP runs": b"BM"
        + struct.pack("<IIIIiiHHIIIIII", 0, 0, 1_078, 40, 60, 40, 1, 8, 1, 0, 0, 0, 0, 0)
        + bytes(range(256)) * 4
        + b"\x3c\x07\0\0" * 40
        + b"\0\1",
        "TIFF deflate": encoded(noise, "TIFF", compression="tiff_adobe_deflate", **meta),
        "TIFF jpeg": encoded(noise, "TIFF", compression="jpeg"),
        "TIFF lzma": encoded(noise, "TIFF", compression="lzma"),
        "TIFF g4": encoded(noise.convert("1"), "TIFF", compression="group4"),
        "TIFF big": encoded(noise, "TIFF", big_tiff=True),
        "TIFF pages": encoded(noise.copy(), "TIFF", **frames()),
        "TIFF CMYK": encoded(noise.convert("CMYK"), "TIFF", compression="packbits"),
        "JPEG2000 large": encoded(alpha, "JPEG2000", tile_size=(64, 64), num_resolutions=4),
        "JPEG2000 layers": encoded(
            noise,
            "JPEG2000",
            quality_layers=[40, 20, 5],
            irreversible=True,
            precinct_size=(64, 64),
            progression="RPCL",
        ),
        "JPEG2000 header": jpeg2000(64, precincts=b"\x22\x33", levels=1),
        "JP2 header": jp2(jpeg2000(64, levels=5)),
        "PPM odd": b"P6\n# a\n60 40 254\n" + bytes(range(240)) * 30,
        "PGM 16": b"P5 60 40 65535\n" + bytes(4_800),
        "AVIF large": encoded(alpha, "AVIF", quality=60, speed=9, **meta),
        "AVIF animated": encoded(noise, "AVIF", speed=9, **frames()),
    }
    return {**SAMPLES, **variants}


def files(number, rng):
    """Yield names and bytes of `number` files, all formats in turn."""
    good = list(seeds().items())
    for count in range(number):
        name, data = good[count % len(good)]
        changed = data
        used = []
        for _ in range(int(rng.integers(1, 4))):
            mutate = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            used.append(mutate.__name__.strip("_"))
            changed = mutate(changed, rng) or data
        if name.startswith(("PNG", "APNG")) and rng.integers(3):
            changed = _with_checksums(changed)
        yield f"{count} {name} {'+'.join(used)}", changed


def _bytes(data, rng):
    changed = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, max(2, len(data) // 100)))):
        changed[place] = int(rng.integers(256))
    return bytes(changed)


def _bit(data, rng):
    changed = bytearray(data)
    changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _number(data, rng):
    """Write a number that is often mishandled, mostly near the start."""
    size = int(rng.choice([1, 2, 3, 4, 8]))
    place = int(rng.integers(0, min(len(data), 600 if rng.integers(4) else 1 << 30)))
    return _put(data, place, size, rng)


def _field(data, rng):
    """Write such a number behind the name of a part, over its length or fields."""
    places = [data.find(name, 0) for name in NAMES]
    places = [place for place in places if place >= 0]
    if not places:
        return _number(data, rng)
    place = int(rng.choice(places)) + int(rng.integers(-4, 40))
    return _put(data, max(0, place), int(rng.choice([1, 2, 3, 4])), rng)


def _put(data, place, size, rng):
    number = int(rng.choice(np.array([*NUMBERS, len(data)])))
    order = "big" if rng.integers(2) else "little"
    value = (number & (1 << 8 * size) - 1).to_bytes(size, order)
    return data[:place] + value + data[place + size :]


def _cut(data, rng):
    return data[: int(rng.integers(1, len(data) + 1))]


def _hole(data, rng):
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def _repeat(data, rng):
    start = int(rng.integers(len(data)))
    part = data[start : start + int(rng.integers(1, 300))]
    return data[:start] + part * int(rng.choice([2, 3, 10, 100, 3_000])) + data[start:]


def _splice(data, rng):
    other = list(seeds().values())[int(rng.integers(len(seeds())))]
    return data[: int(rng.integers(len(data)))] + other[int(rng.integers(len(other))) :]


MUTATIONS = (_bytes, _bit, _number, _number, _field, _field, _field, _cut, _hole, _repeat, _splice)


def _with_checksums(data):
    """Return a PNG with correct checksums, so that its decoder reads the changed bytes."""
    changed, at = bytearray(data), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        end = at + 8 + length
        changed[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(changed)
