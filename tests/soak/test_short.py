"""The long trials in short; `make soak` runs them whole."""

import pytest

from tests.soak import document, images, kills, load, nasty


def test_kills_lose_nothing_and_leave_nothing():
    assert sum(kills.main(2, 100).values()) == 2


def test_no_generated_request_breaks_the_document():
    assert sum(document.main(50).values()) >= 50


def test_nasty_files_neither_stop_the_service_nor_fill_the_memory():
    assert nasty.main(30, every=20) < nasty.MOST


def test_broken_images_take_neither_long_nor_much_memory():
    seconds, megabytes = images.main(60, (1 << 18,), "filled")
    assert seconds < images.SECONDS
    assert megabytes < images.MEGABYTES


@pytest.mark.parametrize("width", [4])
def test_searches_and_progress_are_answered_while_a_job_loads(width):
    (found,) = load.main(300, 0.5, (width,), 300)
    assert found["failed"] == 0
    assert found["p99"] > 0  # how fast is for the long form to tell, on a machine of its own
