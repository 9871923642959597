"""Faulty stores: a test of the contract catches each of them."""

import io
import os
from contextlib import suppress

import pytest
from typing_extensions import override

from imgsearch.errors import ObjectNotFound
from imgsearch.objects.folder import FolderStore
from tests.objects import test_contract
from tests.objects.shelf import Shelf


class ForgetsDeletes(FolderStore):
    @override
    def delete(self, content):
        pass


class Overwrites(FolderStore):
    """Stores any bytes without comparing them with their hash."""

    @override
    def put(self, content, data, media_type):
        self._delete(content)
        self._put(content, data, media_type)


class DeletesOnce(FolderStore):
    @override
    def delete(self, content):
        if not self.exists(content):
            raise ObjectNotFound(content)
        super().delete(content)


class KeepsThumbnails(FolderStore):
    @override
    def _delete(self, content):
        self._remove(content, "originals", content[:2])


class DeletesTooMuch(FolderStore):
    @override
    def _delete(self, content):
        for key, _ in list(self.contents()):
            super()._delete(key)


class StopsListing(FolderStore):
    """Lists only the first page."""

    @override
    def contents(self):
        yield from list(super().contents())[:2]


class ListsTwice(FolderStore):
    @override
    def contents(self):
        for entry in super().contents():
            yield from (entry, entry)


class NotFoundTooLate(FolderStore):
    @override
    def stream(self, content):
        yield from super().stream(content)


class NothingForMissing(FolderStore):
    @override
    def get(self, content):
        with suppress(ObjectNotFound):
            return super().get(content)
        return b""


class TakesAnyKey(FolderStore):
    @override
    def exists(self, content):
        return os.path.lexists(content)


class OneSize(FolderStore):
    @override
    def thumbnail(self, content, edge):
        return super().thumbnail(content, 128)


class HalfWrites(FolderStore):
    """Writes in place, so that others read partial files."""

    @override
    def _write(self, place, name, pieces):
        super()._write(place, name, [b"".join(pieces)[:-1]])


class TrustsFiles(FolderStore):
    """Does not compare a file with its hash."""

    @override
    def _put_file(self, content, opener, size, media_type):
        with opener() as file:
            self._put(content, file.read(), media_type)


class ReadsFromTheStart(FolderStore):
    @override
    def _open(self, content):
        with super()._open(content) as file:
            return io.BytesIO(file.read(4))


@pytest.mark.parametrize(
    ("liar", "caught_by"),
    [
        (ForgetsDeletes, "test_delete_removes_thumbnails_and_is_idempotent"),
        (Overwrites, "test_put_of_other_bytes_under_the_same_key_changes_nothing"),
        (DeletesOnce, "test_delete_removes_thumbnails_and_is_idempotent"),
        (KeepsThumbnails, "test_delete_removes_thumbnails_and_is_idempotent"),
        (DeletesTooMuch, "test_delete_removes_thumbnails_and_is_idempotent"),
        (StopsListing, "test_contents_lists_every_original_once_with_its_age"),
        (ListsTwice, "test_contents_lists_every_original_once_with_its_age"),
        (NotFoundTooLate, "test_missing_original_raises_object_not_found"),
        (NothingForMissing, "test_missing_original_raises_object_not_found"),
        (TakesAnyKey, "test_keys_must_be_content_hashes"),
        (OneSize, "test_thumbnails_are_replaced_and_need_no_original"),
        (HalfWrites, "test_put_and_get_round_trip"),
        (TrustsFiles, "test_file_with_another_hash_is_not_stored"),
        (ReadsFromTheStart, "test_original_is_read_at_any_position"),
    ],
)
def test_contract_catches_a_faulty_store(tmp_path, liar, caught_by):
    def tried(store):
        getattr(test_contract, caught_by)(Shelf(store(tmp_path), lambda: store(tmp_path)))

    with pytest.raises((AssertionError, ObjectNotFound, pytest.fail.Exception)):
        tried(liar)
    for content, _ in list((honest := FolderStore(tmp_path)).contents()):
        honest.delete(content)
    (tmp_path / "thumbnails").rename(tmp_path / "old")
    tried(FolderStore)  # the test itself passes with a correct store
