"""Requests of the client: where the key is sent, retries, and errors."""

import json
import ssl
import subprocess
import sys
import traceback

import pytest

from imgsearch import Client
from imgsearch.errors import (
    AccessDenied,
    BackendError,
    BackendUnavailable,
    ConfigError,
    ImageNotFound,
    LimitExceeded,
)
from tests.services.web_server import WebServer, answer, cut, redirect

KEY = "img_0123456789ab_geheim"
COUNT = json.dumps({"images": 3, "vectors": 2}).encode()


@pytest.fixture
def site():
    with WebServer(COUNT) as server:
        yield server


@pytest.fixture
def client(site):
    with Client(site.url.rpartition("/")[0], KEY, timeout=5) as opened:
        yield opened


def problem(status, code, **headers):
    body = {"status": status, "code": code, "detail": "Größer als erlaubt."}
    headers = {"Content_Type": "application/problem+json", **headers}
    return answer(status, json.dumps(body).encode(), Connection="close", **headers)


def test_key_is_sent_to_its_service(client, site):
    assert client.count() == 3
    assert site.requests[0]["Authorization"] == f"Bearer {KEY}"
    assert site.requests[0]["path"] == "/v1/count?collection=images"


def test_key_of_the_environment_is_the_default(site, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_API_KEY", KEY)
    url = site.url.rpartition("/")[0]
    with Client(url) as client, Client(url, "img_other") as other:
        assert client.count() == other.count() == 3
    keys = [request["Authorization"] for request in site.requests]
    assert keys == [f"Bearer {KEY}", "Bearer img_other"]
    assert KEY not in repr(client) + repr(vars(client))


def test_certificates_are_read_only_for_https(monkeypatch):
    contexts = []
    monkeypatch.setattr(ssl, "create_default_context", lambda: contexts.append(1) or plain)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with Client("http://127.0.0.1:9"):
        assert not contexts
    with Client("HTTPS://127.0.0.1:9"):
        assert contexts


def test_redirect_does_not_send_the_key(client, site):
    with WebServer(COUNT) as other:
        site.script = [redirect(other.url)]
        with pytest.raises(ConfigError, match="redirects to 127.0.0.1"):
            client.count()
        assert other.requests == []


def test_environments_proxies_are_not_used(client, site, monkeypatch):
    with WebServer(b"") as other:
        monkeypatch.setenv("HTTP_PROXY", other.url)
        monkeypatch.setenv("http_proxy", other.url)
        with Client(client.url, KEY) as fresh:
            assert fresh.count() == 3
        assert other.requests == []


def test_key_is_in_no_repr_and_no_error(client, site):
    site.script = [problem(401, "access_denied")]
    with pytest.raises(AccessDenied) as caught:
        client.count()
    trace = "".join(traceback.format_exception(caught.value))
    assert KEY not in trace + repr(client) + repr(vars(client))
    with pytest.raises(ConfigError) as caught:
        Client("http://127.0.0.1", "zwei\nZeilen")
    assert "Zeilen" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://a",
        "http://",
        "http://me:pw@a",
        "http://a/?x",
        "http://a:x",
        "http://[::1",
    ],
)
def test_invalid_url_raises(url):
    with pytest.raises(ConfigError, match="URL") as caught:
        Client(url)
    assert "pw" not in str(caught.value)
    with pytest.raises(ConfigError):
        Client("http://127.0.0.1", timeout=0)


def test_temporary_failures_are_retried(client, site):
    site.script = [
        problem(503, "busy", Retry_After="0"),
        problem(429, "rate_exceeded", Retry_After="0"),
    ]
    assert client.count() == 3
    assert len(site.requests) == 3


def test_dropped_connection_is_retried_for_reads_only(client, site):
    site.script = [cut(0), cut(3)]
    assert client.count() == 3


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (429, "rate_exceeded", LimitExceeded),
        (404, "image_not_found", ImageNotFound),
        (418, "something_new", Exception),
        (422, "something_new", ConfigError),
    ],
)
def test_other_problems_raise_at_once(client, site, status, code, error):
    site.script = [problem(status, code, Retry_After="3600" if status == 429 else None)]
    with pytest.raises(error, match="Größer"):
        client.count()
    assert len(site.requests) == 1


def test_response_of_another_server_raises(client, site):
    site.script = [answer(404, b"<h1>nichts</h1>", Connection="close")]
    with pytest.raises(ConfigError, match="not a problem of imgsearch"):
        client.count()
    site.script = [answer(200, b"<h1>da</h1>", Connection="close")]
    with pytest.raises(BackendError, match="not JSON"):
        client.count()
    site.script = [answer(200, b'{"n": 1}', Connection="close")]
    with pytest.raises(BackendError, match="images"):
        client.count()


def test_unreachable_service_is_named_by_its_url():
    with WebServer() as site:
        url = site.url.rpartition("/")[0]
    with Client(url, KEY) as client, pytest.raises(BackendUnavailable, match=url):
        client.count()


@pytest.mark.parametrize(
    "how",
    [{"k": 0}, {"k": 2.5}, {"offset": -1}, {"min_score": float("nan")}, {"min_score": "viel"},
     {"hide_duplicates": float("inf")}],
)  # fmt: skip
def test_invalid_number_is_not_sent(client, site, how):
    with pytest.raises(ConfigError):
        client.search("a dog", **how)
    assert site.requests == []


def test_client_needs_only_the_core_and_httpx(client, tmp_path):
    code = f"""
import sys
for name in ("fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "prometheus_client",
             "pymilvus", "milvus_lite", "towhee", "torch", "requests", "pandas"):
    sys.modules[name] = None
import imgsearch
with imgsearch.Client({client.url!r}, {KEY!r}) as client:
    print(client.count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "3\n", done.stderr


def test_records_keep_their_public_names():
    from imgsearch import client, types
    from imgsearch.wire import responses

    assert client.__all__ == sorted(client.__all__)
    assert client.Collection is responses.CollectionInfo
    assert client.Model is responses.ModelInfo
    assert (client.Image, client.JobState) == (responses.Image, responses.JobState)
    assert client.Hit is types.Hit
    assert {"progress", "wait", "cancel", "retry", "failures", "forget"} <= set(dir(client.Job))
