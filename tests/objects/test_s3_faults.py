"""A faulty service: requests and truncated responses are retried, three attempts in all."""

import hashlib
import re
import time

import pytest

from imgsearch.errors import ObjectStoreError
from imgsearch.objects import connect
from tests.services.web_server import WebServer, answer, cut, stall

pytest.importorskip("boto3")

DATA = "größer ".encode() * 400_000  # 3.6 MB: several pieces
CONTENT = hashlib.sha256(DATA).hexdigest()
EMPTY = answer(
    200,
    b"<?xml version='1.0'?><ListBucketResult><Name>bilder</Name><KeyCount>0</KeyCount>"
    b"<IsTruncated>false</IsTruncated></ListBucketResult>",
    Content_Type="application/xml",
)
BUSY = answer(503, b"<Error><Code>SlowDown</Code></Error>", Content_Type="application/xml")


@pytest.fixture
def site():
    with WebServer(DATA) as site:
        site.script.append(EMPTY)  # the response to the request that opens the store
        yield site


def opened(site, timeout=10.0):
    endpoint = re.match("http://[^/]+", site.url)[0]
    return connect(f"s3://bilder?endpoint={endpoint}", key="k", secret="geheim", timeout=timeout)


def test_busy_service_is_retried(site):
    with opened(site) as store:
        site.script.append(BUSY)
        assert store.get(CONTENT) == DATA
    assert len(site.requests) == 3


def test_busy_service_fails_after_three_attempts(site):
    with opened(site) as store:
        site.script += [BUSY] * 9
        with pytest.raises(ObjectStoreError, match="the service returned SlowDown"):
            store.get(CONTENT)
    assert len(site.requests) == 1 + 3


def test_truncated_response_is_continued(site):
    with opened(site) as store:
        half = len(DATA) // 2
        site.script += [cut(half), cut(half + 9)]
        assert store.get(CONTENT) == DATA
        ranges = [request.get("Range") for request in site.requests[1:]]
        assert ranges == [None, f"bytes={half}-", f"bytes={half + 9}-"]
        site.script += [cut(9)]
        assert b"".join(store.stream(CONTENT)) == DATA


def test_response_that_is_truncated_three_times_raises(site):
    with opened(site) as store:
        for read in (store.get, lambda content: list(store.stream(content))):
            site.script += [cut(len(DATA) - 1)] * 3
            with pytest.raises(ObjectStoreError, match="the connection failed"):
                read(CONTENT)
            assert site.script == []


def test_truncated_response_raises_if_the_service_ignores_ranges(site):
    site.ranges = False
    with opened(site) as store:
        site.script += [cut(len(DATA) - 1)]
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            store.get(CONTENT)


def half_head(handler):
    """Break the connection within the response's headers, before their length."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Ty")


def test_response_without_complete_headers_is_repeated(site):
    with opened(site) as store:
        site.script += [half_head, half_head]
        assert store.get(CONTENT) == DATA


def test_response_without_complete_headers_raises(site):
    with opened(site) as store:
        for method in (
            lambda: store.put(CONTENT, DATA, "image/png"),
            lambda: store.get(CONTENT),
            lambda: store.open(CONTENT),
            lambda: store.exists(CONTENT),
        ):
            site.script += [half_head] * 3
            with pytest.raises(ObjectStoreError, match="the connection failed"):
                method()
            site.script.clear()


def test_stalled_response_times_out(site):
    with opened(site, timeout=0.3) as store:
        site.script += [stall(len(DATA) // 2)] * 3
        start = time.monotonic()
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            store.get(CONTENT)
        assert time.monotonic() - start < 30  # seconds, on a busy machine


@pytest.mark.parametrize("page", [b"<html><p>Konsole</html>", b"<html></html>", b"{}", b""])
def test_web_page_is_not_accepted_as_a_service(site, page):
    site.script[:] = [answer(200, page, Content_Type="text/html")] * 3
    with pytest.raises(ObjectStoreError, match="not an S3 service"):
        opened(site)


def test_writes_do_not_wait_for_permission_to_send_the_body(site):
    """botocore would read for ever if a connection broke within "100 Continue"."""
    missing, written = answer(404, Content_Length=0), answer(200, Content_Length=0)
    with opened(site) as store:
        site.script += [missing, written, written]
        store.put(CONTENT, DATA, "image/png")
        store.put_thumbnail(CONTENT, 256, b"webp")
    assert ["Expect" in request for request in site.requests] == [False] * 4
