"""The command line in this process, and a library in memory that the tests of a module share."""

import uuid

import pytest
from click.testing import CliRunner

import imgsearch
from imgsearch import settings
from imgsearch.cli import cli
from tests.pictures import write


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command line in an empty folder, without settings."""
    monkeypatch.chdir(tmp_path)
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        return CliRunner().invoke(cli, [str(word) for word in words])

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of six pictures in two classes."""
    folder = tmp_path_factory.mktemp("fotos")
    write(folder / "cats", 3)
    write(folder / "2*2 größen", 3, start=3)
    return folder


@pytest.fixture(scope="module")
def db(photos):
    """Return the URL of a library that holds `photos`; tests leave it as it is."""
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url) as library:
        library.add(photos)
        yield url
