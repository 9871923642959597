"""The service over every topology, started once a session."""

import pytest

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
    """Return the name of an unused collection."""
    return service.collection()
