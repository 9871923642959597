"""The tutorials' images, a library of them, a service, and an emulated Tencent VectorDB."""

import pytest

import imgsearch
from tests.compat.runs import gallery
from tests.compat.tencent import emulator, place  # noqa: F401 - fixtures
from tests.service.running import running
from tests.service.topologies import plain


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
