"""A worker that embeds takes at most 300 MB and its model."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.pictures import picture

MOST = 300_000_000  # bytes; `classic` is a few arrays, and so its model takes nothing
RUN = """
import pathlib, sys
from imgsearch.cli import main

sys.argv[1:] = ["embed", "fotos", "--to", "job", "--model", "classic", "--shard", "400"]
try:
    main()
finally:
    print(pathlib.Path("/proc/self/status").read_text())
"""


@pytest.mark.process
@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="Linux reports the most memory of a process")
def test_worker_takes_300_mb_at_most(tmp_path):
    # 600 photographs of 130 kB: two chunks, and as many as are read ahead
    noise = np.random.default_rng(0).integers(0, 60, (375, 500, 3), np.uint8)
    packed = io.BytesIO()
    Image.fromarray(picture(1, (500, 375)) // 2 + noise).save(packed, "JPEG", quality=90)
    (tmp_path / "fotos").mkdir()
    for number in range(600):
        (tmp_path / f"fotos/größe {number}.jpg").write_bytes(packed.getvalue() + b"%d" % number)
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert "Embedded 600 images" in done.stderr + done.stdout, done.stderr
    (most,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert int(most) * 1024 <= MOST, most
