"""A hit of a video shows its moment, and the page plays the video from there."""

from importlib.util import find_spec

import pytest
from PIL import Image

from imgsearch.archive import opened
from tests.clips import COLORS, clip, picture
from tests.ui.conftest import Served
from tests.ui.page import Page

if find_spec("gradio") is None:
    pytest.skip("needs the extra ui", allow_module_level=True)

STATE = """
const video = document.querySelector('.detail video');
return video && {
  time: video.currentTime, ready: video.readyState, duration: video.duration,
  width: video.videoWidth, error: video.error && video.error.code,
};
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Return the page of an archive with videos in several codecs."""
    folder = tmp_path_factory.mktemp("films")
    source = folder / "films"
    source.mkdir()
    clip(source / "vp8.webm", seconds=5, codec="libvpx")
    clip(source / "h264.mp4", seconds=5)
    clip(source / "mpeg4.mp4", seconds=5, codec="mpeg4", colors=COLORS[::-1])
    clip(source / "flash.flv", seconds=2, codec="flv")
    with opened(folder / "data", roots=[source]) as archive:
        report = archive.add(archive.folder(source, with_videos=True)).report
        assert report.videos == 4
    served = Served(folder, source)
    served.wait()
    yield served
    served.stop()


@pytest.fixture
def page(browser, films):
    return Page(browser, films.url).open()


def selected(page, name):
    """Select the image of the first screen with this name."""
    page.until(lambda: name in page.names())
    page.click(f".tiles button[title='{name}']")
    page.one(".detail figcaption")


def test_search_shows_each_video_at_its_moment(page, tmp_path):
    Image.fromarray(picture(30)).save(tmp_path / "gelb.png")
    page.upload("#words", tmp_path / "gelb.png")
    page.one("#words img")
    page.press("Search")
    page.until(lambda: "nearest to the image" in page.message())
    names = page.names()
    assert sorted(name.partition(" at ")[0] for name in names) == [
        "flash.flv", "h264.mp4", "mpeg4.mp4", "vp8.webm",
    ]  # fmt: skip
    assert {"h264.mp4 at 0:03", "vp8.webm at 0:03", "mpeg4.mp4 at 0:01"} < {*names}
    selected(page, "h264.mp4 at 0:03")
    assert page.text(".detail figcaption") == "h264.mp4 at 0:03"


@pytest.mark.parametrize("name", ["vp8.webm", "h264.mp4"])
def test_video_plays_from_the_moment(page, name):
    selected(page, f"{name} at 0:03")
    assert page.text(".detail figcaption") == f"{name} at 0:03"
    page.until(lambda: (state := page.script(STATE)) and state["ready"] >= 2)
    state = page.script(STATE)
    assert (state["width"], state["error"]) == (96, None)
    assert state["time"] == pytest.approx(3, abs=0.1)
    assert state["duration"] == pytest.approx(5, abs=0.2)
    page.script("const v = document.querySelector('.detail video'); v.muted = true; v.play();")
    page.until(lambda: page.script(STATE)["time"] > 3.3)
    page.script("document.querySelector('.detail video').currentTime = 1")  # seeks backwards
    page.until(lambda: 1 <= page.script(STATE)["time"] < 3)


def test_other_codec_is_reported_and_its_frame_is_shown(page):
    selected(page, "mpeg4.mp4 at 0:03")
    page.until(lambda: "cannot play the video" in page.text(".detail .warning"))
    poster = page.one(".detail video").get_attribute("poster")
    assert poster.startswith("data:image/webp;base64,")


def test_other_format_shows_the_frame(page):
    selected(page, "flash.flv at 0:01")
    page.one(".detail [data-full] img")
    assert not page.all(".detail video")


def test_uploaded_video_is_added_and_plays(page, tmp_path):
    film = clip(tmp_path / "neu <b>.webm", seconds=2, codec="libvpx", colors=COLORS[1:])
    page.tab("Add images")
    page.upload("#files", film)
    page.until(lambda: "neu" in page.text("#files"))
    page.press("Add")
    page.until(lambda: "2 added" in page.message())
    page.tab("Browse")
    selected(page, "neu <b>.webm at 0:01")
    page.until(lambda: (state := page.script(STATE)) and state["ready"] >= 2)
    assert page.script(STATE)["time"] == pytest.approx(1, abs=0.1)
