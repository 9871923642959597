"""A faulty service: requests are retried three times, and truncated responses raise."""

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


def test_truncated_response_raises(site):
    with opened(site) as store:
        site.script += [cut(len(DATA) - 1)] * 2
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            store.get(CONTENT)
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            list(store.stream(CONTENT))


def test_stalled_response_times_out(site):
    with opened(site, timeout=0.3) as store:
        site.script.append(stall(len(DATA) // 2))
        start = time.monotonic()
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            store.get(CONTENT)
        assert time.monotonic() - start < 30  # seconds, on a busy machine


@pytest.mark.parametrize("page", [b"<html><p>Konsole</html>", b"<html></html>", b"{}", b""])
def test_web_page_is_not_accepted_as_a_service(site, page):
    site.script[:] = [answer(200, page, Content_Type="text/html")] * 3
    with pytest.raises(ObjectStoreError, match="not an S3 service"):
        opened(site)
