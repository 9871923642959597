"""Mixed files, and what `add` makes of them, made once for all tests of jobs."""

import pytest

from tests.jobs.mixed import Added, write_mixed


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """Return a folder with 70 mixed files."""
    return write_mixed(tmp_path_factory.mktemp("mixed") / "fotos")


@pytest.fixture(scope="session")
def added(mixed):
    """Return what `add` makes of the mixed files."""
    return Added.by_add(mixed, model="lite")
