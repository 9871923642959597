import threading
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.archive import Archive, Incoming
from imgsearch.backends import Schema, StoreOptions
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    ImageNotFound,
    ImageTooLarge,
    ObjectNotFound,
    SchemaMismatch,
    SourceError,
)
from imgsearch.images import sources
from imgsearch.query import SearchOptions
from imgsearch.types import Record
from imgsearch.wire.responses import ImageCounts
from tests.archive.place import archive, images, jpeg, state
from tests.pictures import write


@pytest.fixture
def opened(tmp_path):
    with archive(tmp_path, roots=(tmp_path / "bilder",)) as store:
        yield store


def test_same_image_under_two_names_has_two_rows_and_one_vector(opened):
    one, other = Incoming("a ü.jpg", data=jpeg(1)), Incoming("b.jpg", data=jpeg(1), label="zwei")
    opened.add([one])
    added = opened.add([one, other, one])
    assert (added.report.added, added.report.skipped, len(added.entries)) == (1, 2, 2)
    assert opened.count() == ImageCounts(images=2, vectors=1)
    hits = opened.search(jpeg(1), SearchOptions(k=5))
    assert [(hit.entry.name, hit.references) for hit in hits] == [("a ü.jpg", 2)]
    assert opened.delete([hits[0].entry.id]) == 1
    (left,) = opened.search(jpeg(1), SearchOptions(k=5))
    assert (left.entry.name, left.references) == ("b.jpg", 1)
    assert left.hit.fields["label"] == "zwei"
    assert opened.delete([left.entry.id]) == 1
    assert state(opened) == (
        dict.fromkeys(("pending", "ready", "failed", "deleting"), 0),
        set(),
        set(),
    )


def test_rejected_file_is_only_listed_as_a_failure(opened):
    added = opened.add([Incoming("x.pdf", data=b"%PDF-1.7 x"), *images(0, 2)])
    assert [line.error for line in added.report.failures] == ["FormatRefused"]
    assert (added.report.failed, added.report.added) == (1, 2)
    assert len(state(opened)[2]) == 2
    again = opened.add(images(0, 2))
    assert (again.report.skipped, again.report.added, len(again.entries)) == (2, 0, 2)


def test_pixel_limit_holds_for_adding_and_searching(tmp_path):
    with archive(tmp_path, max_pixels=64 * 48) as wide:
        (entry,) = wide.add(images(0, 1)).entries
        assert wide.search(jpeg(0), SearchOptions(k=1))[0].entry == entry
    with archive(tmp_path, max_pixels=10) as narrow:
        assert [line.error for line in narrow.add(images(1, 2)).report.failures] == [
            "ImageTooLarge"
        ]
        with pytest.raises(ImageTooLarge):
            narrow.search(jpeg(0), SearchOptions(k=1))
        assert narrow.thumbnail(entry.id, 64)  # stored images are shown even above the limit


def test_given_id_is_kept_and_unique(opened):
    first = opened.add([Incoming("a.jpg", data=jpeg(1), id="images")])
    assert first.entries[0].id == "images"
    clash = opened.add([Incoming("b.jpg", data=jpeg(2), id="images")])
    assert [line.error for line in clash.report.failures] == ["ImageExists"]
    assert clash.report.skipped == 0
    assert opened.entry("images").name == "a.jpg"
    assert state(opened)[2] == {sources.content_id(jpeg(1))}


def test_folders_outside_the_roots_are_rejected(opened, tmp_path):
    write(tmp_path / "bilder" / "katze", 3)
    write(tmp_path / "geheim", 1)
    (tmp_path / "bilder" / "heraus").symlink_to(tmp_path / "geheim")
    added = opened.add(opened.folder(tmp_path / "bilder"))
    assert [entry.label for entry in added.entries] == ["katze"] * 3
    for wrong in (tmp_path / "geheim", tmp_path / "bilder/../geheim", Path("/etc"), tmp_path / "x"):
        with pytest.raises(SourceError, match="permitted root"):
            list(opened.folder(wrong))


