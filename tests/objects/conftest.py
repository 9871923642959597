"""Empty object stores of every kind."""

import itertools

import pytest

from imgsearch.objects import connect
from tests.objects.shelf import Shelf
from tests.services.swift_server import KEY

_numbers = itertools.count()


@pytest.fixture(scope="session")
def new_place(servers, place_of):
    """Return a function that returns the URL, key and secret of an empty place in a bucket."""

    def new_place():
        endpoint, secret = place_of("swift")
        url = f"s3://bilder/größe {next(_numbers)}/日本?endpoint={endpoint}"
        return url, {"key": KEY, "secret": secret}

    return new_place


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture(params=["folder", "swift"])
def shelf(request, tmp_path):
    if request.param == "folder":
        url = str(tmp_path / "originals-ü")
        shelf = Shelf(connect(url), lambda: connect(url))
    else:
        url, keys = request.getfixturevalue("place")
        from imgsearch.objects.s3 import S3Store
        from imgsearch.s3_url import S3Url

        # two keys a page, so that listings have several pages
        store = S3Store(S3Url.parse(url + "&create=1"), **keys, page=2)
        shelf = Shelf(store, lambda: connect(store.url, **keys))
    with shelf.store:
        yield shelf
