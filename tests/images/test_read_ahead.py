"""Files are read in threads before their turn; their order, errors and memory stay bounded."""

from itertools import count, islice
from threading import Barrier

import pytest

from imgsearch.errors import SourceError
from imgsearch.images.read_ahead import Early, ReadAhead


@pytest.fixture
def reading():
    """Return a function that makes a `ReadAhead` of an `early`, closed after the test."""
    opened = []

    def reading(early):
        opened.append(ReadAhead(early))
        return opened[-1]

    yield reading
    for ahead in opened:
        ahead.close()


def taken(numbers, seen):
    """Yield the numbers, and note each one that was taken."""
    for number in numbers:
        seen.append(number)
        yield number


def test_eight_files_are_read_at_once_and_keep_their_order(reading):
    together = Barrier(8, timeout=30)  # breaks unless eight reads meet

    def early(number):
        return Early(1, lambda: (together.wait() >= 0, number))

    results = [file() for _, file in reading(early).items(range(16))]
    assert results == [(True, number) for number in range(16)]


def test_nothing_is_taken_beyond_an_item_that_waits_for_its_turn(reading):
    seen = []
    ahead = reading(lambda number: None if number == 3 else Early(1, lambda: number))
    items = ahead.items(taken(range(6), seen))
    item, file = next(items)
    assert (item, file()) == (0, 0)
    assert seen == [0, 1, 2, 3]
    assert [item for item, _ in islice(items, 2)] == [1, 2]
    assert seen == [0, 1, 2, 3]
    assert next(items) == (3, None)
    assert [item for item, _ in items] == [4, 5]


def test_files_of_32_mb_and_256_items_are_taken_at_most(reading):
    seen = []
    next(reading(lambda _: Early(10 * 2**20, lambda: None)).items(taken(count(), seen)))
    assert len(seen) == 4  # 30 MB leave room for a last one
    seen.clear()
    next(reading(lambda _: Early(1, lambda: None)).items(taken(count(), seen)))
    assert len(seen) == 256


def test_16_images_by_url_are_taken_at_most_because_their_sizes_are_unknown(reading):
    seen = []
    ahead = reading(lambda number: Early.of(f"https://example.com/{number}.jpg", lambda: None))
    next(ahead.items(taken(count(), seen)))
    assert len(seen) == 16


def test_errors_come_in_their_turn(reading):
    def fails():
        raise SourceError("gone")

    def source():
        yield from range(3)
        raise SourceError("the list ends here")

    ahead = reading(lambda number: Early(1, fails if number == 1 else lambda: number))
    items = ahead.items(source())
    assert next(items)[1]() == 0
    with pytest.raises(SourceError, match="gone"):
        next(items)[1]()
    assert next(items)[1]() == 2
    with pytest.raises(SourceError, match="the list ends here"):
        next(items)


def test_size_of_a_missing_file_is_zero(tmp_path):
    (tmp_path / "ä").write_bytes(b"123")
    assert Early.of(str(tmp_path / "ä"), bytes).size == 3
    assert Early.of(str(tmp_path / "b"), bytes).size == 0
    assert Early.of("a\0b", bytes).size == 0


@pytest.mark.parametrize("path", ["", "clip.mp4#t=12", "file:///a.jpg", "a.tar#file=b.jpg"])
def test_parts_of_files_are_read_in_their_turn(path):
    assert Early.of(path, bytes) is None
