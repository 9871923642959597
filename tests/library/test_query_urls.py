"""Images by URL in queries: downloaded through the guard, or refused."""

import uuid
from io import BytesIO

import pytest
from PIL import Image

import imgsearch
from imgsearch import Query
from imgsearch.errors import ConfigError, ImageError, SourceError, UrlRefused
from imgsearch.query import SearchOptions
from tests.pictures import picture
from tests.services.web_server import WebServer

HOSTS = ("127.0.0.1",)


@pytest.fixture(scope="module")
def site():
    stream = BytesIO()
    Image.fromarray(picture(2)).save(stream, "PNG")
    with WebServer(stream.getvalue()) as server:
        yield server


@pytest.fixture(scope="module")
def library():
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add([picture(seed) for seed in range(4)])
        yield opened


def best(hits):
    return (hits[0].id, round(hits[0].score, 4))


def test_image_by_url_is_a_query(library, site):
    nearest = best(library.search(picture(2), k=1))
    url, whole = f"{site.url}/ä.png", {"k": 1, "url_hosts": HOSTS}
    assert best(library.search(url, **whole)) == nearest
    assert best(library.search(Query.image(url), **whole)) == nearest
    assert best(library.search_with(url, SearchOptions(k=1), url_hosts=HOSTS)) == nearest
    (hits,) = library.search_many([url], **whole)
    assert best(hits) == nearest
    assert library.embed([url], url_hosts=HOSTS)[0] == pytest.approx(library.encode(picture(2)))
    assert library.encode(url, url_hosts=HOSTS) == pytest.approx(library.encode(picture(2)))
    total = Query(url).plus(picture(1), weight=0.5)
    same = Query(picture(2)).plus(picture(1), weight=0.5)
    assert best(library.search(total, **whole)) == best(library.search(same, k=1))


def test_url_is_refused_where_downloads_are_off_or_the_host_is_private(library, site, monkeypatch):
    with pytest.raises(UrlRefused, match="no public address"):
        library.search(site.url)
    with pytest.raises(SourceError, match="not fetched here"):
        library.search(site.url, url_hosts=None)
    results = library.search_many([picture(1), site.url], k=1, errors="keep")
    assert [isinstance(result, UrlRefused) for result in results] == [False, True]
    with pytest.raises(ConfigError):
        library.search(site.url, url_hosts=["a b"])
    with pytest.raises(SourceError, match="only http and https URLs are fetched"):
        library.search("s3://bucket/a.png")
    with pytest.raises(SourceError, match="not fetched here"):
        library.encode_query(site.url)
    monkeypatch.setenv("IMGSEARCH_OFFLINE", "1")
    with pytest.raises(SourceError, match="not fetched here"):
        library.search(site.url, url_hosts=HOSTS)


def test_downloaded_bytes_must_be_an_image(library):
    with WebServer(b"no image") as server, pytest.raises(ImageError):
        library.search(server.url, url_hosts=HOSTS)


def test_url_with_words_after_it_is_a_text():
    assert Query("https://example.org is down").terms[0].kind == "text"
    (term,) = Query("HTTPS://example.org/a b.jpg".replace(" ", "%20")).terms
    assert (term.kind, Query("a dog").urls) == ("image", [])
