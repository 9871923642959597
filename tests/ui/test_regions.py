"""Hits show a frame around the region that was found."""

import io
from importlib.util import find_spec

import pytest
from PIL import Image

from imgsearch.archive import Incoming
from tests.archive.place import archive

if find_spec("gradio") is None:
    pytest.skip("needs the extra ui", allow_module_level=True)

BOX = """
const [picture, frame] = ['img', 'rect'].map(
    name => document.querySelector(arguments[0] + ' ' + name).getBoundingClientRect());
return [picture.left, picture.top, picture.width, picture.height,
        frame.left, frame.top, frame.width, frame.height];
"""


@pytest.mark.parametrize("size", [(400, 100), (90, 300), (400, 300)])
def test_frame_lies_over_the_region(browser, tmp_path, size):
    from imgsearch.ui.gallery import Region, Tile, details, gallery
    from imgsearch.ui.theme import style

    width, height = size
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")
    with archive(tmp_path, db=f"memory://frame-{tmp_path.name}") as opened:
        (entry,) = opened.add([Incoming("bild.png", data=file.getvalue())]).entries
        region = Region([width // 4, height // 2, width // 2, height], "Käfer", *size)
        tile = Tile(entry.id, entry.name, score=0.5, region=region)
        tiles = gallery(opened, [tile], name="hits")
        panel = details(opened, entry, score=0.5, region=region)
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><style>{style()['css']}</style>"
        f'<div style="width: 200px">{tiles}</div><div class="facts"><div>{panel}</div></div>',
        encoding="utf-8",
    )
    assert "<dt>Object</dt><dd>Käfer</dd>" in panel
    browser.get(page.as_uri())
    for place in (".tiles", ".detail"):
        left, top, wide, high, *frame = browser.execute_script(BOX, place)
        # a tile shows the whole picture inside 4 : 3
        scale = min(wide / width, high / height)
        left, top = left + (wide - width * scale) / 2, top + (high - height * scale) / 2
        expected = [
            left + width // 4 * scale, top + height // 2 * scale,
            width // 4 * scale, height // 2 * scale,
        ]  # fmt: skip
        assert frame == pytest.approx(expected, abs=2.5)
