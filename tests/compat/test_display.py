"""Rows of the tutorials in a notebook, without OpenCV and matplotlib."""

import base64
import io
import re

import numpy as np
from PIL import Image

from tests.compat.runs import gallery, run

# A notebook is the name `get_ipython` and a function that displays HTML; tests install neither.
NOTEBOOK = """
import builtins, sys, types
import imgsearch
display = types.ModuleType("IPython.display")
display.display, display.HTML = print, str
sys.modules.update({"IPython": types.ModuleType("IPython"), "IPython.display": display})
sys.modules.update({"cv2": None, "matplotlib": None})
builtins.get_ipython = lambda: display

from towhee import DataCollection, ops, pipe
p = (
    pipe.input('path')
    .map('path', 'img', ops.image_decode())
    .map('img', 'vec', ops.image_embedding.timm(model_name='classic'))
    .map('img', 'both', lambda img: [img, img])
    .output('path', 'img', 'vec', 'both')
)
DataCollection(p('train/goldfish/1.JPEG')).show()
"""


def test_notebook_shows_images_in_their_colors(tmp_path):
    gallery(tmp_path)
    output = run(NOTEBOOK, tmp_path)
    cells = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', output)
    assert len(cells) == 3
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(cells[0]))), np.int16)
    real = np.asarray(Image.open(tmp_path / "train/goldfish/1.JPEG"), np.int16)
    assert seen.shape == real.shape
    # JPEG quality 80 on a smooth picture: a few steps of 255; swapped colors differ by far more
    assert np.abs(seen - real).mean() < 5 < np.abs(seen[..., ::-1] - real).mean()
    assert "shape=(722,)" in output
