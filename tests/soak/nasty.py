"""Files designed to break a decoder, and random bytes, uploaded to a service."""

import struct
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
from PIL import Image

from tests.images.test_decoder import SAMPLES, chunk, encoded, noisy_exif, png
from tests.soak.service import service

SHARED = Path(__file__).resolve().parents[3] / "shared/data/nasty"
MOST = 1_500  # limit of resident MB
SEED = 7


def nasty_files():
    """Return nasty files by name: bombs, false sizes, and files of other formats."""
    gray = encoded(Image.new("L", (800, 800)), "JPEG", progressive=True)
    scans = gray[gray.rindex(b"\xff\xda") : -2]
    bomb = zlib.compress(bytes(200_000_000), 1)
    gif = encoded(Image.new("P", (8, 8)), "GIF")
    start = gif.index(b",", 13)
    return {
        "empty": b"",
        "one byte": b"\xff",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "heic": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
        "50 MP and a row": png(10_000, 5_001),
        "182 MP": png(13_500, 13_500),
        "3,600 MP": png(60_000, 60_000),
        "2^31 pixels wide": png(2**31 - 1, 1),
        "49 MP, all there": png(7_000, 7_000, rows=bytes(7_001 * 7_000)),
        "100 MB behind one pixel": png(1, 1, rows=bytes(100_000_000)),
        "zTXt bomb": png(1, 1, rows=b"\0\0", extra=chunk(b"zTXt", b"a\0\0" + bomb)),
        "iCCP bomb": png(1, 1, rows=b"\0\0", extra=chunk(b"iCCP", b"a\0\0" + bomb)),
        "20,000 scans": gray[:-2] + scans * 20_000 + b"\xff\xd9",
        "100,000 frames": gif[:start] + gif[start:-1] * 100_000 + b";",
        "slow PPM": b"P5 7000 7000 254\n" + bytes(1_000),
        "tiles of 8,000": _tiles(),
        "EXIF beyond the file": noisy_exif(),
        "1.5 million rows": encoded(Image.fromarray(np.zeros((1_500_000, 1), np.float32)), "TIFF"),
        **{f"good {name}": data for name, data in SAMPLES.items()},
        **{f"half of {name}": data[: len(data) // 2] for name, data in SAMPLES.items()},
    }


def _tiles():
    packed = zlib.compress(bytes(10_000))
    entries = [(256, 1), (257, 1), (258, 8), (259, 8), (262, 1), (277, 1)]
    entries += [(322, 8_000), (323, 8_000), (324, 8), (325, len(packed))]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    data = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed
    return data + struct.pack("<H", len(entries)) + fields + bytes(4)


def random_ones(number, seed=SEED):
    """Yield random bytes, some with the first bytes of a format, and changed valid files."""
    rng = np.random.default_rng(seed)
    good = list(SAMPLES.items())
    for index in range(number):
        name, data = good[index % len(good)]
        if index % 3 == 0:
            tail = rng.bytes(int(rng.integers(0, 4_096)))
            yield f"random {index}", (data[:16] if index % 2 else b"") + tail
            continue
        changed = bytearray(data)
        for place in rng.integers(0, len(data), max(1, len(data) // 50)):
            changed[place] = int(rng.integers(256))
        yield f"changed {name} {index}", bytes(changed)


def main(number=1_000, every=1):
    files = [*nasty_files().items(), *random_ones(number)]
    shared = sorted(SHARED.iterdir()) if SHARED.is_dir() else []
    files += [(path.name, path.read_bytes()) for path in shared[::every]]
    print(f"nasty: {len(files):,} files ({number:,} random ones), each added and searched for")
    started, answers = perf_counter(), Counter()
    with tempfile.TemporaryDirectory() as folder, service(folder) as running:
        with httpx.Client(base_url=running.url, timeout=120, trust_env=False) as http:
            for name, data in files:
                for path in ("/v1/images", "/v1/search"):
                    answer = http.post(path, files={"file": (f"{name} ü.jpg", data)})
                    code = answer.json().get("code", "") if answer.is_error else ""
                    answers[path, answer.status_code, code] += 1
                    assert answer.status_code < 500, (name, path, answer.text)
            assert http.get("/v1/health").status_code == 200
            good = encoded(Image.new("RGB", (64, 64), (200, 30, 30)), "PNG")
            assert http.post("/v1/images", files={"file": ("gut.png", good)}).status_code == 201
            hit = http.post("/v1/search", files={"file": good}).json()["hits"][0]
            assert hit["score"] > 0.99, hit
        assert running.alive
        most = running.resident()
    for (path, status, code), times in sorted(answers.items()):
        print(f"  {path} {status} {code}: {times:,}")
    print(f"  no 5xx; at most {most:,.0f} MB resident; {perf_counter() - started:.0f} s")
    assert most < MOST, f"{most:.0f} MB"
    return most
