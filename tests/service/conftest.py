"""The service over every topology, started once a session."""

from contextlib import suppress

import pytest

from imgsearch.errors import CollectionNotFound
from tests.service import topologies
from tests.service.running import running

if hasattr(topologies, "team"):
    from tests.service.topologies import team  # noqa: F401 - a fixture


@pytest.fixture(scope="session", params=topologies.NAMES)
def service(request, tmp_path_factory):
    """Return a running service over each topology. Tests use their own collections."""
    folder = tmp_path_factory.mktemp("service")
    photos = folder / "фото"
    photos.mkdir()
    if request.param == "plain":
        place = topologies.plain(folder / "größe")
    else:
        place = request.getfixturevalue("team").topology()
    with running(place, folder / "data", roots=(photos,)) as service:
        service.photos = photos
        yield service


@pytest.fixture
def empty(service):
    """Return the name of an unused collection. It is dropped after the test.

    Milvus uses 0.5 % of a core for each loaded collection, and the tests create a hundred.
    """
    name = service.collection()
    yield name
    with suppress(CollectionNotFound):
        service.archive.drop(name, confirm=name)
