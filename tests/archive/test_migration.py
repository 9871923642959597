"""The model of an archive's collection is changed from its originals."""

import threading
from dataclasses import asdict

import pytest

from imgsearch.archive import Jobs, MigrationRequest, migration_of
from imgsearch.backends import connect, notes
from imgsearch.errors import CollectionNotFound, ModelNotFound
from imgsearch.library.migration import MigrationOptions, recipe_of
from tests.archive.place import archive, images, jpeg, state

LITE = MigrationRequest("lite", switch=True)


@pytest.fixture
def opened(tmp_path):
    """Return an archive in memory with eight images and their originals."""
    with archive(tmp_path, db=f"memory://migrated-{tmp_path.name}") as store:
        store.add(images(0, 8))
        yield store


def finished(jobs, job):
    return list(jobs.watch(job.id))[-1]


@pytest.mark.long
def test_job_embeds_originals_and_switches(opened):
    before = state(opened)
    jobs = Jobs(opened)
    try:
        last = finished(jobs, jobs.start_migration("images", LITE))
        assert (last.kind, last.state, last.error) == ("migrate", "done", "")
        assert (last.found, last.embedded, last.inserted, last.failed) == (8, 8, 8, 0)
        assert state(opened) == before
        result = last.result
        assert (result["former_model"], result["model"], result["missing"]) == (
            "classic",
            "lite",
            0,
        )
        assert (result["missing"], result["switched"]) == (0, True)
        assert result["comparison"]["queries"] == 8
        (precision, recall) = result["comparison"]["labels"]
        assert (precision["measure"], recall["measure"]) == ("precision@10", "recall@10")
        assert opened.catalog.job(last.id).result == result
        assert opened.library().model == "lite"
        assert opened.collections()[0].model == "lite"
        (nearest,) = opened.search(jpeg(3))[:1]
        assert (nearest.entry.name, nearest.entry.label) == ("bild ü 3.jpg", "b")
        opened.add(images(8, 9))
        assert opened.count().vectors == 9
        request = MigrationRequest("classic", switch=True, drop_former=True)
        assert finished(jobs, jobs.start_migration("images", request)).inserted == 1  # the way back
        assert migration_of(opened, "images").former == ()
        assert opened.search(jpeg(8))[0].entry.name == "bild ü 8.jpg"
    finally:
        jobs.close()


@pytest.mark.long
def test_searches_go_on_during_a_job(opened):
    errors, ended = [], threading.Event()

    def search():
        while not ended.is_set():
            try:
                entry = opened.search(jpeg(1))[0].entry
                assert entry.name == "bild ü 1.jpg"
                opened.more_like(entry.id)
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    jobs = Jobs(opened)
    try:
        for model in ("lite", "classic"):
            job = jobs.start_migration("images", MigrationRequest(model, switch=True))
            assert finished(jobs, job).state == "done"
    finally:
        ended.set()
        thread.join()
        jobs.close()
    assert errors == []


@pytest.mark.long
def test_lost_original_prevents_the_switch(opened):
    lost = opened.search(jpeg(3))[0].entry
    opened.originals.delete(lost.content)
    jobs = Jobs(opened)
    try:
        last = finished(jobs, jobs.start_migration("images", LITE))
        assert (last.state, last.failed, last.inserted) == ("failed", 1, 7)
        assert last.error.startswith("MigrationIncomplete: searches still use 'classic': 1 image ")
        assert opened.library().model == "classic"
        opened.originals.put(lost.content, jpeg(3), "image/jpeg")
        last = finished(jobs, jobs.retry(last.id))
        assert (last.state, last.inserted, last.skipped) == ("done", 1, 7)
        assert opened.library().model == "lite"
    finally:
        jobs.close()


def test_interrupted_job_goes_on(opened):
    jobs = Jobs(opened, workers=0)
    job = jobs.start_migration("images", LITE)
    jobs.close()
    migration_of(opened, "images").run(recipe_of("lite"), MigrationOptions())  # and killed here
    later = Jobs(opened)
    try:
        last = finished(later, job)
        assert (last.state, last.inserted, last.skipped) == ("done", 0, 8)
        assert last.request == asdict(LITE)
    finally:
        later.close()
    assert opened.library().model == "lite"


def test_dropped_collection_leaves_no_versions(opened):
    migration_of(opened, "images").run(recipe_of("lite"), MigrationOptions(switch=True))
    migration_of(opened, "images").run(recipe_of("lite2"), MigrationOptions())
    with connect(opened.url) as store:
        assert {"images", "images_v2", "images_v3"} < set(store.names())
        assert opened.drop("images", confirm="images") == 8
        assert store.names() == [notes.NAME]
    opened.add(images(0, 1))
    assert opened.library().model == "classic"


def test_canceled_job_switches_nothing(opened):
    migration = migration_of(opened, "images", canceled=lambda: True)
    report = migration.run(recipe_of("lite"), MigrationOptions(switch=True))
    assert (report.switched, opened.library().model) == (False, "classic")


def test_deleted_image_stays_deleted(opened):
    entry = opened.search(jpeg(3))[0].entry
    migration_of(opened, "images").run(recipe_of("lite"), MigrationOptions())
    assert opened.delete([entry.id]) == 1
    report = migration_of(opened, "images").run(recipe_of("lite"), MigrationOptions(switch=True))
    assert report.switched
    assert opened.count().vectors == 7


def test_weights_of_the_service_are_for_its_first_model(opened, tmp_path):
    """A service that was started with weights opens the collection after the change."""
    migration_of(opened, "images").run(recipe_of("lite"), MigrationOptions(switch=True))
    again = archive(tmp_path / "b", db=opened.url, catalog=str(tmp_path / "catalog.db"))
    (tmp_path / "b").mkdir()
    with again as store:
        assert store.library().model == "lite"
        assert store.search(jpeg(3))[0].entry.name == "bild ü 3.jpg"


def test_collection_and_model_are_checked_when_a_job_is_started(opened):
    jobs = Jobs(opened, workers=0)
    with pytest.raises(CollectionNotFound):
        jobs.start_migration("nirgends", LITE)
    with pytest.raises(ModelNotFound, match="did you mean lite"):
        jobs.start_migration("images", MigrationRequest("liet"))
    jobs.close()
