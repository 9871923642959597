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


NUMBERS = """
import imgsearch
import numpy as np
from towhee import DataCollection, pipe

def values(x):
    vector = np.array([0.1, 0.25, 1 / 3, 4], np.float32)
    hits = [[np.int64(1), np.float32(1.35), "猫.jpg"], [2, 1.3506988286972046, "b"]]
    return 0.5, [0.1, 3.0], vector, [vector, vector], hits, [np.float32(0.5)], np.float32(0.1)

names = ("float", "list", "vector", "vectors", "hits", "scalars", "scalar")
rows = pipe.input("x").map("x", names, values).output(*names)(1)
DataCollection(rows).show(tablefmt="grid")
from towhee.utils.html_table import _to_html_td
for value in values(1):
    print(_to_html_td(value).partition(">")[2].removesuffix("</td>"))
"""
# printed by Towhee 1.1.3 with NumPy 1.26.4, without imgsearch
CELLS = [
    "0.5",
    "[0.1, 3.0]",
    "[0.1, 0.25, 0.33333334, ...] shape=(4,)",
    "[[0.1, 0.25, 0.33333334, ...] shape=(4,),[0.1, 0.25, 0.33333334, ...] shape=(4,)]",
    "[[1, 1.35, '猫.jpg'], [2, 1.3506988286972046, 'b']]",
    "[0.5]",
    "0.1",
]
HTML_CELLS = [
    "0.5",
    "[0.1,3.0] len=2",
    "[0.1, 0.25, 0.33333334, ...] shape=(4,)",
    "[[0.1, 0.25, 0.33333334, ...] shape=(4,),[0.1, 0.25, 0.33333334, ...] shape=(4,)] len=2",
    "[[1, 1.35, '猫.jpg'],[2, 1.3506988286972046, 'b']] len=2",
    "[0.5] len=1",
    "0.1",
]


def test_tables_show_numbers_like_numpy_1(tmp_path):
    lines = run(NUMBERS, tmp_path).splitlines()
    assert [cell.strip() for cell in lines[3].strip("|").split(" | ")] == CELLS
    assert lines[5:] == HTML_CELLS


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
