"""The messages of libtiff and Pillow are suppressed while an image is decoded, and only then."""

import contextlib
import io
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import ImageCorrupt
from imgsearch.images import decode
from imgsearch.images.libtiff import quiet
from tests.images.tiffs import plain, tiff

BROKEN = tiff(plain(np.zeros((4, 4)), t259=8))  # zeros are not deflate data


def test_libtiff_prints_nothing_during_a_decode(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageCorrupt):
        decode(BROKEN)
    assert capfd.readouterr().err == ""


def test_libtiff_prints_again_after_a_decode(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(), quiet():
        pass
    with pytest.raises(OSError, match="decoder error"):
        Image.open(io.BytesIO(BROKEN)).load()
    assert "ZIPDecode" in capfd.readouterr().err


def test_libtiff_prints_nothing_while_threads_decode(capfd: pytest.CaptureFixture[str]) -> None:
    def attempt(_number: int) -> None:
        with contextlib.suppress(ImageCorrupt):
            decode(BROKEN)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(64)))
    assert capfd.readouterr().err == ""


def test_pillow_logs_nothing_to_the_terminal(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    crowded = tiff(plain(np.zeros((4, 4)), t277=500))  # samples a pixel
    with pytest.raises(ImageCorrupt):
        decode(crowded)
    assert (caplog.records, capfd.readouterr().err) == ([], "")
    with contextlib.suppress(Exception):
        Image.open(io.BytesIO(crowded))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
