"""Each store of originals in turn, empty."""

import pytest

from imgsearch.objects import connect
from tests.objects.shelf import Shelf


@pytest.fixture(params=["folder"])
def shelf(request, tmp_path):
    url = str(tmp_path / "originals-ü")
    shelf = Shelf(connect(url), lambda: connect(url))
    with shelf.store:
        yield shelf
