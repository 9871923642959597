"""One archive of drawn pictures, one `imgsearch ui` and one browser, shared by all tests here."""

import io
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imgsearch.archive import Incoming, opened
from tests.conftest import at_hand
from tests.ui.page import Page, chromium
from tools.gallery import draw

# run by the server's Python: records connections and resolved hosts; texts use the word table,
# because the sentence model accepts any word
LISTENER = """
import sys
sys.modules["tokenizers"] = None
def listen(event, values):
    if event == "socket.connect" and isinstance(values[1], tuple):
        print("CALLED", values[1][0], file=sys.stderr, flush=True)
    if event == "socket.getaddrinfo":
        print("CALLED", values[0], file=sys.stderr, flush=True)
sys.addaudithook(listen)
from imgsearch.cli import main
main()
"""


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


class Served:
    """`imgsearch ui` as a process: its URL, output and upload folder."""

    def __init__(self, folder, gallery):
        self.port, self.temporary = free_port(), folder / "temporary"
        self.temporary.mkdir()
        self.log = folder / "log"
        environment = {
            **os.environ,  # noqa: TID251  # the process needs a PATH
            "TMPDIR": str(self.temporary),
            "IMGSEARCH_ROOTS": str(gallery),
        }
        words = ["ui", "--data", str(folder / "data"), "--port", str(self.port), "--access-log"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LISTENER, *words], stderr=log, stdout=log, env=environment
            )
        self.url = f"http://127.0.0.1:{self.port}/"

    def wait(self):
        """Wait until the page is served; fail with the process's output otherwise."""
        while "Serving the page at" not in self.said():
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(self.said())

    def said(self):
        return self.log.read_text(encoding="utf-8")

    def called(self):
        return set(re.findall(r"^CALLED (.*)$", self.said(), re.MULTILINE))

    def stop(self):
        self._process.terminate()
        return self._process.wait(30)


@pytest.fixture(scope="package")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "gallery"
    draw(folder, per_class=2, size=(160, 120))
    return folder


def copies(drawn):
    """Return a goldfish, the same picture in lower quality, and a lighthouse."""
    goldfish = min((drawn / "train/goldfish").iterdir())
    worse = io.BytesIO()
    with Image.open(goldfish) as image:
        image.save(worse, "JPEG", quality=60)
    lighthouse = min((drawn / "train/lighthouse").iterdir())
    return [
        Incoming("fisch.jpg", data=goldfish.read_bytes()),
        Incoming("fisch kleiner.jpg", data=worse.getvalue()),
        Incoming("turm.jpg", data=lighthouse.read_bytes()),
    ]


@pytest.fixture(scope="package")
def served(drawn, tmp_path_factory):
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    folder = tmp_path_factory.mktemp("page")
    with opened(folder / "data", roots=[drawn]) as archive:
        archive.add(archive.folder(drawn / "train"))
        archive.add(copies(drawn), collection="kopien")
        archive.declare_fields("felder", {"jahr": int, "bezahlt": bool, "ort": str})
        kept = archive.existing("kopien").thresholds
        kept.keep_duplicates({"threshold": 0.8})
        kept.keep_min_scores({"image": {"threshold": 0.9}})
    served = Served(folder, drawn)
    served.wait()
    yield served
    served.stop()


@pytest.fixture(scope="package")
def browser():
    at_hand("chromium")
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser, served):
    return Page(browser, served.url).open()
