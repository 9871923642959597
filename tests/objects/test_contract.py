"""The contract of object stores."""

import hashlib
import io
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


def test_put_and_get_round_trip(shelf):
    content, data = jpeg(1)
    shelf.store.ping()
    shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.get(content) == data
    with shelf.again() as other:
        assert other.get(content) == data


def test_stream_returns_an_original_in_pieces(shelf):
    data = bytes(range(256)) * 10_000  # 2.56 MB: three pieces of at most 1 MiB
    content = hashlib.sha256(data).hexdigest()
    shelf.store.put(content, data, "image/x-portable-pixmap")
    pieces = list(shelf.store.stream(content))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 20


def test_stream_can_be_abandoned(shelf):
    content, data = jpeg(1)
    shelf.store.put(content, data, "image/jpeg")
    shelf.store.stream(content)
    stream = shelf.store.stream(content)
    assert data.startswith(next(stream))
    del stream  # its file is closed: a ResourceWarning is an error here
    assert shelf.store.get(content) == data


def test_file_is_put_once_and_only_read_if_it_is_missing(shelf):
    data = bytes(range(251)) * 9_000  # 2.3 MB: several pieces
    content = hashlib.sha256(data).hexdigest()
    opened = []

    def opener():
        opened.append(io.BytesIO(data))
        return opened[-1]

    for _ in range(2):
        shelf.store.put_file(content, opener, len(data), "video/mp4")
    assert shelf.store.get(content) == data
    assert [file.closed for file in opened] == [True]


def test_file_with_another_hash_is_not_stored(shelf):
    content, data = jpeg(1)
    with pytest.raises(ConfigError, match="do not have the content hash"):
        shelf.store.put_file(content, lambda: io.BytesIO(data + b"?"), len(data), "video/mp4")
    with pytest.raises(ConfigError, match="media type"):
        shelf.store.put_file(content, lambda: io.BytesIO(data), len(data), "text/html")
    assert list(shelf.store.contents()) == []
    shelf.store.put_file(content, lambda: io.BytesIO(data), len(data), "video/mp4")
    assert shelf.store.get(content) == data


def test_original_is_read_at_any_position(shelf):
    data = bytes(range(251)) * 9_000
    content = hashlib.sha256(data).hexdigest()
    shelf.store.put(content, data, "video/webm")
    with shelf.store.open(content) as file:
        file.seek(2_000_000)
        assert (file.read(10), file.tell()) == (data[2_000_000:2_000_010], 2_000_010)
        assert file.seek(-5, io.SEEK_END) == len(data) - 5
        assert (file.read(100), file.read(1)) == (data[-5:], b"")
        file.seek(3)
        assert file.read() == data[3:]
    with pytest.raises(ObjectNotFound):
        shelf.store.open(jpeg(1)[0])


def test_missing_original_raises_object_not_found(shelf):
    content, data = jpeg(1)
    other, _ = jpeg(2)
    shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.exists(content)
    assert not shelf.store.exists(other)
    with pytest.raises(ObjectNotFound, match=other):
        shelf.store.get(other)
    with pytest.raises(ObjectNotFound, match=other):
        shelf.store.stream(other)  # raises before the first piece, when a response may have started
    assert shelf.store.thumbnail(other, 256) is None


def test_put_is_idempotent(shelf):
    content, data = jpeg(1)
    for _ in range(2):
        shelf.store.put(content, data, "image/jpeg")
    assert shelf.store.get(content) == data
    assert [key for key, _ in shelf.store.contents()] == [content]


def test_put_of_other_bytes_under_the_same_key_changes_nothing(shelf):
    content, data = jpeg(1)
    shelf.store.put(content, data, "image/jpeg")
    with suppress(ConfigError):
        shelf.store.put(content, data[:-1] + b"?", "image/jpeg")
    assert shelf.store.get(content) == data


def test_keys_must_be_content_hashes(shelf):
    for content in NO_CONTENTS:
        for use in (
            lambda content: shelf.store.put(content, b"", "image/png"),
            lambda content: shelf.store.put_file(content, io.BytesIO, 0, "video/mp4"),
            shelf.store.get,
            shelf.store.open,
            shelf.store.stream,
            shelf.store.exists,
            shelf.store.delete,
            lambda content: shelf.store.link(content, 60),
            lambda content: shelf.store.put_thumbnail(content, 64, b""),
            lambda content: shelf.store.thumbnail(content, 64),
        ):
            with pytest.raises(ConfigError, match="content hash .* is invalid"):
                use(content)


def test_script_media_types_are_rejected(shelf):
    content, data = jpeg(1)
    for media_type in ("text/html", "image/svg+xml", "image/png\r\nX: y", ""):
        with pytest.raises(ConfigError, match="media type"):
            shelf.store.put(content, data, media_type)
    assert not shelf.store.exists(content)


def test_delete_removes_thumbnails_and_is_idempotent(shelf):
    (content, data), (kept, other) = jpeg(1), jpeg(2)
    for key, original in ((content, data), (kept, other)):
        shelf.store.put(key, original, "image/jpeg")
        for edge in (16, 256, 1024):
            shelf.store.put_thumbnail(key, edge, b"small %d" % edge)
    for _ in range(2):
        shelf.store.delete(content)
    assert not shelf.store.exists(content)
    assert [shelf.store.thumbnail(content, edge) for edge in (16, 256, 1024)] == [None] * 3
    with pytest.raises(ObjectNotFound):
        shelf.store.get(content)
    assert shelf.store.get(kept) == other
    assert shelf.store.thumbnail(kept, 256) == b"small 256"
    assert [key for key, _ in shelf.store.contents()] == [kept]


def test_deleted_original_can_be_put_again(shelf):
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


def test_thumbnail_edge_has_limits(shelf):
    content, data = jpeg(1)
    for edge in (0, 15, 1025, -256):
        with pytest.raises(ConfigError, match="16 to 1024"):
            shelf.store.put_thumbnail(content, edge, data)
        with pytest.raises(ConfigError, match="16 to 1024"):
            shelf.store.thumbnail(content, edge)


def test_contents_lists_every_original_once_with_its_age(shelf):
    assert list(shelf.store.contents()) == []
    put = dict(jpeg(seed) for seed in range(7))
    for content, data in put.items():
        shelf.store.put(content, data, "image/jpeg")
        shelf.store.put_thumbnail(content, 64, b"small")
    listed = list(shelf.store.contents())
    assert sorted(content for content, _ in listed) == sorted(put)
    assert all(0 <= age < 60 for _, age in listed)  # seconds


def test_concurrent_writers_of_one_original_leave_it_whole(shelf):
    data = bytes(range(251)) * 4000  # 1 MB: long enough for the other threads to start
    content = hashlib.sha256(data).hexdigest()
    with shelf.again() as other, ThreadPoolExecutor(4) as pool:
        stores = [shelf.store, other] * 4
        for _ in pool.map(lambda store: store.put(content, data, "image/jpeg"), stores):
            assert shelf.store.get(content) == data
    assert [key for key, _ in shelf.store.contents()] == [content]


def test_link_lifetime_is_one_second_to_seven_days(shelf):
    content, _ = jpeg(1)
    for seconds in (0, -1, 604_801):
        with pytest.raises(ConfigError, match="604800"):
            shelf.store.link(content, seconds)
    with pytest.raises(ConfigError, match="media type"):
        shelf.store.link(content, 60, media_type="text/html")


def test_repr_is_the_url(shelf):
    assert repr(shelf.store) == f"{type(shelf.store).__name__}({shelf.store.url!r})"
