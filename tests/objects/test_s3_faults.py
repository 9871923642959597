"""A service that stumbles: what can be repeated is, three times; nothing cut short passes."""

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
        site.script.append(EMPTY)  # what opening asks for
        yield site


def opened(site, timeout=10.0):
    endpoint = re.match("http://[^/]+", site.url)[0]
    return connect(f"s3://bilder?endpoint={endpoint}", key="k", secret="geheim", timeout=timeout)


def test_a_busy_service_is_asked_again(site):
    with opened(site) as store:
        site.script.append(BUSY)
        assert store.get(CONTENT) == DATA
    assert len(site.requests) == 3


def test_a_service_that_stays_busy_is_given_up(site):
    with opened(site) as store:
        site.script += [BUSY] * 9
        with pytest.raises(ObjectStoreError, match="the service says SlowDown"):
            store.get(CONTENT)
    assert len(site.requests) == 1 + 3


def test_what_was_cut_short_is_no_original(site):
    with opened(site) as store:
        site.script += [cut(len(DATA) - 1)] * 2
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            store.get(CONTENT)
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            list(store.stream(CONTENT))


def test_what_stops_coming_is_given_up(site):
    with opened(site, timeout=0.3) as store:
        site.script.append(stall(len(DATA) // 2))
        start = time.monotonic()
        with pytest.raises(ObjectStoreError, match="the connection failed"):
            store.get(CONTENT)
        assert time.monotonic() - start < 30  # seconds, on a busy machine


@pytest.mark.parametrize("page", [b"<html><p>Konsole</html>", b"<html></html>", b"{}", b""])
def test_a_web_page_is_no_service(site, page):
    site.script[:] = [answer(200, page, Content_Type="text/html")] * 3
    with pytest.raises(ObjectStoreError, match="no S3 service"):
        opened(site)
