"""Videos in a library: frames are images, a search returns a video once, and a sync treats it as a
whole.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch import Field
from imgsearch.backends import notes
from imgsearch.errors import ConfigError, SyncRefused
from imgsearch.images import decode, sources, videos
from tests.clips import COLORS, clip, picture, sound


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Return a folder with a clip of three colors, one of two others, and an image."""
    folder = tmp_path_factory.mktemp("clips")
    clip(folder / "Käfer.mp4", colors=COLORS[:3])
    clip(folder / "other.avi", seconds=2, codec="mpeg4", colors=COLORS[3:])
    Image.fromarray(picture(0)).save(folder / "image.png")
    for path in folder.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture
def folder(clips, tmp_path):
    copy = tmp_path / "films"
    shutil.copytree(clips, copy)
    return copy


@pytest.fixture
def library(request):
    with imgsearch.open(f"memory://{request.node.name}", model="classic") as opened:
        yield opened


@pytest.fixture
def decoded(monkeypatch):
    """Return a list of the videos that were decoded."""
    calls, frames = [], videos.frames

    def recorded(path, *args, **options):
        calls.append(Path(path).name)
        return frames(path, *args, **options)

    monkeypatch.setattr(videos, "frames", recorded)
    return calls


def stored(library):
    """Return the (video, seconds) of all frames."""
    return sorted(
        (Path(str(row.fields["video"])).name, row.fields["seconds"])
        for row in library.collection.iterate(vectors=False)
        if row.fields.get("video")
    )


KAFER = [("Käfer.mp4", 0.0), ("Käfer.mp4", 1.0), ("Käfer.mp4", 2.0)]
OTHER = [("other.avi", 0.0), ("other.avi", 1.0)]


def logs(library):
    """Return the kinds of logs that the store has, such as "files"."""
    ids = notes.entries(library._handle.backend)
    return {id_.split("/")[1] for id_ in ids if "/" in id_}


def test_log_of_videos_is_written_with_the_first_video(library, folder):
    for _ in range(2):
        library.add(folder / "image.png")
        assert logs(library) == {"files"}
    library.add(folder / "other.avi")
    assert logs(library) == {"files", "videos"}
    assert library.add(folder / "other.avi").skipped == 2


def test_frames_are_images_with_video_and_seconds(library, folder):
    report = library.add(folder)
    assert (report.added, report.failed, report.ignored) == (6, 0, 0)
    assert stored(library) == KAFER + OTHER
    assert library.fields | {"video": "str", "seconds": "float"} == library.fields
    path = str(folder / "Käfer.mp4")
    (row,) = library.collection.iterate(where=Field("seconds") == 2.0)
    assert row.fields["path"] == f"{path}#t=2"
    assert row.fields["video"] == path
    assert row.id == sources.content_id(sources.read(f"{path}#t=2"))  # of the frame's pixels


def test_search_returns_each_video_once_at_its_nearest_moment(library, folder):
    library.add(folder)
    hits = library.search(decode(sources.read(f"{folder}/Käfer.mp4#t=2")), k=10)
    assert [Path(hit.path).name for hit in hits][:1] == ["Käfer.mp4#t=2"]
    assert sorted(Path(str(hit.fields.get("video") or hit.path)).name for hit in hits) == [
        "Käfer.mp4", "image.png", "other.avi",
    ]  # fmt: skip
    assert len(library.search(f"{folder}/Käfer.mp4#t=2", k=1)) == 1
    moments = library.search(picture(0), where=Field("video") == str(folder / "Käfer.mp4"))
    assert sorted(hit.fields["seconds"] for hit in moments) == [0, 1, 2]
    late = library.search(picture(0), where="seconds >= 1", k=2)
    assert len({hit.fields["video"] for hit in late}) == 2
    words = library.search("mp4", mode="text")
    assert [Path(hit.fields["video"]).name for hit in words] == ["Käfer.mp4"]


def test_unchanged_videos_are_not_decoded_again(library, folder, decoded):
    library.add(folder)
    assert sorted(decoded) == ["Käfer.mp4", "other.avi"]
    again = library.add(folder)
    assert (again.added, again.skipped) == (0, 6)
    assert len(decoded) == 2
    library.remove(library.search(f"{folder}/Käfer.mp4#t=1", k=1)[0].id)
    repaired = library.add(folder)
    assert (repaired.added, repaired.skipped) == (1, 5)
    assert decoded[2:] == ["Käfer.mp4"]
    assert stored(library) == KAFER + OTHER


def test_killed_load_goes_on_with_the_next_video(library, folder, decoded):
    class Killed(BaseException):
        """Ends the load, like Ctrl-C."""

    def until_the_second(_progress):
        if "other.avi" in decoded:
            raise Killed

    clip(folder / "third.mp4", colors=COLORS[2:])
    with pytest.raises(Killed):
        library.add(folder, on_progress=until_the_second)
    library.add(folder)
    assert {*KAFER, *OTHER} <= {*stored(library)}


def test_broken_video_is_a_line_of_the_report(library, folder):
    (folder / "broken.mp4").write_bytes(b"no video")
    sound(folder / "sound.mp4")
    report = library.add(folder)
    assert report.added == 6
    assert sorted(Path(failure.path).name for failure in report.failures) == [
        "broken.mp4", "sound.mp4",
    ]  # fmt: skip
    assert {failure.error for failure in report.failures} == {"FormatRefused"}


def test_another_sampling_replaces_the_frames(library, folder):
    library.add(folder)
    library.add(folder, frames=2)
    assert stored(library) == [("Käfer.mp4", 0.0), ("Käfer.mp4", 2.0), ("other.avi", 0.0)]
    library.add(folder, frames="none")
    assert len(stored(library)) == 3
    with pytest.raises(ConfigError, match="often"):
        library.add(folder, frames="often")


