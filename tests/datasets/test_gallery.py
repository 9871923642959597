"""The gallery in the package: complete, small, and copied whole."""

from pathlib import Path

import pytest

from imgsearch.datasets import dataset, gallery
from imgsearch.errors import DatasetError, SourceError


def test_gallery_has_24_classes_of_10_and_a_query_each():
    loaded = dataset.load(gallery.FOLDER)
    labels = [item.label for item in loaded.gallery]
    assert (len(set(labels)), len(labels)) == (24, 240)
    assert sorted(item.label for item in loaded.queries) == sorted(set(labels))


def test_gallery_is_smaller_than_2_megabytes():
    files = [path for path in gallery.FOLDER.rglob("*") if path.is_file()]
    assert len(files) == 24 * 11 + 1  # the captions
    assert sum(path.stat().st_size for path in files) < 2_000_000


def test_write_copies_the_gallery_once(tmp_path):
    folder = tmp_path / "bilder/gallery"
    gallery.write(folder)
    assert dataset.load(folder).manifest_hash == dataset.load(gallery.FOLDER).manifest_hash
    next((folder / "test").rglob("*.jpg")).unlink()
    gallery.write(folder)
    assert len(dataset.load(folder).queries) == 23


def test_write_refuses_a_folder_with_other_files(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="holds other files"):
        gallery.write(tmp_path)


def test_write_reports_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match="cannot write the gallery"):
        gallery.write(Path(tmp_path / "file/gallery"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
