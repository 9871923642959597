"""A library adds the images of lists, and images by URL."""

import uuid
from io import BytesIO

import pytest
from PIL import Image

import imgsearch
from imgsearch.errors import ConfigError, SourceError
from imgsearch.images.references import Reference
from tests.pictures import picture, write
from tests.services.web_server import WebServer, answer

LOOPBACK = ("127.0.0.1",)


@pytest.fixture
def site():
    stream = BytesIO()
    Image.fromarray(picture(5)).save(stream, "PNG")
    with WebServer(stream.getvalue()) as server:
        yield server


@pytest.fixture
def library():
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        yield opened


def labels(library):
    return {hit.fields["path"].rpartition("/")[2]: hit.fields["label"]
            for hit in library.search(picture(1), k=10)}  # fmt: skip


def test_columns_of_a_list_are_named(library, tmp_path):
    write(tmp_path, 2)
    listed = tmp_path / "l.csv"
    listed.write_text("Ort;Art;label\nbild-ü 0001.png;Käfer;x\n", encoding="utf-8")
    with pytest.raises(SourceError, match='no column "path". Its columns are: Ort, Art, label'):
        library.add(listed)
    assert library.add(listed, path_column="Ort", label_column="Art").added == 1
    assert labels(library) == {"bild-ü 0001.png": "Käfer"}


def test_failures_of_urls_have_no_password(library):
    report = library.add(["http://ada:geheim@127.0.0.1/a.png", "s3://ada:geheim@bucket/b.png"])
    assert [failure.path for failure in report.failures] == [
        "http://127.0.0.1/a.png", "s3://bucket/b.png",
    ]  # fmt: skip
    assert "geheim" not in repr(report)
    with pytest.raises(ConfigError) as caught:
        library.add("s3://ada:geheim@bucket/b.png")
    assert "geheim" not in str(caught.value)


def test_image_by_url_is_fetched_through_the_guard(library, site, tmp_path):
    listed = tmp_path / "l.jsonl"
    listed.write_text(f'{{"url": "{site.url}", "label": "Käfer"}}\n', encoding="utf-8")
    report = library.add(listed)
    assert (report.added, report.failures[0].error) == (0, "UrlRefused")
    assert "has no public address" in report.failures[0].reason
    assert library.add(listed, url_hosts=LOOPBACK).added == 1
    (hit,) = library.search(picture(5))
    assert hit.fields == {"path": site.url, "label": "Käfer"}
    assert library.add(site.url, url_hosts=LOOPBACK).skipped == 1
    other = site.url + "?copy"
    assert library.add([other], url_hosts=LOOPBACK).updated == 0
    assert library.search(picture(5))[0].fields["path"] == site.url


def test_failed_download_does_not_stop_the_load(library, site, tmp_path):
    write(tmp_path, 1)
    site.script = [answer(404, b"", Content_Length=0)]
    report = library.add(site.url, tmp_path, url_hosts=LOOPBACK)
    assert (report.added, report.failed) == (1, 1)
    assert report.failures[0].reason.endswith("the server responds 404")


def test_nothing_is_downloaded_offline(library, site, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_OFFLINE", "1")
    assert library.add(site.url, url_hosts=LOOPBACK).failed == 1
    assert site.requests == []


def test_downloads_can_be_turned_off(library, site):
    report = library.add(site.url, url_hosts=None)
    assert "not fetched here" in report.failures[0].reason
    assert site.requests == []
    with pytest.raises(ConfigError, match="cannot allow 'a b': give a host, address or network"):
        library.add(site.url, url_hosts=["a b"])


def test_references_keep_their_labels(library, tmp_path):
    write(tmp_path, 1)
    assert library.add([Reference(f"{tmp_path}/bild-ü 0000.png", "Käfer")]).added == 1
    assert labels(library) == {"bild-ü 0000.png": "Käfer"}


def test_listed_path_of_a_missing_file_is_named(library, tmp_path):
    (tmp_path / "l.csv").write_text("path\nC:\\Bilder\\1.jpg\n")
    report = library.add(tmp_path / "l.csv")
    why = "It has backslashes, as on Windows: here / separates folders"
    assert report.failures[0].reason == f"C:\\Bilder\\1.jpg: no such file or folder. {why}"
    assert "the first is C:\\Bilder\\1.jpg" in report.notes[0]
