"""A sync in every store."""

from contextlib import suppress

import imgsearch
from imgsearch.backends import notes
from imgsearch.errors import CollectionNotFound
from tests.pictures import write


def test_sync_keeps_its_index_in_every_store(bench, tmp_path):
    files = write(tmp_path / "größe", 3)
    name = bench.new_name()
    try:
        with imgsearch.open(bench.store.url, collection=name, model="classic") as library:
            assert library.sync(tmp_path).added == 3
            files[0].unlink()
            files[1].rename(tmp_path / "größe/neu.png")
            report = library.sync(tmp_path)
            assert (report.renamed, report.deleted, report.unchanged) == (1, 1, 1)
            index = library.file_index("files")
            assert (index.complete, len(index.files), len(index.labels)) == (True, 2, 2)
            assert library.sync(tmp_path).unchanged == library.count() == 2
    finally:
        with suppress(CollectionNotFound):
            bench.store.drop(notes.NAME)
