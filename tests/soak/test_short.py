"""Short runs of the long trials; `make soak` runs them in full."""

import pytest

from tests.soak import document, images, kills, load, nasty, syncs


def test_killed_loads_lose_nothing_and_complete():
    assert sum(kills.main(2, 100).values()) == 2


def test_killed_syncs_lose_nothing_and_complete():
    assert syncs.main(2, 30) == 2


def test_responses_to_generated_requests_match_the_document():
    assert sum(document.main(50).values()) >= 50


def test_nasty_files_neither_stop_the_service_nor_exhaust_memory():
    assert nasty.main(30, every=20) < nasty.MOST


def test_broken_images_use_little_time_and_memory():
    seconds, megabytes = images.main(60, (1 << 18,), "filled")
    assert seconds < images.SECONDS
    assert megabytes < images.MEGABYTES


@pytest.mark.parametrize("width", [4])
def test_searches_and_progress_are_answered_while_a_job_loads(width):
    (result,) = load.main(300, 0.5, (width,), 300, rounds=1)
    assert result["failed"] == 0
    assert result["p99"] > 0  # the long run measures the speed, on an idle machine
