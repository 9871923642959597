"""Broken files and bombs, decoded in a separate process, with seconds and memory.

Files of nine formats are mutated, with a fixed seed: bytes, numbers, lengths, cuts and splices.
Bombs of every format have the size limits of the service and the library. Both pass through every
decoder of the program: full, reduced, header and thumbnail.
"""

import base64
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.soak import bombs, mutations

SECONDS, MEGABYTES = 5.0, 1_000
LIMITS = (64 << 20, 256 << 20)  # bytes of a file: limits of the service and of the library
_GIVEN_UP = 60  # seconds of processor time; the limit of elapsed time is three times as long
_ADDRESSES = 6 << 30  # bytes
SEED = 16


def main(number=5_000, sizes=LIMITS, only=""):
    """Decode `number` mutated files, and the bombs of each of `sizes`; return the worst figures."""
    print(f"images: {number:,} mutated files (seed {SEED}), bombs of {sizes} bytes", flush=True)
    started = time.perf_counter()
    with Decoder() as decoder:
        mutated = _run(decoder, mutations.files(number, np.random.default_rng(SEED)), "mutated")
        bombed = [
            _run(decoder, bombs.files(size, only), f"bombs of {size >> 20} MB") for size in sizes
        ]
    print(f"  {time.perf_counter() - started:,.0f} s")
    worst = [max(figures) for figures in zip(mutated, *bombed, strict=True)]
    assert worst[0] < SECONDS, f"{worst[0]:.1f} s"
    assert worst[1] < MEGABYTES, f"{worst[1]:,.0f} MB"
    return worst


def _run(decoder, files, what, most=8):
    """Decode all of `files`; print the worst, and return their most seconds and megabytes."""
    results, outcomes = [], Counter()
    for name, data in files:
        result = decoder.measure(data)
        results.append((result, name, len(data)))
        outcomes[result["outcome"]] += 1
        if result["seconds"] >= SECONDS or result["mb"] >= MEGABYTES:
            print(f"  FAULT {name}, {len(data):,} bytes: {result}", flush=True)
    if not results:
        return 0.0, 0.0
    print(f"  {what}: {len(results):,} files, {dict(outcomes)}")
    for key in ("seconds", "mb"):
        print(f"  most {key}:")
        for result, name, size in sorted(results, key=lambda one: -one[0][key])[:most]:
            print(
                f"    {result['seconds']:6.2f} s {result['mb']:6,.0f} MB  {name} ({size:,} bytes):"
                f" {result['slowest']}, {result['outcome']}"
            )
    sys.stdout.flush()
    return tuple(max(result[key] for result, _, _ in results) for key in ("seconds", "mb"))


class Decoder:
    """A process that decodes files one by one. It is replaced when it ends."""

    def __init__(self):
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def measure(self, data):
        """Return the processor seconds of the slowest decoder, peak megabytes, and the outcome."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.images"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        process = self._process
        try:
            process.stdin.write(len(data).to_bytes(8, "big") + data)
            process.stdin.flush()
            if select.select([process.stdout], [], [], 3 * _GIVEN_UP)[0]:
                line = process.stdout.readline()
                if line:
                    return json.loads(line)
        except BrokenPipeError:
            pass
        process.kill()
        process.communicate()
        self._process = None
        how = f"ended by {process.returncode}"
        return {"seconds": _GIVEN_UP, "mb": MEGABYTES, "slowest": "?", "outcome": how}


def _serve():
    """Decode the received files, in the separate process."""
    from imgsearch import images
    from imgsearch.errors import ImageError
    from imgsearch.objects.thumbnails import thumbnail

    ways = {
        "header": images.header,
        "decode": images.decode,
        "picture": lambda data: images.picture(data, at_least=256),
        "thumbnail": lambda data: thumbnail(data, 256),
    }
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    for way in ways.values():  # loads late imports
        way(base64.b64decode(mutations.TINY))
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "w")
    while head := source.read(8):
        data = source.read(int.from_bytes(head, "big"))
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        took, outcome = {}, ""
        for name, way in ways.items():
            began = time.process_time()
            try:
                way(data)
                outcome = "pixels"
            except ImageError as error:
                outcome = type(error).__name__
            took[name] = time.process_time() - began
        slowest = max(took, key=took.get)
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1e3
        del data
        result = {"seconds": took[slowest], "mb": peak, "slowest": slowest, "outcome": outcome}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
