"""OpenCV decodes the files that it takes to Pillow's pixels, and only these files."""

import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import ImageError
from imgsearch.images import decode, decoder, opencv
from imgsearch.images.formats import HEAD, sniff
from imgsearch.images.pillow_warnings import no_warnings
from tests.images.test_decoder import SAMPLES, SCENE, SHARED, chunk, encoded

cv2 = pytest.importorskip("cv2")
COLOR = Image.fromarray(np.kron(SCENE, np.ones((6, 6, 1), np.uint8)))  # 42 x 30 pixels


def by_pillow(data: bytes, mode: str) -> np.ndarray[Any, Any]:
    pixels = np.array(decoder.picture(data))
    return pixels if mode == "RGB" else pixels[..., ::-1]


def by_opencv(data: bytes, mode: str = "RGB") -> Any:
    """Return the pixels of `opencv`, or None if it leaves the file to Pillow."""
    opencv.load()
    with no_warnings():
        file = decoder._encoded_image(data, decoder.MAX_PIXELS)
        return opencv.pixels(file.open(), file, mode=mode)


TAKEN = {
    "JPEG 4:2:0": encoded(COLOR, "JPEG"),
    "JPEG 4:2:2": encoded(COLOR, "JPEG", subsampling="4:2:2"),
    "JPEG 4:4:4": encoded(COLOR, "JPEG", subsampling="4:4:4"),
    "JPEG RGB": encoded(COLOR, "JPEG", keep_rgb=True),
    "JPEG gray": encoded(COLOR.convert("L"), "JPEG"),
    "JPEG with restart markers": encoded(COLOR, "JPEG", restart_marker_rows=1),
    "JPEG with Exif": SAMPLES["JPEG"],
    "PNG": encoded(COLOR, "PNG"),
    "PNG gray": encoded(COLOR.convert("L"), "PNG"),
    "PNG palette": encoded(COLOR.convert("P"), "PNG"),
    "PNG with text": SAMPLES["PNG"],
}
LEFT = {
    "JPEG progressive": encoded(COLOR, "JPEG", progressive=True),
    "JPEG CMYK": SAMPLES["JPEG CMYK"],
    "MPO": SAMPLES["MPO"],
    "JPEG with bytes after its end": TAKEN["JPEG 4:2:0"] + b"more",
    "PNG palette with transparency": SAMPLES["PNG palette"],
    "PNG with alpha": encoded(COLOR.convert("RGBA"), "PNG"),
    "PNG 16-bit": encoded(Image.fromarray(np.arange(70_000, dtype=np.uint16)[:6, None]), "PNG"),
    "PNG 1-bit": encoded(COLOR.convert("1"), "PNG"),
    "APNG": SAMPLES["APNG"],
    "GIF": SAMPLES["GIF"],
    "WEBP": SAMPLES["WEBP"],
}


@pytest.mark.parametrize("mode", ["RGB", "BGR"])
@pytest.mark.parametrize("name", TAKEN)
def test_opencv_decodes_to_pillows_pixels(name: str, mode: str) -> None:
    assert np.array_equal(by_opencv(TAKEN[name], mode), by_pillow(TAKEN[name], mode))
    pixels = decode(TAKEN[name], mode=mode)  # type: ignore[arg-type]
    assert np.array_equal(pixels, by_pillow(TAKEN[name], mode))
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("mode", ["RGB", "BGR"])
@pytest.mark.parametrize("name", LEFT)
def test_other_files_are_left_to_pillow(name: str, mode: str) -> None:
    assert by_opencv(LEFT[name]) is None
    pixels = decode(LEFT[name], mode=mode)  # type: ignore[arg-type]
    assert np.array_equal(pixels, by_pillow(LEFT[name], mode))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(COLOR, kind, exif=exif)
    assert by_opencv(data).shape == (30, 42, 3)  # as stored
    assert np.array_equal(decode(data), by_pillow(data, "RGB"))


def test_orientation_after_the_pixels_of_a_png_is_applied() -> None:
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6
    data = TAKEN["PNG"][:-12] + chunk(b"eXIf", exif) + chunk(b"IEND", b"")
    assert by_opencv(data) is None
    assert decode(data).shape == (42, 30, 3)