def test_files_left_in_place_are_shown_while_unchanged(opened, tmp_path):
    (file, _) = write(tmp_path / "bilder", 2)
    added = opened.add(opened.folder(tmp_path / "bilder"), in_place=True)
    assert state(opened)[2] == set()
    entry = next(entry for entry in added.entries if entry.place == str(file))
    assert b"".join(opened.original(entry.id).parts) == file.read_bytes()
    assert opened.thumbnail(entry.id, 32)
    file.write_bytes(b"GIF89a")
    with pytest.raises(ObjectNotFound, match="other content"):
        opened.original(entry.id)


def test_originals_and_thumbnails_are_returned(opened):
    (entry,) = opened.add([Incoming("../ü.jpg", data=jpeg(5))]).entries
    original = opened.original(entry.id)
    assert (b"".join(original.parts), original.media_type) == (jpeg(5), "image/jpeg")
    assert (entry.width, entry.height, entry.format) == (64, 48, "JPEG")
    assert opened.thumbnail(entry.id, 16) == opened.thumbnail(entry.id, 16)
    with pytest.raises(ImageNotFound):
        opened.original("nobody")


def test_many_small_additions_are_indexed_together(tmp_path, index_of_32):
    """Unindexed rows are compared one by one; a job once left 1,000 rows unindexed."""
    with archive(tmp_path) as opened:
        assert opened.add(images(0, 20)).report.indexed == 0
        assert opened._libraries._waiting == {"images": 20}
        opened.add(images(20, 36))
        assert opened._libraries._waiting == {"images": 0}
        assert opened.add(images(36, 38), background=True).report.indexed == 2
        assert opened.add(images(38, 72)).report.indexed == 34


def test_more_like_excludes_the_image_itself(opened):
    opened.add(images(0, 6))
    first = opened.search(jpeg(2), SearchOptions(k=1))[0].entry
    hits = opened.more_like(first.id, SearchOptions(k=3))
    assert len(hits) == 3
    assert first.content not in {hit.entry.content for hit in hits}
    vector = opened.vector(first.id)
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-5)


def test_dropping_a_collection_keeps_shared_originals(opened):
    opened.add(images(0, 3), collection="eins")
    opened.add(images(0, 3), collection="zwei")
    with pytest.raises(ConfigError, match="confirm"):
        opened.drop("eins", confirm="")
    assert opened.drop("eins", confirm="eins") == 3
    assert [collection.name for collection in opened.collections()] == ["zwei"]
    assert len(state(opened, "zwei")[2]) == 3  # originals of both collections are kept
    opened.add(images(0, 1), collection="eins")
    assert opened.count("eins").images == 1


def test_existing_library_is_adopted(tmp_path):
    files = write(tmp_path / "alt", 3)
    with imgsearch.open(str(tmp_path / "vectors.db"), model="classic") as library:
        library.add(str(tmp_path / "alt"))
    with archive(tmp_path) as opened:
        assert opened.repair().adopted == 3
        assert not opened.repair().anything
        hits = opened.search(files[1].read_bytes(), SearchOptions(k=1))
        assert hits[0].entry.place == str(files[1])


def test_repair_keeps_and_reports_foreign_records(opened):
    opened.add(images(0, 3))
    collection = opened.library().collection
    vector = np.ones(collection.schema.dim, np.float32)
    odd = {
        "foo": {"path": "/x/b.jpg"},
        "": {"path": "/x/b.jpg", "label": "L" * 513},
        "0": {"label": "cat"},
        "1": {"path": "x" * 600},
        "X#9": {"path": "/x/b.jpg"},
    }
    ids = [id_ if id_ in ("foo", "X#9") else (id_ or "f") * 64 for id_ in odd]
    collection.upsert(map(Record, ids, [vector] * 5, odd.values()))
    for _ in range(2):
        repaired = opened.repair()
        assert (repaired.left, repaired.adopted, repaired.anything) == (5, 0, False)
        (note,) = repaired.notes
        assert "5 records of collection 'images' skipped" in note
        for reason in ("'foo' (the id is not a sha256)", "label is longer", "path is missing"):
            assert reason in note
    assert collection.get(ids).keys() == set(ids)
    # the five foreign records are nearer, but have no row
    hits = opened.search(vector, SearchOptions(k=3))
    assert {hit.entry.content for hit in hits} == state(opened)[1] - set(ids)


