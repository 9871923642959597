"""Contact sheets: images side by side."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import ConfigError
from imgsearch.report.contact_sheet import contact_sheet
from imgsearch.types import Hit


@pytest.fixture
def drawn(tmp_path):
    """Return three plain images, red, green and blue, the last one twice as wide as high."""
    (tmp_path / "ñandú").mkdir()
    paths = []
    for name, color, size in (
        ("r", (255, 0, 0), (40, 40)),
        ("g", (0, 255, 0), (40, 40)),
        ("b", (0, 0, 255), (80, 40)),
    ):
        paths.append(tmp_path / "ñandú" / f"{name}.png")
        Image.new("RGB", size, color).save(paths[-1])
    return paths


def middle(sheet, column, row, side=64):
    left, top = 8 + column * (side + 8), 8 + row * (side + 24)
    return np.asarray(sheet)[top + side // 2, left + side // 2].tolist()


def near(color, expected):
    return np.abs(np.subtract(color, expected)).max() < 12  # thumbnails are JPEGs


def test_images_are_arranged_in_rows(drawn):
    sheet = contact_sheet(drawn, columns=2, side=64)
    assert sheet.size == (2 * 72 + 8, 2 * 88 + 8)
    assert near(middle(sheet, 0, 0), (255, 0, 0))
    assert near(middle(sheet, 1, 0), (0, 255, 0))
    assert near(middle(sheet, 0, 1), (0, 0, 255))
    assert middle(sheet, 1, 1) == [255, 255, 255]


def test_image_keeps_its_aspect_ratio(drawn):
    sheet = np.asarray(contact_sheet([drawn[2]], side=64))
    assert sheet[8 + 4, 8 + 32].tolist() == [255, 255, 255]
    assert near(sheet[8 + 32, 8 + 2], (0, 0, 255))


def test_hits_follow_the_query(drawn):
    hits = [Hit("x", 0.5, 0.5, {"path": str(drawn[1]), "label": "ñandú"})]
    sheet = contact_sheet(hits, query=drawn[0], side=64)
    assert near(middle(sheet, 0, 0), (255, 0, 0))
    assert near(middle(sheet, 1, 0), (0, 255, 0))
    assert np.asarray(sheet)[5, 40].tolist() == [0, 0, 0]


def test_missing_file_is_an_empty_square(drawn):
    drawn[0].unlink()
    sheet = contact_sheet(drawn[:2], side=64)
    assert np.asarray(sheet)[8, 20].tolist() == [153, 153, 153]
    assert near(middle(sheet, 1, 0), (0, 255, 0))


def test_captions_are_written_under_the_images(drawn):
    plain, captioned = (
        contact_sheet(drawn[:1], captions=[text], side=64) for text in ("", "猫 cat")
    )
    assert np.asarray(plain)[72:].min() == 255
    assert np.asarray(captioned)[72:].min() < 128


@pytest.mark.parametrize(
    ("caption", "lines"),
    [
        ("", 1),
        ("0.123 ñan", 1),  # 9 characters of 7 pixels fit into 64 pixels
        ("0.123 ñand", 2),
        ("hot_air_balloon", 2),
        ("123456789x", 2),  # a long word is broken
        ("one two three " * 1_000, 3),
    ],
)
def test_long_captions_wrap(drawn, caption, lines):
    sheet = np.asarray(contact_sheet(drawn[:1], captions=[caption], side=64))
    assert sheet.shape[0] == 8 + 64 + lines * 16 + 8
    written = [sheet[72 + line * 16 : 88 + line * 16].min() < 128 for line in range(lines)]
    assert all(written) == bool(caption)


def test_invalid_arguments_are_rejected(drawn):
    with pytest.raises(ConfigError, match="without an image"):
        contact_sheet([])
    with pytest.raises(ConfigError, match="1 captions for 3 images"):
        contact_sheet(drawn, captions=["x"])
