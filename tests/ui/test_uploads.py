"""What browsers upload lies in a folder of the process, and goes with it."""

from tests.ui.conftest import Served


def test_uploads_go_when_the_page_ends(drawn, tmp_path):
    import httpx

    served = Served(tmp_path, drawn)
    served.wait()
    sent = {"files": ("bild ü.png", b"not even an image", "image/png")}
    answer = httpx.post(f"{served.url}gradio_api/upload", files=sent)
    assert answer.status_code == 200
    (folder,) = served.temporary.glob("imgsearch-page-*")
    assert [path.read_bytes() for path in folder.rglob("*.png")] == [b"not even an image"]
    assert served.stop() == 0
    assert not folder.exists()
