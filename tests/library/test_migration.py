"""A model change: every image is embedded anew, then all readers change over."""

import doctest
import os
import threading
import uuid

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.backends import connect, notes, versions
from imgsearch.encoders import load
from imgsearch.errors import CollectionNotFound, ConfigError, ModelNotFound
from imgsearch.library.duplicate_memory import DuplicateMemory
from imgsearch.library.versioned_images import VersionedImages
from tests.pictures import write


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def files(tmp_path):
    """Return six pictures in two folders, whose names are labels."""
    return write(tmp_path / "Hunde", 3) + write(tmp_path / "Gänse", 3, start=3)


@pytest.fixture
def library(url, files):
    with imgsearch.open(url, model="classic") as opened:
        opened.add(files[0].parents[1])
        yield opened


def paths(library):
    return {record.fields["path"] for record in library.collection.iterate(vectors=False)}


def test_migration_keeps_ids_labels_and_fields(bench, tmp_path):
    """In every store the new vectors equal the vectors of a library with the new model."""
    files = write(tmp_path / "Hunde", 2) + write(tmp_path / "Gänse", 1, start=2)
    name = bench.new_name()
    place = {"collection": name, "token": bench.token}
    with imgsearch.open(bench.url, model="classic", **place) as library:
        library.add(tmp_path)
        before = {record.id: record for record in library.collection.iterate()}
        library.thresholds.keep_duplicates({"threshold": 0.9})
        report = library.migrate("lite", switch=True)
        assert (report.former_model, report.model) == ("classic", "lite")
        assert (report.load.added, report.missing, report.switched) == (3, 0, True)
        after = {record.id: record for record in library.collection.iterate()}
        assert {id_: row.fields for id_, row in after.items()} == {
            id_: row.fields for id_, row in before.items()
        }
        pixels = np.asarray(Image.open(files[0]).convert("RGB"))
        (vector,) = load("lite").encode([pixels])
        (row,) = [row for row in after.values() if row.fields["path"] == str(files[0])]
        assert row.vector == pytest.approx(vector, abs=1e-5)
        assert library.thresholds.to_dict()["duplicates"] == {}  # to be measured again
        assert library.search(files[2], k=1)[0].fields["label"] == "Gänse"
    with imgsearch.open(bench.url, **place) as library:
        assert (library.model, library.count()) == ("lite", 3)
        assert library.migration().former == (name,)
        assert library.migration().drop_former() == 1
        assert (library.model, library.count(), library.exists()) == ("lite", 3, True)
    with connect(bench.url, token=bench.token) as store:
        assert [one for one in versions.collections(store) if one.startswith(name)] == [name]
        versions.drop(store, name)
        assert [one for one in store.names() if one.startswith(name)] == []
        store.drop(notes.NAME)


def test_example_in_the_docstring_runs():
    assert doctest.DocTestRunner().run(
        doctest.DocTestFinder().find(VersionedImages.migrate, "migrate")[0]
    ) == (0, 3)


def test_searches_use_the_former_model_until_the_switch(library, url, files):
    report = library.migrate("lite")
    assert (report.load.added, report.switched, library.model) == (6, False, "classic")
    assert library.search(files[0])[0].fields["path"] == str(files[0])
    assert library.migration().shadow.count() == 6
    again = library.migrate("lite", switch=True)
    assert (again.load.added, again.load.skipped, again.switched) == (0, 6, True)
    assert library.search(files[0])[0].fields["path"] == str(files[0])
    assert library.migration().shadow is None
    with connect(url) as store:
        assert versions.collections(store) == ["images"]


def test_images_added_changed_and_removed_meanwhile_are_carried_over(library, url, files, tmp_path):
    more = write(tmp_path / "neu", 2, start=6)
    with imgsearch.open(url) as other:
        todo = [
            lambda: other.add(tmp_path / "neu"),
            lambda: other.remove(files[0]),
            lambda: relabel(other, files[1]),
        ]

        def on_progress(progress):
            if progress.embedded and todo:
                todo.pop(0)()

        report = library.migrate("lite", switch=True, on_progress=on_progress)
    assert not todo
    assert report.switched
    assert paths(library) == {str(path) for path in [*files[1:], *more]}
    assert library.search(files[1], k=1)[0].label == "Wolf"


def relabel(library, path):
    (record,) = [row for row in library.collection.iterate() if row.fields["path"] == str(path)]
    library.collection.upsert(
        [imgsearch.Record(record.id, record.vector, {**record.fields, "label": "Wolf"})]
    )


def test_pairs_kept_apart_stay_apart(library, files):
    store = library._handle.backend
    pair = DuplicateMemory(store, library.collection).keep_apart(str(files[0]), str(files[1]))
    for model in ("lite", "classic"):
        library.migrate(model, switch=True)
        assert DuplicateMemory(store, library.collection).apart() == {pair}