def test_page_of_hits_is_full_despite_many_foreign_records(opened):
    opened.add(images(0, 3))
    collection = opened.library().collection
    vector = np.ones(collection.schema.dim, np.float32)
    collection.upsert(Record(f"foo {n}", vector, {"path": "x"}) for n in range(120))
    assert len(opened.search(vector, SearchOptions(k=2, offset=1))) == 2


def test_repair_keeps_and_reports_foreign_collections(tmp_path):
    db = "memory://strangers"
    with imgsearch.connect(db) as store:
        store.create("images", Schema(7)).upsert([Record("a" * 64, np.ones(7), {"path": "x"})])
        with archive(tmp_path, db=db) as opened:
            repaired = opened.repair()
            assert (repaired.left, repaired.adopted) == (1, 0)
            assert "'images' is skipped" in repaired.notes[0]
            assert opened.collections() == []
            assert set(opened.health().values()) == {"ok"}
            for act in (lambda: opened.add(images(0, 1)), lambda: opened.search(jpeg(0))):
                with pytest.raises(SchemaMismatch, match="'images'"):
                    act()
            with pytest.raises(CollectionNotFound):
                opened.drop("images", confirm="images")
            assert opened.add(images(0, 2), collection="ours").report.added == 2
            assert [collection.name for collection in opened.collections()] == ["ours"]
            assert opened.default().name == "ours"
        assert store.open("images").count() == 1


def test_archive_at_its_collection_limit_has_a_default_library(tmp_path):
    """A service warms up with the default library; another collection would exceed the limit."""
    db = "memory://limited"
    with archive(tmp_path, db=db) as opened:
        opened.add(images(0, 1), collection="ours")
        store = StoreOptions(db)
        with Archive(store, catalog=opened.catalog, originals=None, most_collections=1) as limited:
            assert limited.default().name == "ours"
            assert set(limited.health().values()) == {"ok"}


