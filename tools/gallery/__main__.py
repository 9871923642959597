"""Draw the pictures of `imgsearch.datasets.gallery`: ``python -m tools.gallery``."""

import shutil
import tempfile
from pathlib import Path

from imgsearch.datasets.gallery import FOLDER
from tools.gallery import draw

with tempfile.TemporaryDirectory() as folder:
    drawn = Path(folder) / "pictures"
    draw(drawn)
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(drawn, FOLDER, ignore=shutil.ignore_patterns("drawn.json"))
