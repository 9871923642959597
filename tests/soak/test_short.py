"""Short runs of the long trials; `make soak` runs them in full."""

import pytest

from tests.conftest import at_hand
from tests.services import milvus_server
from tests.soak import document, faults, images, kills, load, nasty, syncs


def test_killed_loads_lose_nothing_and_complete():
    assert sum(kills.main(2, 100).values()) == 2


def test_killed_syncs_lose_nothing_and_complete():
    assert syncs.main(2, 30) == 2


@pytest.mark.servers
@pytest.mark.long
@pytest.mark.xdist_group("tests/soak/test_short.py")  # its servers are its own
def test_failing_servers_lose_nothing_and_are_used_again():
    for name in ("milvus", "mariadb", "swift"):
        at_hand(name)
    if why := milvus_server.unavailable():  # another one may be at hand, which is not killed
        pytest.skip(why)
    assert len(faults.main(trials=faults.FEW, lasts=2.5, lease=5)) == 6


def test_responses_to_generated_requests_match_the_document():
    assert sum(document.main(50).values()) >= 50


def test_nasty_files_neither_stop_the_service_nor_exhaust_memory():
    assert nasty.main(30, every=20) < nasty.MOST


def test_broken_images_use_little_time_and_memory():
    seconds, megabytes = images.main(40, (1 << 17,), "filled")
    assert seconds < images.SECONDS
    assert megabytes < images.MEGABYTES


@pytest.mark.parametrize("width", [4])
def test_searches_and_progress_are_answered_while_a_job_loads(width):
    (result,) = load.main(100, 0.3, (width,), 150, rounds=1)
    assert result["failed"] == 0
    assert result["p99"] > 0  # the long run measures the speed, on an idle machine