def test_index_beyond_a_palette_is_left_to_pillow_or_equal() -> None:
    header = b"\0\0\0\2\0\0\0\1\x08\3\0\0\0"  # 2 x 1, palette
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", b"\1\2\3\4\5\6")
    data += chunk(b"IDAT", zlib.compress(b"\0\0\5"))  # indexes 0 and 5
    data += chunk(b"IEND", b"")
    assert np.array_equal(decode(data), by_pillow(data, "RGB"))


def test_damaged_files_give_pillows_pixels_or_errors() -> None:
    numbers = random.Random(7)  # noqa: S311  # damages that repeat
    for data in TAKEN.values():
        for _ in range(20):
            damaged = bytearray(data)
            for _ in range(numbers.randrange(1, 4)):
                damaged[numbers.randrange(2, len(data))] ^= 1 << numbers.randrange(8)
            del damaged[numbers.choice([len(data), numbers.randrange(2, len(data))]) :]
            try:
                expected: Any = by_pillow(bytes(damaged), "RGB")
            except ImageError as error:
                expected = error
            if isinstance(expected, ImageError):
                with pytest.raises(type(expected)) as raised:
                    decode(bytes(damaged))
                assert str(raised.value) == str(expected)
            else:
                assert np.array_equal(decode(bytes(damaged)), expected)


def test_scaled_jpeg_is_left_to_pillow() -> None:
    data = encoded(COLOR.resize((80, 64)), "JPEG")
    assert decode(data, at_least=30).shape == (32, 40, 3)
    assert np.array_equal(decode(data, at_least=30), np.array(decoder.picture(data, at_least=30)))


def shared_images() -> list[Path]:
    """Return every 10th image of the subset, and all difficult JPEG and PNG files."""
    subset = sorted((SHARED / "imagenet-subset").rglob("*.JPEG"))[::10]
    nasty = sorted(path for path in (SHARED / "nasty").rglob("*") if path.is_file())
    return subset + [path for path in nasty if sniff(path.read_bytes()[:HEAD]) in ("JPEG", "PNG")]


@pytest.mark.long
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_pixels_of_shared_images_equal_pillows() -> None:
    taken = 0
    for path in shared_images():
        data = path.read_bytes()
        try:
            expected = by_pillow(data, "RGB")
        except ImageError:
            with pytest.raises(ImageError):
                decode(data)
            continue
        assert np.array_equal(decode(data), expected), path
        taken += by_opencv(data) is not None
    assert taken > 110  # all of the subset, and some of the difficult files


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


FILE = f"data = bytes.fromhex('{TAKEN['JPEG 4:2:0'].hex()}')\n"


def test_opencv_is_imported_after_some_images() -> None:
    code = f"""{FILE}
import sys, imgsearch
from imgsearch.images import decode
first = [decode(data) for _ in range(64)]
print("cv2" in sys.modules)
assert (decode(data) == first[0]).all()
print("cv2" in sys.modules)
"""
    assert run(code).split() == ["False", "True"]


def test_opencv_is_not_imported_for_other_files() -> None:
    data = LEFT["GIF"].hex()
    code = f"""
import sys
from imgsearch.images import decode
for _ in range(100): decode(bytes.fromhex('{data}'))
print("cv2" in sys.modules)
"""
    assert run(code) == "False"


def test_decoding_starts_no_threads() -> None:
    code = f"""{FILE}
import psutil
from imgsearch.images import decode, opencv
assert opencv.load()
before = psutil.Process().num_threads()
for mode in ("RGB", "BGR"): decode(data, mode=mode)
print(psutil.Process().num_threads() - before)
"""
    assert run(code) == "0"


def test_pillow_decodes_without_opencv() -> None:
    code = f"""{FILE}
import sys
sys.modules["cv2"] = None
from imgsearch.images import decode, opencv
assert not opencv.load()
print(*{{decode(data).shape for _ in range(70)}})
"""
    assert run(code) == "(30, 42, 3)"


def test_build_with_other_pixels_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    imdecode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: imdecode(data, flags) // 2 * 2)
    opencv._agrees.cache_clear()
    try:
        assert not opencv.load()
        assert by_opencv(TAKEN["PNG"]) is None
        assert np.array_equal(decode(TAKEN["PNG"]), np.array(COLOR))
    finally:
        opencv._agrees.cache_clear()


def test_missing_name_of_an_old_version_turns_opencv_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "IMREAD_COLOR_RGB")
    opencv._agrees.cache_clear()
    try:
        assert not opencv.load()
    finally:
        opencv._agrees.cache_clear()
