"""What holds for every store of originals."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from imgsearch.errors import ConfigError, ObjectNotFound
from tests.objects.shelf import jpeg

NO_CONTENTS = (
    "",
    "a" * 63,
    "a" * 65,
    "A" * 64,
    "a" * 64 + "\n",
    "../" + "a" * 61,
    "/etc/passwd",
    "a" * 62 + "/a",
    "٠" * 64,  # digits, to Unicode
)


def test_what_was_put_comes_back(shelf):
    content, data = jpeg(1)
    shelf.store.ping()
    shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.get(content) == data
    with shelf.again() as other:
        assert other.get(content) == data


def test_an_original_comes_in_pieces_too(shelf):
    data = bytes(range(256)) * 10_000  # 2.56 MB: three pieces of at most 1 MiB
    content = hashlib.sha256(data).hexdigest()
    shelf.store.put(content, data, "image/x-portable-pixmap")
    pieces = list(shelf.store.stream(content))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 20


def test_a_stream_may_be_left_early(shelf):
    content, data = jpeg(1)
    shelf.store.put(content, data, "image/jpeg")
    shelf.store.stream(content)
    stream = shelf.store.stream(content)
    assert data.startswith(next(stream))
    del stream  # what it had open is closed: a ResourceWarning is an error here
    assert shelf.store.get(content) == data


def test_what_is_not_there_is_not_found(shelf):
    content, data = jpeg(1)
    other, _ = jpeg(2)
    shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.exists(content)
    assert not shelf.store.exists(other)
    with pytest.raises(ObjectNotFound, match=other):
        shelf.store.get(other)
    with pytest.raises(ObjectNotFound, match=other):
        shelf.store.stream(other)  # at once: an answer may have begun by the first piece
    assert shelf.store.thumbnail(other, 256) is None


def test_putting_twice_is_putting_once(shelf):
    content, data = jpeg(1)
    for _ in range(2):
        shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.get(content) == data
    assert [found for found, _ in shelf.store.contents()] == [content]


def test_other_bytes_are_refused_and_change_nothing(shelf):
    content, data = jpeg(1)
    shelf.store.put(content, data, "image/jpeg")
    with suppress(ConfigError):
        shelf.store.put(content, data[:-1] + b"?", "image/jpeg")
    assert shelf.store.get(content) == data


def test_only_content_hashes_are_keys(shelf):
    for content in NO_CONTENTS:
        for use in (
            lambda content: shelf.store.put(content, b"", "image/png"),
            shelf.store.get,
            shelf.store.stream,
            shelf.store.exists,
            shelf.store.delete,
            lambda content: shelf.store.link(content, 60),
            lambda content: shelf.store.put_thumbnail(content, 64, b""),
            lambda content: shelf.store.thumbnail(content, 64),
        ):
            with pytest.raises(ConfigError, match="is no content"):
                use(content)


def test_nothing_that_could_be_a_script_is_put(shelf):
    content, data = jpeg(1)
    for media_type in ("text/html", "image/svg+xml", "image/png\r\nX: y", ""):
        with pytest.raises(ConfigError, match="media type"):
            shelf.store.put(content, data, media_type)
    assert not shelf.store.exists(content)


def test_deleting_takes_the_thumbnails_along_and_can_be_repeated(shelf):
    (content, data), (kept, other) = jpeg(1), jpeg(2)
    for each, it in ((content, data), (kept, other)):
        shelf.store.put(each, it, "image/jpeg")
        for edge in (16, 256, 1024):
            shelf.store.put_thumbnail(each, edge, b"small %d" % edge)
    for _ in range(2):
        shelf.store.delete(content)
    assert not shelf.store.exists(content)
    assert [shelf.store.thumbnail(content, edge) for edge in (16, 256, 1024)] == [None] * 3
    with pytest.raises(ObjectNotFound):
        shelf.store.get(content)
    assert shelf.store.get(kept) == other
    assert shelf.store.thumbnail(kept, 256) == b"small 256"
    assert [found for found, _ in shelf.store.contents()] == [kept]


def test_what_was_deleted_can_be_put_again(shelf):
    content, data = jpeg(1)
    for _ in range(2):
        shelf.store.put(content, data, "image/jpeg")
        shelf.store.delete(content)
    shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.get(content) == data


def test_thumbnails_are_replaced_and_need_no_original(shelf):
    content, _ = jpeg(1)
    for data in (b"first", b"second"):
        shelf.store.put_thumbnail(content, 128, data)
    assert shelf.store.thumbnail(content, 128) == b"second"
    assert shelf.store.thumbnail(content, 64) is None
    assert not shelf.store.exists(content)
    assert list(shelf.store.contents()) == []
    shelf.store.delete(content)
    assert shelf.store.thumbnail(content, 128) is None


def test_edges_have_limits(shelf):
    content, data = jpeg(1)
    for edge in (0, 15, 1025, -256):
        with pytest.raises(ConfigError, match="16 to 1024"):
            shelf.store.put_thumbnail(content, edge, data)
        with pytest.raises(ConfigError, match="16 to 1024"):
            shelf.store.thumbnail(content, edge)


def test_the_listing_tells_every_original_once_and_its_age(shelf):
    assert list(shelf.store.contents()) == []
    put = dict(jpeg(seed) for seed in range(7))
    for content, data in put.items():
        shelf.store.put(content, data, "image/jpeg")
        shelf.store.put_thumbnail(content, 64, b"small")
    listed = list(shelf.store.contents())
    assert sorted(content for content, _ in listed) == sorted(put)
    assert all(0 <= age < 60 for _, age in listed)  # seconds


def test_writers_of_one_content_leave_it_whole(shelf):
    data = bytes(range(251)) * 4000  # 1 MB: time for the others to begin
    content = hashlib.sha256(data).hexdigest()
    with shelf.again() as other, ThreadPoolExecutor(4) as pool:
        stores = [shelf.store, other] * 4
        for _ in pool.map(lambda store: store.put(content, data, "image/jpeg"), stores):
            assert shelf.store.get(content) == data
    assert [found for found, _ in shelf.store.contents()] == [content]


def test_a_link_lives_a_second_to_seven_days(shelf):
    content, _ = jpeg(1)
    for seconds in (0, -1, 604_801):
        with pytest.raises(ConfigError, match="604800"):
            shelf.store.link(content, seconds)
    with pytest.raises(ConfigError, match="media type"):
        shelf.store.link(content, 60, media_type="text/html")


def test_repr_is_the_url(shelf):
    assert repr(shelf.store) == f"{type(shelf.store).__name__}({shelf.store.url!r})"
