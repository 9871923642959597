"""An in-memory library shared by the tests of a module."""

import uuid

import pytest

import imgsearch
from tests.pictures import write


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of six pictures in two classes."""
    folder = tmp_path_factory.mktemp("fotos")
    write(folder / "cats", 3)
    write(folder / "2*2 größen", 3, start=3)
    return folder


@pytest.fixture(scope="module")
def db(photos):
    """Return the URL of a library that holds `photos`; tests do not change it."""
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url, model="classic") as library:
        library.add(photos)
        yield url
