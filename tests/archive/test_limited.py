"""An archive limited to collections has no others, and refuses unlisted methods."""

import inspect
from types import SimpleNamespace

import pytest

from imgsearch.archive import Archive, Incoming, Jobs, LimitedArchive, LimitedJobs
from imgsearch.errors import CollectionDenied, CollectionNotFound, ImageNotFound, JobNotFound
from tests.archive.place import archive, images, jpeg
from tests.clips import clip

# these need no collection, or only folders inside the roots, or are refused at the first use
UNLISTED = {"close", "folder", "health", "is_alias", "log_growth", "repair", "stop"}


@pytest.fixture
def world(tmp_path, request):
    (tmp_path / "films").mkdir()
    clip(tmp_path / "films/fremd.mp4", seconds=2)
    with archive(
        tmp_path, db=f"memory://{request.node.name}", roots=(tmp_path / "films",)
    ) as whole:
        whole.add(images(0, 3), collection="mine")
        whole.add(whole.folder(tmp_path / "films", with_videos=True), collection="others")
        jobs = Jobs(whole)
        limited = LimitedArchive(whole, ["mine", "new"])
        yield SimpleNamespace(
            whole=whole, jobs=jobs, limited=limited, limited_jobs=LimitedJobs(jobs, limited)
        )
        jobs.close()


@pytest.mark.parametrize(
    ("whole", "limited"), [(Archive, LimitedArchive), (Jobs, LimitedJobs)], ids=["archive", "jobs"]
)
def test_each_public_method_is_listed_or_known(whole, limited):
    methods = {name for name, _ in inspect.getmembers(whole, inspect.isfunction) if name[0] != "_"}
    assert methods - vars(limited).keys() <= UNLISTED


def test_what_is_not_listed_is_refused(world):
    for name in ("catalog", "originals", "_libraries", "_deleter", "new_method"):
        with pytest.raises(CollectionDenied, match="collections mine, new, and this needs all"):
            getattr(world.limited, name)
    limited = world.limited
    for call in (limited.repair, limited.health, limited.close, world.limited_jobs.stop):
        with pytest.raises(CollectionDenied):
            call()


def test_collections_are_refused_by_name(world):
    limited = world.limited
    for name in ("others", "", "MINE", "mine ", None, ["mine"], 7):
        for method in (limited.library, limited.existing, limited.count, limited.labels):
            with pytest.raises(CollectionDenied):
                method(name)
        with pytest.raises(CollectionDenied):
            limited.add([Incoming("a.jpg", data=jpeg(9))], collection=name)
    with pytest.raises(CollectionDenied):
        limited.add([])  # into "images"
    assert [info.name for info in limited.collections()] == ["mine"]
    assert [info.name for info in limited.collections(["others", "mine"])] == ["mine"]
    assert limited.default().name == "mine"
    with pytest.raises(CollectionNotFound):
        limited.existing("new")
    assert limited.add(images(5, 6), collection="new").report.added == 1


def test_own_image_with_the_id_of_a_video_does_not_delete_its_frames(world):
    frames = world.whole.entries("others").entries
    (video,) = {frame.video for frame in frames}
    own = Incoming("a.jpg", data=jpeg(8), id=video)
    world.limited.add([own], collection="mine")
    assert world.limited.delete([video, *(frame.id for frame in frames)]) == 1
    assert world.whole.entries("others").entries == frames
    with pytest.raises(ImageNotFound):
        world.limited.picture(frames[0].id)
    first = world.limited.entries().entries[0].id
    assert world.limited.picture(first) == world.whole.picture(first)


def test_jobs_of_other_collections_do_not_exist(world):
    films = str(world.whole.roots[0])
    foreign = world.jobs.start_folder(films, collection="others")
    own = world.limited_jobs.start_folder(films, collection="mine")
    for job in world.jobs.watch(foreign.id):
        assert world.limited_jobs.known(job.id) is None
    for method in ("get", "cancel", "failures", "forget", "retry", "watch"):
        with pytest.raises(JobNotFound):
            getattr(world.limited_jobs, method)(foreign.id)
    assert [job.id for job in world.limited_jobs.recent().jobs] == [own.id]
    assert world.limited_jobs.recent(collections=["others"]).jobs == []
    assert world.limited_jobs.known(own.id) is not None
    assert [job.state for job in world.limited_jobs.watch(own.id)][-1] == "done"
    with pytest.raises(CollectionDenied):
        world.limited_jobs.start_folder(films, collection="others")
    with pytest.raises(CollectionDenied):
        world.limited_jobs.start_video(None, "a.mp4", collection="others")
    assert world.limited_jobs.plan_sync(films, collection="mine").added == 0
