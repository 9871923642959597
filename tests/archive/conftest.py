"""A fixture of tests that index their rows."""

import pytest

from imgsearch.archive import addition, libraries
from imgsearch.archive import archive as module
from tests.service.topologies import team, topology  # noqa: F401 - fixtures


@pytest.fixture
def index_of_32(monkeypatch):
    """Make 32 rows worth an index, because 256 pictures take seconds to add."""
    for user in (addition, module, libraries):
        monkeypatch.setattr(user, "WORTH_AN_INDEX", 32)
