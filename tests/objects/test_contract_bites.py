"""Stores that are wrong on purpose: each is caught by a test of the contract."""

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
    """Takes whatever comes for the content that it is called."""

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
        for each, _ in list(self.contents()):
            super()._delete(each)


class StopsListing(FolderStore):
    """Tells the first page."""

    @override
    def contents(self):
        yield from list(super().contents())[:2]


class ListsTwice(FolderStore):
    @override
    def contents(self):
        for each in super().contents():
            yield from (each, each)


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
    """Writes in place, so that another reads what is not all there."""

    @override
    def _write(self, place, name, data):
        super()._write(place, name, data[:-1])


@pytest.mark.parametrize(
    ("liar", "caught_by"),
    [
        (ForgetsDeletes, "test_deleting_takes_the_thumbnails_along_and_can_be_repeated"),
        (Overwrites, "test_other_bytes_are_refused_and_change_nothing"),
        (DeletesOnce, "test_deleting_takes_the_thumbnails_along_and_can_be_repeated"),
        (KeepsThumbnails, "test_deleting_takes_the_thumbnails_along_and_can_be_repeated"),
        (DeletesTooMuch, "test_deleting_takes_the_thumbnails_along_and_can_be_repeated"),
        (StopsListing, "test_the_listing_tells_every_original_once_and_its_age"),
        (ListsTwice, "test_the_listing_tells_every_original_once_and_its_age"),
        (NotFoundTooLate, "test_what_is_not_there_is_not_found"),
        (NothingForMissing, "test_what_is_not_there_is_not_found"),
        (TakesAnyKey, "test_only_content_hashes_are_keys"),
        (OneSize, "test_thumbnails_are_replaced_and_need_no_original"),
        (HalfWrites, "test_what_was_put_comes_back"),
    ],
)
def test_a_liar_is_caught(tmp_path, liar, caught_by):
    def tried(store):
        getattr(test_contract, caught_by)(Shelf(store(tmp_path), lambda: store(tmp_path)))

    with pytest.raises((AssertionError, ObjectNotFound, pytest.fail.Exception)):
        tried(liar)
    for content, _ in list((honest := FolderStore(tmp_path)).contents()):
        honest.delete(content)
    (tmp_path / "thumbnails").rename(tmp_path / "old")
    tried(FolderStore)  # it is not the test that fails
