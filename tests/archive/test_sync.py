"""Archives in step with folders, by jobs."""

import re
import shutil
import time
from contextlib import contextmanager

import pytest
from PIL import Image

from imgsearch.archive import ArchiveSync, CollectionOptions, Jobs, SyncOptions
from imgsearch.archive import sync as module
from imgsearch.errors import ConfigError, SourceError, SyncRefused
from imgsearch.images import sources
from imgsearch.library import file_index
from tests.archive.place import archive, jpeg
from tests.pictures import picture, write


@pytest.fixture
def opened(tmp_path):
    with archive(tmp_path, roots=(tmp_path,)) as store:
        yield store


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "bilder/katze", 3)
    return tmp_path / "bilder"


def counts(report):
    names = ("added", "changed", "renamed", "deleted", "unchanged", "failed")
    return tuple(getattr(report, name) for name in names)


def sync(archive, folder, **options):
    report = ArchiveSync(archive, SyncOptions(**options)).run(folder)
    vectors, images = archive.count().vectors, archive.count().images
    contents = {entry.content for entry in archive.entries("images").entries}
    assert (len(contents), archive.catalog.count("images")) == (vectors, images)
    return counts(report)


def places(archive):
    return {entry.place: entry.content for entry in archive.entries().entries}


def on_disk(folder):
    files = sorted(folder.rglob("*.png"))
    return {str(file): sources.content_id(file.read_bytes()) for file in files}


def test_sync_adds_replaces_renames_and_deletes(opened, folder):
    assert sync(opened, folder) == (3, 0, 0, 0, 0, 0)
    first, second, third = sorted((folder / "katze").iterdir())
    renamed = next(entry for entry in opened.entries().entries if entry.place == str(first))
    opened.update(renamed.id, label="Mimi", fields={"stars": 5})
    (folder / "größe").mkdir()
    first.rename(folder / "größe/neu.png")
    second.unlink()
    third.write_bytes(jpeg(9))
    write(folder / "größe", 1, start=4)
    before = places(opened)
    assert sync(opened, folder, dry_run=True) == (1, 1, 1, 1, 0, 0)
    assert places(opened) == before
    assert sync(opened, folder) == (1, 1, 1, 1, 0, 0)
    assert places(opened) == on_disk(folder)
    values = {entry.name: (entry.label, entry.fields) for entry in opened.entries().entries}
    assert values["neu.png"] == ("Mimi", {"stars": 5})
    assert values["bild-ü 0004.png"] == ("größe", {})
    assert sync(opened, folder) == (0, 0, 0, 0, 3, 0)


def test_changed_file_keeps_fields_but_not_the_facts_of_the_old_file(tmp_path):
    file = tmp_path / "bilder/x.jpg"
    file.parent.mkdir()
    exif = Image.Exif()
    exif[0x0110] = "Käsekamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 0.0, 0.0), 3: "E", 4: (7.0, 0.0, 0.0)})
    Image.fromarray(picture(1)).save(file, exif=exif)
    creation = CollectionOptions("classic", exif=("camera", "width", "latitude", "longitude"))
    with archive(tmp_path, roots=(tmp_path,), creation=creation) as store:
        sync(store, file.parent)
        (entry,) = store.entries().entries
        assert entry.fields["latitude"] == 50
        store.update(entry.id, fields={**entry.fields, "stars": 5})
        Image.fromarray(picture(2, (128, 96))).save(file)  # without the place and the camera
        assert sync(store, file.parent) == (0, 1, 0, 0, 0, 0)
        (entry,) = store.entries().entries
        assert entry.fields == {"width": 128, "stars": 5}


def test_unchanged_files_are_read_again_for_metadata_once(tmp_path, monkeypatch):
    for place in (module, file_index):
        monkeypatch.setattr(place, "time_ns", lambda: time.time_ns() + 10**10)
    write(tmp_path / "bilder", 2)
    with archive(tmp_path, roots=(tmp_path,)) as store:
        assert sync(store, tmp_path / "bilder")[0] == 2
    creation = CollectionOptions("classic", exif=("width", "camera"))
    with archive(tmp_path, roots=(tmp_path,), creation=creation) as store:
        report = ArchiveSync(store, SyncOptions()).run(tmp_path / "bilder")
        assert (counts(report), report.updated) == ((0, 0, 0, 0, 2, 0), 2)
        assert [entry.fields for entry in store.entries().entries] == [{"width": 64}] * 2
    with archive(tmp_path, roots=(tmp_path,), creation=creation) as store:
        monkeypatch.setattr(sources, "read", lambda *_args, **_options: 1 / 0)
        assert sync(store, tmp_path / "bilder") == (0, 0, 0, 0, 2, 0)