def test_declared_fields_are_migrated(url, files):
    with imgsearch.open(url, model="classic", fields={"year": int}) as library:
        library.add(*files[:3], fields={"year": 2019})
        library.migrate("lite")
    with imgsearch.open(url, fields={"city": str}) as library:
        library.add(files[3], fields={"city": "Köln", "year": 2020})
        assert library.migrate("lite", switch=True).switched
        assert (library.model, library.count("city = Köln and year = 2020")) == ("lite", 1)
        assert library.count("year = 2019") == 3


def test_missing_and_changed_files_prevent_the_switch(library, files):
    files[0].unlink()
    files[1].write_bytes(files[2].read_bytes())
    failures = []
    report = library.migrate("lite", switch=True, on_failure=failures.append)
    assert (report.missing, report.switched, library.model) == (2, False, "classic")
    assert sorted(failure.path for failure in failures) == sorted(map(str, files[:2]))
    assert {failure.error for failure in failures} == {"SourceError"}
    assert any("has changed" in failure.reason for failure in failures)
    assert "2 images cannot be embedded anew" in report.load.notes[-1]
    assert library.count() == 6  # nothing is lost
    report = library.migrate("lite", switch=True, skip_missing=True)
    assert (report.missing, report.switched, library.count()) == (2, True, 4)
    assert report.load.failed == 2  # not counted again after the switch


def test_dry_run_looks_for_files_and_writes_nothing(library, url, files):
    files[0].unlink()
    report = library.migrate("lite", dry_run=True)
    assert (report.missing, report.load.added, report.switched) == (1, 0, False)
    assert report.load.failures[0].path == str(files[0])
    with connect(url) as store:
        assert "images_v2" not in store.names()
    library.migrate("lite")
    assert library.migrate("lite", dry_run=True).load.skipped == 5


def test_way_back_embeds_new_images_only(library, files, tmp_path):
    library.migrate("lite", switch=True)
    library.add(*write(tmp_path / "neu", 1, start=9))
    library.remove(files[0])
    report = library.migrate("classic", switch=True)
    assert (report.load.added, report.load.skipped, library.model) == (1, 5, "classic")
    assert library.count() == 6
    assert library.migration().former == ("images_v2",)
    report = library.add(files[0].parents[1])  # the removed image is not taken for a known one
    assert (report.added, report.skipped, library.count()) == (1, 5, 7)


def test_unfinished_migration_to_another_model_is_not_mixed(library):
    library.migrate("lite")
    with pytest.raises(ConfigError, match="to 'lite' is unfinished"):
        library.migrate("lite2")
    assert library.migration().discard()
    assert not library.migration().discard()
    assert library.migrate("lite2", switch=True).switched


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("liet", ModelNotFound, "did you mean lite"),
        ("a\0b", ModelNotFound, "no model"),
        (3, ConfigError, "invalid model of type int"),
    ],
)
def test_model_is_checked_first(library, model, error, message):
    with pytest.raises(error, match=message):
        library.migrate(model)


def test_migration_to_the_own_model_changes_nothing(library, url):
    report = library.migrate("classic", switch=True)
    assert (report.switched, report.load.added, report.former_model) == (True, 0, "classic")
    with connect(url) as store:
        assert "images_v2" not in store.names()


def test_empty_library_has_nothing_to_migrate(url):
    with imgsearch.open(url, model="classic") as library:
        with pytest.raises(CollectionNotFound, match="add some images first"):
            library.migrate("lite")
        assert library.migration().former == ()


def test_removal_around_the_switch_is_not_undone(library, files):
    """The last pass after the switch carries over late writes, but no removed image."""
    library.migrate("lite")
    store = library._handle.backend
    versions.switch(store, "images")  # and killed here
    late = [row for row in store.open("images").iterate() if row.fields["path"] == str(files[5])]
    library.collection.delete([late[0].id])  # as if it had been added to the former one just now
    assert library.remove(files[0]) == 1
    with pytest.raises(ConfigError, match="Run the migration again first"):
        library.migration().drop_former()
    report = library.migrate("lite")
    assert (report.switched, report.load.added) == (True, 1)
    assert paths(library) == {str(path) for path in files[1:]}
    assert library.migration().drop_former() == 1


def test_searches_never_fail_during_a_migration(library, url, files):
    errors, ended = [], threading.Event()

    def search():
        with imgsearch.open(url) as reader:
            while not ended.is_set():
                try:
                    assert reader.search(files[0], k=1)[0].fields["path"] == str(files[0])
                except BaseException as error:  # noqa: BLE001
                    errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for model in ("lite", "classic", "lite"):
        assert library.migrate(model, switch=True).switched
    ended.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_name_that_is_not_utf8_is_read(url, tmp_path):
    (path,) = write(tmp_path, 1)
    path.rename(os.fsdecode(bytes(tmp_path) + b"/\xff.png"))
    with imgsearch.open(url, model="classic") as library:
        library.add(tmp_path)
        assert library.migrate("lite", switch=True).missing == 0


def test_image_in_memory_has_no_file(url):
    with imgsearch.open(url, model="classic") as library:
        library.add(Image.new("RGB", (8, 8), "red"))
        report = library.migrate("lite")
        assert report.missing == 1
        assert "added from memory" in report.load.failures[0].reason
