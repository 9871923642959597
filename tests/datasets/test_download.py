"""Downloads from correct and faulty servers on loopback."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from imgsearch.datasets.download import download
from imgsearch.errors import ConfigError, DownloadError
from tests.services.web_server import (
    WebServer,
    answer,
    cut,
    endless,
    proper,
    redirect,
    server_context,
    stall,
)

CONTENT = np.random.default_rng(7).bytes(300_000)
OTHER = np.random.default_rng(8).bytes(300_000)
LIMIT = 400_000


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def site():
    with WebServer(CONTENT) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "entwürfe" / "archiv.zip"


def left(target):
    return sorted(path.name for path in target.parent.iterdir())


def fetched(site, target, **options):
    download(site.url, target, **{"limit": LIMIT, "timeout": 20, **options})
    return target.read_bytes()


def test_download_is_complete_and_leaves_no_partial_file(site, target):
    steps = []
    assert fetched(site, target, on_progress=lambda *step: steps.append(step)) == CONTENT
    assert left(target) == ["archiv.zip"]
    assert steps[-1] == ("downloading", 300_000, 300_000)
    assert fetched(site, target) == CONTENT
    assert len(site.requests) == 1  # the file exists: no further request


def test_dropped_connection_is_resumed(site, target):
    site.script = [cut(100_000), cut(150_000)]
    assert fetched(site, target) == CONTENT
    ranges = [(request.get("Range"), request.get("If-Range")) for request in site.requests]
    assert ranges == [
        (None, None),
        ("bytes=100000-", '"eins"'),
        ("bytes=150000-", '"eins"'),
    ]


def test_repeatedly_dropped_download_fails_and_can_be_resumed(site, target):
    site.script = [cut(stop) for stop in (10, 20, 30, 40, 50)]
    with pytest.raises(DownloadError, match=r"broke off after 0\.0 MB.*the next run resumes it"):
        fetched(site, target)
    assert len(site.requests) == 5
    assert left(target) == [".archiv.zip.json", ".archiv.zip.part"]
    assert fetched(site, target) == CONTENT
    assert site.requests[-1]["Range"] == "bytes=50-"


def test_download_without_progress_fails_at_once(site, target):
    site.script = [cut(10), cut(10)]
    with pytest.raises(DownloadError, match="broke off"):
        fetched(site, target)
    assert len(site.requests) == 2


@pytest.mark.parametrize("knows_if_range", [True, False])
def test_changed_content_is_downloaded_again(site, target, knows_if_range):
    def change(handler):
        proper(handler, stop=100_000)
        site.content, site.etag = OTHER, '"zwei"'

    def ignorant(handler):  # sends the rest of other content
        del handler.headers["If-Range"]
        proper(handler)

    site.script = [change] if knows_if_range else [change, ignorant]
    assert fetched(site, target) == OTHER


def test_server_without_ranges_starts_again(site, target):
    site.ranges = False
    site.script = [cut(100_000)]
    assert fetched(site, target) == CONTENT
    assert [request.get("Range") for request in site.requests] == [None, "bytes=100000-"]


@pytest.mark.parametrize("etag", [None, 'W/"eins"', "ü" * 3, '"' + "x" * 500 + '"'])
def test_download_without_a_strong_etag_is_not_resumed(site, target, etag):
    site.etag = etag if etag is None else etag.encode().decode("latin-1")
    site.script = [cut(100_000)]
    with pytest.raises(DownloadError, match="restarts it"):
        fetched(site, target)
    assert fetched(site, target) == CONTENT
    assert site.requests[-1].get("Range") is None


def test_last_modified_replaces_a_missing_etag(site, target):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    site.script = [
        answer(200, CONTENT[:70_000], Content_Length=300_000, Last_Modified=date),
        answer(
            206,
            CONTENT[70_000:],
            Content_Length=230_000,
            Content_Range="bytes 70000-299999/300000",
            Last_Modified=date,
        ),
    ]
    assert fetched(site, target) == CONTENT
    assert site.requests[-1]["If-Range"] == date


@pytest.mark.parametrize(
    "odd",
    [
        answer(416, Content_Range="bytes */300000", Content_Length=0),
        answer(206, b"x", Content_Range="bytes 0-0/300000", Content_Length=1),
        answer(206, b"x", Content_Range="bytes 100000-299999/300001", Content_Length=1),
        answer(206, b"x", Content_Range="bytes 100000-300000/300001", Content_Length=1),
        answer(206, b"x", Content_Range="bytes 100000-100000/300000", Content_Length=1),
        answer(206, b"x", Content_Range="Äpfel", Content_Length=1),
        answer(206, b"x", Content_Length=1),
    ],
)
def test_unexpected_range_is_rejected(site, target, odd):
    site.script = [cut(100_000), odd]
    assert fetched(site, target) == CONTENT
    assert site.requests[-1].get("Range") is None


def test_partial_file_of_another_url_is_not_resumed(site, target):
    site.script = [cut(10), cut(10)]
    with pytest.raises(DownloadError):
        fetched(site, target)
    download(f"{site.url}?v=2", target, limit=LIMIT)
    assert target.read_bytes() == CONTENT
    assert site.requests[-1].get("Range") is None


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"url": 1}', b"\xff", None, "x", -1.5])
def test_partial_file_without_a_valid_note_is_not_resumed(site, target, note):
    target.parent.mkdir()
    target.with_name(".archiv.zip.part").write_bytes(b"x" * 1000)
    if isinstance(note, str | float):  # instead of a number of bytes
        key = hashlib.sha256(site.url.encode()).hexdigest()
        note = json.dumps({"url": key, "validator": '"eins"', "total": note}).encode()
    if note is not None:
        target.with_name(".archiv.zip.json").write_bytes(note)
    assert fetched(site, target) == CONTENT


def test_complete_partial_file_is_not_requested(site, target):
    target.parent.mkdir()
    target.with_name(".archiv.zip.part").write_bytes(CONTENT)
    key = hashlib.sha256(site.url.encode()).hexdigest()
    note = {"url": key, "validator": '"eins"', "total": 300_000}
    target.with_name(".archiv.zip.json").write_text(json.dumps(note))
    assert fetched(site, target) == CONTENT
    assert site.requests == []


def test_chunked_responses_are_read_and_a_truncated_one_is_resumed(site, target):
    whole = b"186a0\r\n" + CONTENT[:100_000] + b"\r\n"  # 0x186a0 = 100,000
    chunked = {"Transfer_Encoding": "chunked"}

    def new(handler):
        handler.protocol_version = "HTTP/1.1"
        answer(200, whole + b"0\r\n\r\n", **chunked, Connection="close")(handler)
        handler.close_connection = True

    def broken(handler):
        handler.protocol_version = "HTTP/1.1"
        answer(200, whole[:50_000], **chunked, Connection="close")(handler)
        handler.close_connection = True

    site.script = [broken]
    with pytest.raises(DownloadError, match="broke off"):
        fetched(site, target)
    site.script = [new]
    assert fetched(site, target) == CONTENT[:100_000]


@pytest.mark.parametrize(
    "huge", [endless, answer(200, b"x", Content_Length=LIMIT + 1), answer(200, b"x" * (LIMIT + 1))]
)
def test_size_limit_holds(site, target, huge):
    site.script = [huge]
    with pytest.raises(DownloadError, match="too large"):
        fetched(site, target)
    assert left(target) == []
    assert len(site.requests) == 1


def test_content_of_exactly_the_limit_is_accepted(site, target):
    assert fetched(site, target, limit=300_000) == CONTENT
    target.unlink()
    site.script = [answer(200, CONTENT)]  # of unknown length
    assert fetched(site, target, limit=300_000) == CONTENT


def test_redirects_keep_the_request_headers(site, target):
    site.script = [
        cut(100_000),
        redirect("/wo/anders ü.zip"),
        redirect(site.url.replace("reverse", "dort"), 307),
    ]
    assert fetched(site, target) == CONTENT
    assert [request["path"] for request in site.requests[2:]] == [
        "/wo/anders%20%FC.zip",  # the server's own encoding of ü
        "/dort.zip",
    ]
    assert site.requests[-1]["Range"] == "bytes=100000-"


def test_redirects_in_a_circle_end(site, target):
    site.script = [redirect(site.url)] * 20
    with pytest.raises(DownloadError, match="redirects more than 5 times"):
        fetched(site, target)
    assert len(site.requests) == 6


def test_redirects_own_body_is_not_read(site, target):
    def moved(handler):
        handler.send_response(301)
        handler.send_header("Location", "/dort.zip")
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65_536)

    site.script = [moved]
    assert fetched(site, target) == CONTENT


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://a:b@127.0.0.1/", ""]
)
def test_redirects_lead_to_web_servers_only(site, target, location):
    site.script = [redirect(location)] * 9
    with pytest.raises(DownloadError, match="redirects"):
        fetched(site, target)
    assert left(target) == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.zip",
        "reverse.zip",
        "",
        "http://",
        "http:///a.zip",
        "http://[::1/a.zip",
        "http://host:99999/",
        "http://host/a\r\nX-Header: b",
        "http://host/a b",
    ],
)
def test_only_web_addresses_are_accepted(target, url):
    with pytest.raises(ConfigError, match="http:// or https:// URL"):
        download(url, target, limit=LIMIT)


def test_password_in_a_url_is_rejected_without_showing_it(target):
    with pytest.raises(ConfigError) as error:
        download("https://ich:geheim@example.org/a.zip", target, limit=LIMIT)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize("status", [204, 206, 300, 304, 401, 404, 416, 500, 503])
def test_error_status_raises_and_leaves_no_file(site, target, status):
    site.script = [answer(status, b"", Content_Length=0)]
    with pytest.raises(DownloadError, match=str(status)):
        fetched(site, target)
    assert left(target) == []


def test_secret_query_is_neither_shown_nor_saved(site, target):
    for broken in (answer(403), cut(10)):
        site.script = [broken] * 2
        with pytest.raises(DownloadError) as error:
            download(f"{site.url}?signature=geheim", target, limit=LIMIT)
        assert "geheim" not in str(error.value)
    assert "geheim" not in target.with_name(".archiv.zip.json").read_text()


def test_unrequested_compression_is_rejected(site, target):
    site.script = [answer(200, b"x", Content_Encoding="gzip", Content_Length=1)]
    with pytest.raises(DownloadError, match="gzip"):
        fetched(site, target)
    assert site.requests[0]["Accept-Encoding"] == "identity"


def test_silent_server_times_out(site, target):
    site.script = [stall(1000), stall(1000)]
    with pytest.raises(DownloadError, match="no response in time"):
        fetched(site, target, timeout=0.2)
    site.script = [lambda handler: site.released.wait()]
    with pytest.raises(DownloadError, match="no response in time"):
        fetched(site, target, timeout=0.2)
    assert fetched(site, target) == CONTENT


def test_response_that_is_not_http_raises(site, target):
    site.script = [lambda handler: handler.wfile.write("Grüß Gott\r\n\r\n".encode())]
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetched(site, target)


def test_unreachable_server_raises(target):
    with WebServer() as closed:
        url = closed.url
    with pytest.raises(DownloadError, match="cannot be reached: .*refused"):
        download(url, target, limit=LIMIT)


def test_proxy_of_the_environment_is_used(site, target, monkeypatch):
    monkeypatch.setenv("http_proxy", site.url.removesuffix("/reverse.zip"))
    download("http://bilder.invalid/a.zip", target, limit=LIMIT)
    assert target.read_bytes() == CONTENT
    assert site.requests[0]["path"] == "http://bilder.invalid/a.zip"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_certificates_are_checked_and_https_stays_https(tmp_path, site, target, monkeypatch):
    context, certificate = server_context(tmp_path, subprocess.run)
    with WebServer(CONTENT, context=context) as safe:
        with pytest.raises(DownloadError, match="certificate is not trusted"):
            fetched(safe, target)
        assert safe.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        safe.script = [redirect(site.url)]
        with pytest.raises(DownloadError, match="from https to http"):
            fetched(safe, target)
        assert site.requests == []
        site.script = [redirect(safe.url)]
        assert fetched(site, target) == CONTENT


def test_download_of_a_killed_process_is_resumed(site, target):
    site.script = [stall(100)]
    code = (
        "import sys; from pathlib import Path\n"
        "from imgsearch.datasets.download import download\n"
        "download(sys.argv[1], Path(sys.argv[2]), limit=400_000,\n"
        "         on_progress=lambda stage, done, total: print(done, flush=True))"
    )
    words = [sys.executable, "-c", code, site.url, str(target)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        while int(child.stdout.readline()) < 100:
            pass
        child.send_signal(signal.SIGKILL)
    assert not target.exists()
    assert fetched(site, target) == CONTENT
    assert site.requests[-1]["Range"] == "bytes=100-"