def test_each_of_two_equal_files_has_an_image(opened, folder):
    file = next((folder / "katze").iterdir())
    shutil.copy(file, folder / "copy.png")
    assert sync(opened, folder) == (4, 0, 0, 0, 0, 0)
    file.unlink()
    assert sync(opened, folder) == (0, 0, 0, 1, 3, 0)
    assert places(opened) == on_disk(folder)


def test_unchanged_files_are_not_read(opened, folder, monkeypatch):
    monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + 10**10)
    sync(opened, folder)
    monkeypatch.setattr(sources, "read", lambda *_args, **_options: 1 / 0)
    assert sync(opened, folder) == (0, 0, 0, 0, 3, 0)


def test_other_drive_at_the_same_path_is_refused_until_confirmed(opened, folder):
    files = write(folder, 12, start=3)
    sync(opened, folder)
    before = places(opened)
    for place, file in enumerate(files):
        file.write_bytes(jpeg(100 + place))
    why = "12 of 15 images below .* would be replaced"
    with running(opened) as run:
        assert (run(folder, sync=True, dry_run=True).changed, places(opened)) == (12, before)
        job = run(folder, sync=True)
        assert (job.state, re.search(why, job.error) is not None) == ("failed", True)
    with pytest.raises(SyncRefused, match=why):
        sync(opened, folder)
    assert places(opened) == before
    assert sync(opened, folder, confirm=True) == (0, 12, 0, 0, 3, 0)
    assert places(opened) == on_disk(folder)


def test_touched_files_are_read_once(opened, folder, monkeypatch):
    for place in (module, file_index):
        monkeypatch.setattr(place, "time_ns", lambda: time.time_ns() + 10**10)
    files = write(folder, 12)
    sync(opened, folder)
    for file in files:
        file.touch()
    assert sync(opened, folder) == (0, 0, 0, 0, 15, 0)
    monkeypatch.setattr(sources, "read", lambda *_args, **_options: 1 / 0)
    assert sync(opened, folder) == (0, 0, 0, 0, 15, 0)


def test_uploads_and_other_collections_are_kept(opened, folder):
    (incoming, *_) = opened.folder(folder)
    opened.add([module.replace(incoming, source="upload", place="", data=jpeg(1))])
    sync(opened, folder)
    sync(opened, folder, collection="other")
    shutil.rmtree(folder / "katze")
    with pytest.raises(SyncRefused, match="has no images, and 3 of its images are stored"):
        sync(opened, folder)
    assert sync(opened, folder, confirm=True)[3] == 3
    assert opened.catalog.count("images") == 1
    assert opened.catalog.count("other") == 3


def test_folder_outside_and_lists_are_errors(opened, tmp_path):
    with pytest.raises(SourceError, match="permitted root"):
        sync(opened, "/etc")
    (tmp_path / "liste.csv").write_text("path\nx.jpg\n")
    with pytest.raises(ConfigError, match="is a list"):
        sync(opened, tmp_path / "liste.csv")


@contextmanager
def running(archive):
    jobs = Jobs(archive)
    try:
        yield lambda folder, **flags: list(jobs.watch(jobs.start_folder(str(folder), **flags).id))[
            -1
        ]
    finally:
        jobs.close()


def test_jobs_replace_edited_files_and_sync_only_when_asked(opened, folder):
    with running(opened) as run:
        run(folder)
        first, second, _ = sorted((folder / "katze").iterdir())
        first.write_bytes(jpeg(7))
        second.unlink()
        job = run(folder)
        assert (job.state, job.found, job.inserted, job.skipped) == ("done", 2, 1, 1)
        assert (job.changed, job.deleted, opened.count().images) == (1, 0, 3)
        dry = run(folder, sync=True, dry_run=True)
        assert (dry.found, dry.inserted, dry.deleted, opened.count().images) == (2, 0, 1, 3)
        job = run(folder, sync=True)
        assert (job.state, job.deleted, places(opened)) == ("done", 1, on_disk(folder))
        shutil.rmtree(folder / "katze")
        refused = run(folder, sync=True)
        assert (refused.state, refused.error[:11]) == ("failed", "SyncRefused")
        assert run(folder, sync=True, confirm=True).deleted == 2


def test_confirmation_needs_sync(opened, folder):
    with running(opened) as run, pytest.raises(ConfigError, match="need sync"):
        run(folder, confirm=True)
