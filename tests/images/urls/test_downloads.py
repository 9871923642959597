"""Images are downloaded ahead of time, and in order."""

import threading

import pytest

from imgsearch.errors import UrlFailed
from imgsearch.images.urls.downloads import AHEAD, Downloads


def test_next_urls_are_downloaded_while_one_is_read():
    started, released = threading.Semaphore(0), threading.Event()

    def fetch(url):
        started.release()
        released.wait(30)
        return url.encode()

    downloads = Downloads(fetch)
    items = downloads.ahead(map(str, range(40)), lambda item: item)
    first = next(items)
    for _ in range(8):  # as many at once
        assert started.acquire(timeout=30)
    released.set()
    assert downloads(first) == b"0"
    assert [downloads(item) for item in items] == [str(n).encode() for n in range(1, 40)]


def test_at_most_some_are_downloaded_ahead():
    urls = []
    downloads = Downloads(lambda url: urls.append(url) or b"")
    items = downloads.ahead(map(str, range(100)), lambda item: item)
    next(items)
    downloads("0")
    assert len(urls) <= AHEAD + 1


def test_files_are_not_delayed_and_errors_are_raised_at_their_place():
    def fetch(url):
        raise UrlFailed(f"{url}: weg")

    downloads = Downloads(fetch)
    items = downloads.ahead(iter(["a", "b"]), lambda _item: None)
    assert next(items) == "a"
    (url,) = downloads.ahead(["u"], lambda item: item)
    with pytest.raises(UrlFailed, match="u: weg"):
        downloads(url)
    with pytest.raises(UrlFailed):
        downloads("u")
