"""Videos in an archive: frames are images, and the video's file is stored once."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from imgsearch.archive import ArchiveSync, Incoming, Jobs, SyncOptions
from imgsearch.archive.backup import backup
from imgsearch.archive.restore import restore
from imgsearch.errors import CatalogError, ConfigError, FormatRefused, ObjectNotFound
from imgsearch.images import decode, sources, videos
from tests.archive.place import archive, state
from tests.archive.test_backup import places
from tests.clips import COLORS, clip, picture, sound

OLD = 1_700_000_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    clip(folder / "Käfer.mp4", colors=COLORS[:3])
    clip(folder / "other.webm", seconds=2, codec="libvpx", colors=COLORS[3:])
    for path in folder.iterdir():
        os.utime(path, (OLD, OLD))
    return folder


@pytest.fixture
def films(clips, tmp_path):
    return Path(shutil.copytree(clips, tmp_path / "films"))


@pytest.fixture
def opened(request, tmp_path):
    with archive(
        tmp_path, roots=(tmp_path / "films",), db=f"memory://{request.node.name}"
    ) as store:
        yield store


@pytest.fixture
def decoded(monkeypatch):
    """Return a list of the videos that were decoded."""
    calls, frames = [], videos.frames

    def recorded(path, *args, **options):
        calls.append(Path(path).name)
        return frames(path, *args, **options)

    monkeypatch.setattr(videos, "frames", recorded)
    return calls


def names(opened):
    return sorted(entry.name for entry in opened.entries(limit=1000).entries)


def sync(opened, folder, **options):
    report = ArchiveSync(opened, SyncOptions(**options)).run(folder)
    kinds = ("added", "changed", "renamed", "deleted", "unchanged", "failed")
    return {kind: getattr(report, kind) for kind in kinds if getattr(report, kind)}


def content(path):
    return sources.content_id(path.read_bytes())


KAFER = ["Käfer.mp4#t=0", "Käfer.mp4#t=1", "Käfer.mp4#t=2"]
OTHER = ["other.webm#t=0", "other.webm#t=1"]


def test_frames_are_images_and_the_video_is_stored_once(opened, films):
    added = opened.add(opened.folder(films, with_videos=True))
    assert (added.report.added, added.report.videos, added.report.failed) == (5, 2, 0)
    assert names(opened) == KAFER + OTHER
    rows, vectors, originals = state(opened)
    assert (rows["ready"], len(vectors)) == (5, 5)
    assert originals == {content(path) for path in films.iterdir()}
    frame = next(entry for entry in added.entries if entry.name == KAFER[2])
    assert frame.fields == {"video": "Käfer.mp4", "seconds": 2.0}
    assert (frame.format, frame.width, frame.height) == ("MP4", 96, 64)
    original = opened.original(frame.id)
    assert (original.media_type, original.name) == ("video/mp4", "Käfer.mp4")
    data = (films / "Käfer.mp4").read_bytes()
    assert b"".join(original.parts) == data
    assert b"".join(original.part(100, 300)) == data[100:300]
    for edge in (256, 64):  # the first was stored with the frame, the second is decoded now
        thumbnail = decode(opened.thumbnail(frame.id, edge))
        assert np.abs(np.median(thumbnail, (0, 1)) - COLORS[2]).max() < 12
    assert sources.content_id(opened.picture(frame.id)) == frame.content


def test_search_returns_a_video_once_with_its_nearest_moment(opened, films):
    opened.add(opened.folder(films, with_videos=True))
    hits = opened.search(picture(20))
    assert next(hit.entry.name for hit in hits) == "Käfer.mp4#t=2"
    assert sorted(hit.entry.fields["video"] for hit in hits) == ["Käfer.mp4", "other.webm"]
    where = "video = Käfer.mp4"
    assert len(opened.existing("images").search(picture(0), where=where)) == 3
    assert opened.count(where=where).images == 3
    assert opened.facets("images", "video") == {"Käfer.mp4": 3, "other.webm": 2}
    listed = opened.catalog.videos("images")
    assert sorted((video.entry.fields["video"], video.frames) for video in listed) == [
        ("Käfer.mp4", 3), ("other.webm", 2),
    ]  # fmt: skip


def test_deleted_video_leaves_nothing(opened, films):
    added = opened.add(opened.folder(films, with_videos=True))
    frame = added.entries[0]
    opened.thumbnail(frame.id, 64)
    assert opened.delete([added.entries[1].id]) == 1
    assert content(films / "Käfer.mp4") in state(opened)[2]  # other frames need it
    assert opened.delete([frame.video]) == 2
    assert names(opened) == OTHER
    assert state(opened)[2] == {content(films / "other.webm")}
    assert opened.originals.thumbnail(frame.content, 256) is None
    assert opened.originals.thumbnail(frame.content, 64) is None
    opened.drop("images", confirm="images")
    assert list(opened.originals.contents()) == []


def test_sync_treats_a_video_as_one_file(opened, films, decoded):
    assert sync(opened, films) == {"added": 2}
    assert sync(opened, films) == {"unchanged": 2}
    assert sorted(decoded) == ["Käfer.mp4", "other.webm"]
    first = {entry.id for entry in opened.entries().entries if "Käfer" in entry.name}
    opened.update(min(first), label="Insekt", fields={"stars": 5})
    (films / "Käfer.mp4").rename(films / "neu.mp4")
    assert sync(opened, films, dry_run=True) == {"renamed": 1, "unchanged": 1}
    assert sync(opened, films) == {"renamed": 1, "unchanged": 1}
    assert names(opened) == [name.replace("Käfer", "neu") for name in KAFER] + OTHER
    (kept,) = [entry for entry in opened.entries().entries if entry.label == "Insekt"]
    assert (kept.fields["stars"], kept.fields["video"]) == (5, "neu.mp4")
    clip(films / "neu.mp4", seconds=1, colors=COLORS[4:])
    os.utime(films / "neu.mp4", (OLD, OLD + 1))
    assert sync(opened, films) == {"changed": 1, "unchanged": 1}
    assert names(opened) == ["neu.mp4#t=0", *OTHER]
    (films / "neu.mp4").unlink()
    assert sync(opened, films) == {"deleted": 1, "unchanged": 1}
    assert names(opened) == OTHER
    assert state(opened)[2] == {content(films / "other.webm")}


def test_other_frames_replace_the_former_ones(opened, films, decoded):
    sync(opened, films)
    assert sync(opened, films, frames=2) == {"changed": 2}
    assert names(opened) == ["Käfer.mp4#t=0", "Käfer.mp4#t=2", "other.webm#t=0"]
    assert sync(opened, films, frames="2") == {"unchanged": 2}
    assert len(decoded) == 4
    assert sync(opened, films, frames="none", remove=False) == {}
    assert len(names(opened)) == 3
    with pytest.raises(ConfigError, match="often"):
        sync(opened, films, frames="often")


def test_killed_addition_goes_on_with_its_video(tmp_path, films, decoded):
    def die(step):
        if step == "pending":
            raise CatalogError("killed")

    db = f"memory://{tmp_path.name}-killed"
    with (
        archive(tmp_path, roots=(films,), db=db, on_step=die) as store,
        pytest.raises(CatalogError, match="killed"),
    ):
        sync(store, films)
    with archive(tmp_path, roots=(films,), db=db) as store:
        assert store.catalog.count("images", state="pending") > 0
        repaired = store.repair()
        assert (repaired.failed, repaired.completed > 0) == (0, True)
        sync(store, films)
        assert names(store) == KAFER + OTHER
        assert sync(store, films) == {"unchanged": 2}
        assert len(store.search(picture(0))) == 2  # grouped


def test_unusable_videos_are_failures(opened, films):
    (films / "broken.mp4").write_bytes(b"no video")
    data = (films / "Käfer.mp4").read_bytes()
    (films / "page.webm").write_text("<script>alert(1)</script>")
    (films / "list.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    (films / "half.mp4").write_bytes(data[: len(data) // 2])  # the index of frames is at its end
    sound(films / "sound.mp4")
    os.utime(films / "sound.mp4", (OLD, OLD))
    failed = {}
    report = ArchiveSync(
        opened, SyncOptions(), on_failure=lambda f: failed.update({Path(f.path).name: f.error})
    ).run(films)
    refused = dict.fromkeys(("broken.mp4", "page.webm", "list.mp4", "sound.mp4"), "FormatRefused")
    assert failed == {**refused, "half.mp4": "ImageCorrupt"}
    assert (report.added, report.failed) == (2, 5)
    assert names(opened) == KAFER + OTHER
    assert len(state(opened)[2]) == 2  # nothing is stored of the others


def test_truncated_video_keeps_its_frames(opened, films):
    whole = clip(films / "long.mkv", seconds=8)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    os.utime(whole, (OLD, OLD))
    assert sync(opened, films) == {"added": 2, "failed": 1}
    partial = [name for name in names(opened) if name.startswith("long")]
    assert partial[0] == "long.mkv#t=0"
    assert sync(opened, films) == {"unchanged": 2, "failed": 1}  # it is read again
    assert content(whole) in state(opened)[2]


def test_limits_of_videos(tmp_path, films):
    limits = {"max_video_seconds": 2.5, "max_pixels": 20_000}
    with archive(tmp_path, roots=(films,), db=f"memory://{tmp_path.name}", **limits) as store:
        report = store.add(store.folder(films, with_videos=True)).report
        (failure,) = report.failures
        assert (Path(failure.path).name, failure.error) == ("Käfer.mp4", "ImageTooLarge")
        assert "longer than 0:02" in failure.reason
        assert names(store) == OTHER
    with archive(
        tmp_path, roots=(films,), db=f"memory://{tmp_path.name}-small", max_pixels=96 * 64 - 1
    ) as store:
        report = store.add(store.folder(films, with_videos=True), collection="small").report
        assert {failure.error for failure in report.failures} == {"ImageTooLarge"}
        assert len(report.failures) == 2


def test_videos_in_place_are_not_copied(opened, films):
    assert sync(opened, films, in_place=True) == {"added": 2}
    assert state(opened)[2] == set()
    frame = opened.entries().entries[0]
    assert b"".join(opened.original(frame.id).part(0, 10**9)) == (films / "Käfer.mp4").read_bytes()
    assert sources.content_id(opened.picture(frame.id)) == frame.content
    (films / "Käfer.mp4").write_bytes(b"other bytes")
    with pytest.raises(ObjectNotFound, match="other content now"):
        opened.original(frame.id)


def test_update_keeps_the_moment(opened, films):
    frame = opened.add(opened.folder(films, with_videos=True)).entries[0]
    changed = opened.update(frame.id, fields={"stars": 5, "seconds": 99, "video": "x"})
    assert changed.fields == {"stars": 5, "video": "Käfer.mp4", "seconds": 0.0}


def finished(jobs, job):
    return list(jobs.watch(job.id))[-1]


def test_jobs_count_frames_and_videos(opened, films):
    with_jobs = Jobs(opened)
    try:
        job = finished(with_jobs, with_jobs.start_folder(str(films)))
        assert (job.state, job.inserted, job.videos, job.failed) == ("done", 5, 2, 0)
        again = finished(with_jobs, with_jobs.start_folder(str(films), sync=True))
        assert (again.state, again.skipped, again.videos) == ("done", 2, 0)
        fewer = finished(with_jobs, with_jobs.start_folder(str(films), frames="2"))
        assert (fewer.inserted, fewer.skipped, fewer.videos) == (0, 3, 2)
        assert len(names(opened)) == 3
        with pytest.raises(ConfigError, match="often"):
            with_jobs.start_folder(str(films), frames="often")
    finally:
        with_jobs.close()


def test_uploaded_video_is_added_by_a_job(opened, films):
    with_jobs = Jobs(opened)
    try:
        path = films / "Käfer.mp4"
        job = with_jobs.start_video(
            lambda: path.open("rb"), "Käfer.mp4", label="Insekt", fields={"year": 2024}
        )
        job = finished(with_jobs, job)
        assert (job.state, job.kind, job.inserted, job.videos) == ("done", "upload", 3, 1)
        (frame, *_) = opened.entries().entries
        assert (frame.source, frame.place, frame.label) == ("upload", "", "Insekt")
        assert frame.fields == {"year": 2024, "video": "Käfer.mp4", "seconds": 0.0}
        other = clip(films / "second.mp4", colors=COLORS[3:], seconds=1)
        job = finished(with_jobs, with_jobs.start_video(lambda: other.open("rb"), "Käfer.mp4"))
        assert job.inserted == 1
        title = f"Käfer-{content(other)[:8]}.mp4"  # not merged with the video of the same name
        assert opened.facets("images", "video") == {"Käfer.mp4": 3, title: 1}
        with pytest.raises(FormatRefused):
            with_jobs.start_video(lambda: io.BytesIO(b"<script>"), "script.mp4")
        silent = sound(films / "sound.mp4")
        job = finished(with_jobs, with_jobs.start_video(lambda: silent.open("rb"), "sound.mp4"))
        assert (job.inserted, job.failed) == (0, 1)
        assert state(opened)[2] == {content(path), content(other)}
    finally:
        with_jobs.close()


def test_waiting_video_survives_a_restart_and_a_repair(opened, films):
    path = films / "Käfer.mp4"
    idle = Jobs(opened, workers=0)
    job = idle.start_video(lambda: path.open("rb"), "Käfer.mp4", frames="2")
    idle.close()
    assert opened.repair().orphans == 0
    with_jobs = Jobs(opened)
    try:
        assert finished(with_jobs, job).inserted == 2
    finally:
        with_jobs.close()


def test_frames_none_passes_videos_over(opened, films):
    report = opened.add(
        [Incoming("x.mp4", source="folder", place=str(films / "Käfer.mp4"))], frames="none"
    ).report
    assert (report.added, report.ignored) == (0, 1)


def test_backup_has_each_video_once(tmp_path, films):
    source, target = tmp_path / "quelle", tmp_path / "ziel"
    for folder in (source, target):
        folder.mkdir()
    with archive(source, roots=(films,)) as store:
        sync(store, films)
        before = state(store)
    assert backup(places(source), tmp_path / "s").originals == 2
    restore(tmp_path / "s", target, places(target))
    with archive(target, roots=(films,)) as store:
        assert state(store) == before
        frame = store.entries().entries[-1]
        assert sources.content_id(store.picture(frame.id)) == frame.content