def test_labels_and_fields_of_a_video_reach_its_frames(folder):
    with imgsearch.open("memory://fields", model="classic", fields={"year": int}) as library:
        library.add(folder, fields={"year": 2019})
        assert library.count(Field("year") == 2019) == 6
        library.add(folder / "Käfer.mp4", fields={"year": 2020})
        assert library.count(Field("year") == 2020) == 3


def test_copy_of_a_video_shares_its_frames(library, folder):
    library.add(folder)
    shutil.copy2(folder / "Käfer.mp4", folder / "copy.mp4")
    report = library.add(folder)
    assert (report.added, report.updated) == (0, 0)
    assert stored(library) == KAFER + OTHER  # the first one counts
    (folder / "Käfer.mp4").unlink()
    library.sync(folder)
    assert stored(library) == [("copy.mp4", moment) for _, moment in KAFER] + OTHER


def test_remove_names_a_video_a_folder_or_a_moment(library, folder):
    library.add(folder)
    assert library.remove(folder / "Käfer.mp4") == 3
    assert library.remove(f"{folder}/other.avi#t=1") == 1
    assert stored(library) == OTHER[:1]
    assert library.remove(folder) == 2  # a frame and the image


def counts(report):
    names = ("added", "changed", "renamed", "deleted", "unchanged", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_sync_counts_a_video_as_one_file(library, folder, decoded):
    assert counts(library.sync(folder, dry_run=True)) == {"added": 3}
    assert counts(library.sync(folder)) == {"added": 3}
    assert counts(library.sync(folder)) == {"unchanged": 3}
    assert len(decoded) == 2


def test_sync_replaces_a_changed_video_as_a_whole(library, folder):
    library.sync(folder)
    clip(folder / "Käfer.mp4", seconds=1, colors=COLORS[4:])
    assert counts(library.sync(folder)) == {"changed": 1, "unchanged": 2}
    assert stored(library) == [("Käfer.mp4", 0.0), *OTHER]


def test_sync_removes_a_deleted_video_as_a_whole(library, folder):
    library.sync(folder)
    (folder / "other.avi").unlink()
    assert counts(library.sync(folder, dry_run=True)) == {"deleted": 1, "unchanged": 2}
    report = library.sync(folder)
    assert counts(report) == {"deleted": 1, "unchanged": 2}
    assert report.deleted_paths == (str(folder / "other.avi"),)
    assert stored(library) == KAFER
    assert counts(library.sync(folder)) == {"unchanged": 2}


def test_sync_moves_the_frames_of_a_renamed_video(library, folder, decoded):
    library.sync(folder)
    (folder / "Käfer.mp4").rename(folder / "moved.mp4")
    assert counts(library.sync(folder)) == {"renamed": 1, "unchanged": 2}
    assert stored(library) == [("moved.mp4", moment) for _, moment in KAFER] + OTHER


def test_sync_of_videos_that_are_gone_must_be_confirmed(library, folder):
    library.sync(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(SyncRefused, match="no videos, and 2 of its videos"):
        library.sync(folder)
    assert len(stored(library)) == 5
    library.sync(folder, confirm=True)
    assert library.count() == 0


def test_sync_without_frames_leaves_videos_alone(library, folder):
    library.sync(folder)
    (folder / "other.avi").unlink()
    assert counts(library.sync(folder, frames="none")) == {"unchanged": 1}
    assert stored(library) == KAFER + OTHER


def test_failed_video_is_read_again_by_each_sync(library, folder):
    (folder / "broken.mp4").write_bytes(b"no video")
    assert counts(library.sync(folder)) == {"added": 3, "failed": 1}
    assert counts(library.sync(folder)) == {"unchanged": 3, "failed": 1}


def test_frames_survive_in_the_embedded_store(folder, tmp_path):
    with imgsearch.open(tmp_path / "films.db", model="classic") as library:
        library.sync(folder)
    with imgsearch.open(tmp_path / "films.db") as library:
        assert counts(library.sync(folder)) == {"unchanged": 3}
        assert stored(library) == KAFER + OTHER
        library.add(Path(folder, "image.png"))
        (hit,) = library.search(f"{folder}/other.avi#t=1", k=1)
        assert (hit.fields["seconds"], hit["video"]) == (1.0, str(folder / "other.avi"))


def test_videos_join_a_library_of_images(library, folder, decoded):
    """Fields of frames are added when the first video is decoded."""
    library.add(folder / "image.png")
    assert "video" not in library.fields
    library.add([folder / "Käfer.mp4"])
    library.add(iter([folder / "Käfer.mp4"]))
    assert len(decoded) == 1
    assert stored(library) == KAFER
    assert library.count(Field("video") == "") == 1


def test_folders_ignore_videos_without_the_extra(library, folder, monkeypatch):
    monkeypatch.setattr(videos, "is_supported", lambda: False)
    report = library.add(folder)
    assert (report.added, report.ignored) == (1, 2)
    named = library.add(folder / "Käfer.mp4")
    assert [failure.error for failure in named.failures] == ["MissingExtra"]


def test_operator_takes_frames(folder):
    frames = imgsearch.op("video_frames", sample=2)(folder / "Käfer.mp4")
    assert [(path, seconds) for path, seconds, _ in frames] == [
        (f"{folder}/Käfer.mp4#t=0", 0.0),
        (f"{folder}/Käfer.mp4#t=2", 2.0),
    ]
    assert np.array_equal(frames[1][2], decode(sources.read(frames[1][0])))