def test_concurrent_writers_leave_the_state_of_one(opened):
    def work(order):
        opened.add(images(*order))

    threads = [threading.Thread(target=work, args=(order,)) for order in ((0, 8), (4, 12), (0, 12))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows, vectors, originals = state(opened)
    assert rows["ready"] == 12
    assert vectors == originals == {sources.content_id(jpeg(number)) for number in range(12)}


def test_concurrent_add_and_delete_leave_all_or_nothing(opened):
    def add():
        for _ in range(6):
            opened.add(images(0, 3))

    def delete():
        for _ in range(12):
            opened.delete([entry.id for entry in opened.entries("images").entries])

    opened.add(images(0, 3))
    threads = [threading.Thread(target=work) for work in (add, delete, add)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows, vectors, originals = state(opened)
    assert rows["pending"] == rows["deleting"] == rows["failed"] == 0
    entries = {entry.content for entry in opened.entries("images").entries}
    assert vectors == originals == entries


def test_missing_collections_are_not_cached(opened):
    for number in range(3):
        with pytest.raises(CollectionNotFound, match="does not exist"):
            opened.search(jpeg(1), collection=f"weg{number}")
        assert opened.count(f"weg{number}").vectors == 0
    assert not opened._libraries._open


def test_health_names_each_part(opened):
    assert set(opened.health().values()) == {"ok"}
    opened.catalog.close()


def test_first_of_equal_items_counts_across_chunks(opened):
    broken = jpeg(1)[:200]
    items = [
        Incoming("a.jpg", data=jpeg(1), label="cat"),
        Incoming("b.jpg", data=broken, label="cat"),
        *images(10, 90),
        Incoming("a.jpg", data=jpeg(1), label="dog"),
        Incoming("b.jpg", data=broken),
        Incoming("c.jpg", data=jpeg(1), label="dog"),
        Incoming("a.jpg", data=jpeg(1)),
    ]
    added = opened.add(items, found=len(items))
    report = added.report
    counts = (report.added, report.updated, report.skipped, report.failed)
    assert counts == (82, 0, 2, 2)
    assert sum(counts) == len(items)
    assert [line.path for line in added.report.failures] == ["b.jpg", "b.jpg"]
    assert added.report.notes == (
        "a.jpg states the label 'dog', but the same image at a.jpg has 'cat', which was stated "
        "first and counts",
    )
    (hit,) = opened.search(jpeg(1), SearchOptions(k=1))
    assert (hit.hit.fields["label"], hit.references) == ("cat", 2)


def test_equal_items_within_a_chunk_share_the_outcome_of_the_first(opened):
    one = Incoming("a.jpg", data=jpeg(1)[:200])
    added = opened.add([one, one, Incoming("c.jpg", data=jpeg(2), label="x")] * 2)
    assert (added.report.added, added.report.skipped, added.report.failed) == (1, 1, 4)


def test_new_label_replaces_the_old_one_and_is_counted(opened):
    def add(label):
        report = opened.add([Incoming("a.jpg", data=jpeg(1), label=label)]).report
        stored = opened.library().collection.get([sources.content_id(jpeg(1))])
        (record,) = stored.values()
        return report.added, report.updated, report.skipped, record.fields["label"]

    assert add("dog") == (1, 0, 0, "dog")
    assert add("caf\u0065\u0301") == (0, 1, 0, "café")
    assert add("café") == (0, 0, 1, "café")
    assert add(None) == (0, 0, 1, "café")
    assert add("") == (0, 1, 0, "")
    long = opened.add([Incoming("a.jpg", data=jpeg(1), label="x" * 600)])
    assert (long.report.failed, long.report.failures[0].error) == (1, "ConfigError")


def test_label_edited_by_a_user_survives_adding_the_folder_again(opened, tmp_path):
    write(tmp_path / "bilder" / "katze", 2)
    (first, _) = opened.add(opened.folder(tmp_path / "bilder")).entries
    assert opened.update(first.id, label="ka\u0308fer").label == "käfer"
    again = opened.add(opened.folder(tmp_path / "bilder"))
    assert (again.report.skipped, again.report.updated) == (2, 0)
    assert opened.entry(first.id).label == "käfer"


def test_labels_match_in_both_forms_of_unicode(opened):
    opened.add([Incoming("a.jpg", data=jpeg(1), label="cafe\u0301")])
    for label in ("caf\u00e9", "cafe\u0301"):
        assert opened.entries(label=label).total == 1


def test_interrupted_add_is_completed_after_every_step(tmp_path):
    class Killed(Exception):
        pass

    def die(reached):
        if reached == "ready":
            raise Killed

    items = images(0, 6)
    for ready in range(1, 7):
        with archive(tmp_path, on_step=die) as opened, pytest.raises(Killed):
            opened.add(items)
        with archive(tmp_path) as opened:
            assert opened.catalog.count("images", state="ready") == ready


def test_repair_gives_a_vector_the_label_of_its_first_row(tmp_path):
    class Killed(Exception):
        pass

    def die(reached):
        if reached == "pending":
            raise Killed

    items = [Incoming(f"{n}.jpg", data=jpeg(1), label=str(n)) for n in (3, 1, 2)]
    for item in items:
        with archive(tmp_path, on_step=die) as opened, pytest.raises(Killed):
            opened.add([item])
    with archive(tmp_path) as opened:
        (first,) = opened.entries(text="3.jpg").entries
        opened.catalog.failed({first.id: "SourceError: no"})
        opened.catalog.begin([first])  # repaired last, because it changed last
        assert opened.repair().completed == 3
        (hit,) = opened.search(jpeg(1), SearchOptions(k=2))
        assert (hit.entry.name, hit.hit.fields["label"]) == ("3.jpg", "3")
