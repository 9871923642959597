"""The tutorials' images, a library of them, a service, and an emulated Tencent VectorDB."""

import uuid

import pytest

import imgsearch
from tests.compat.runs import gallery
from tests.conftest import at_hand
from tests.service.running import running
from tests.service.topologies import plain

KEY = "mission-key"


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Return the tutorials' folder: train/CLASS/N.JPEG, test/CLASS/N.JPEG and a csv."""
    folder = tmp_path_factory.mktemp("größe")
    gallery(folder)
    return folder


@pytest.fixture(scope="session")
def library(photos):
    """Return a library of train/, in memory."""
    with imgsearch.open("memory://mission", model="classic") as library:
        library.add(photos / "train")
        yield library


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """Return a running service. Tests use their own collections."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "photos").mkdir()
    with running(plain(folder / "db"), folder / "data", roots=(folder / "photos",)) as service:
        service.photos = folder / "photos"
        yield service


@pytest.fixture
def name(service):
    """Return the name of an unused collection of the service."""
    return service.collection()


@pytest.fixture(scope="session")
def emulator():
    at_hand("tencent")
    from imgsearch.testing.tencent import Emulator

    with Emulator(key=KEY) as running:
        yield running


@pytest.fixture
def place(emulator):
    """Return the tutorial's arguments for a database that does not exist yet."""
    host, port = emulator.url.removeprefix("http://").split(":")
    return {
        "host": host, "port": port, "username": "root", "key": KEY,
        "dbName": f"db_{uuid.uuid4().hex}", "collectionName": "reverse_image_search",
    }  # fmt: skip
