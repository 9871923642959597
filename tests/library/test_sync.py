"""Libraries in step with real folders."""

import os
import shutil
import tempfile
import time
import unicodedata
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

import imgsearch
from imgsearch.backends import memory
from imgsearch.backends.memory import MemoryCollection
from imgsearch.errors import BackendError, SourceError, SyncRefused
from imgsearch.images import sources
from imgsearch.library import file_index, tracked_files
from tests.pictures import picture, write
from tests.soak import syncs
from tests.unprivileged import unprivileged

COUNTS = ("added", "changed", "renamed", "deleted", "unchanged", "failed")


@pytest.fixture
def library():
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        yield opened


@pytest.fixture
def later(monkeypatch):
    """Let files be read ten seconds after they were written."""
    for module in (tracked_files, file_index):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + 10**10)


@pytest.fixture
def reads(monkeypatch):
    """Return the list of the files that are read."""
    paths, read = [], sources.read

    def note(reference, **options):
        paths.append(Path(getattr(reference, "path", reference)).name)
        return read(reference, **options)

    monkeypatch.setattr(sources, "read", note)
    return paths


def counts(report):
    return tuple(getattr(report, name) for name in COUNTS)


def stored(library):
    """Return the stored contents by path."""
    rows = library.collection.iterate(vectors=False)
    return {row.fields["path"]: row.id for row in rows if "#" not in row.id}


def on_disk(*folders):
    files = [file for folder in folders for file in sorted(folder.rglob("*.png"))]
    return {str(file): sources.content_id(file.read_bytes()) for file in files}


def test_sync_adds_replaces_renames_and_removes(library, tmp_path, later):
    write(tmp_path / "katze", 3)
    assert counts(library.sync(tmp_path)) == (3, 0, 0, 0, 0, 0)
    first, second, third = sorted((tmp_path / "katze").iterdir())
    (tmp_path / "hund").mkdir()
    first.rename(tmp_path / "hund/größe.png")
    second.unlink()
    write(tmp_path / "neu", 1, start=7)
    third.write_bytes((tmp_path / "neu/bild-ü 0007.png").read_bytes())
    write(tmp_path / "neu", 1, start=8)
    before = stored(library)
    plan = library.sync(tmp_path, dry_run=True)
    assert counts(plan) == (1, 1, 1, 1, 1, 0)  # 7 is at two paths
    assert (plan.dry_run, plan.deleted_paths, plan.reasons) == (True, (str(second),), ())
    assert stored(library) == before
    assert counts(library.sync(tmp_path)) == (1, 1, 1, 1, 1, 0)
    assert sorted(stored(library).values()) == sorted(set(on_disk(tmp_path).values()))
    assert library.search(tmp_path / "hund/größe.png", k=1)[0].fields == {
        "path": str(tmp_path / "hund/größe.png"),
        "label": "hund",
    }


def test_unchanged_files_are_not_read(library, tmp_path, later, reads):
    files = write(tmp_path, 4)
    library.add(tmp_path)
    reads.clear()
    assert (library.add(tmp_path).skipped, reads) == (4, [])
    assert (counts(library.sync(tmp_path)), reads) == ((0, 0, 0, 0, 4, 0), [])
    files[0].touch()
    assert counts(library.sync(tmp_path)) == (0, 0, 0, 0, 4, 0)
    assert reads == [files[0].name]


def test_renamed_folder_is_not_read(library, tmp_path, later, reads):
    write(tmp_path / "alt", 12)
    library.sync(tmp_path)
    (tmp_path / "alt").rename(tmp_path / "neu")
    reads.clear()
    report = library.sync(tmp_path)
    assert (counts(report), report.updated, reads) == ((0, 0, 12, 0, 0, 0), 0, [])
    assert {row.fields["label"] for row in library.collection.iterate()} == {"neu"}


def test_file_changed_just_after_it_was_read_is_read_again(library, tmp_path):
    one, other = (path.read_bytes() for path in write(tmp_path / "from", 2))
    size = max(len(one), len(other)) + 1
    file = tmp_path / "to/x.png"
    file.parent.mkdir()
    for content in (one, other, one):
        file.write_bytes(content.ljust(size, b"\0"))  # the same size, perhaps the same time
        library.add(file)
        assert stored(library) == on_disk(file.parent)


def test_changed_file_with_old_size_and_time_is_read(library, tmp_path, later):
    one, other = (path.read_bytes() for path in write(tmp_path / "from", 2))
    size = max(len(one), len(other)) + 1
    file = tmp_path / "to/x.png"
    file.parent.mkdir()
    file.write_bytes(one.ljust(size, b"\0"))
    library.add(file)
    times = file.stat()
    while file.stat().st_ctime_ns == times.st_ctime_ns:  # until the clock ticks
        file.write_bytes(other.ljust(size, b"\0"))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    library.add(file)
    assert stored(library) == on_disk(file.parent)


def test_add_replaces_the_image_of_an_edited_file(library, tmp_path):
    one, other = write(tmp_path, 2)
    library.add(tmp_path)
    one.write_bytes(write(tmp_path.parent / uuid.uuid4().hex, 1, start=9)[0].read_bytes())
    assert library.add(tmp_path).added == 1
    assert stored(library) == on_disk(tmp_path)
    one.write_bytes(other.read_bytes())  # now both are equal
    library.add(tmp_path)
    assert list(stored(library).values()) == [sources.content_id(other.read_bytes())]


@pytest.mark.parametrize("load", ["add", "sync"])
def test_edited_file_keeps_its_fields_but_not_the_facts_of_the_old_file(tmp_path, load):
    files = write(tmp_path, 2)
    types = {"year": int, "tags": list}
    store = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(store, model="classic", fields=types, exif=["width"]) as library:
        csv = tmp_path / "liste.csv"
        csv.write_text(f"path,label,year\n{files[0].name},Mimi,2020\n{files[1].name},,2021\n")
        library.add(csv, fields={"tags": ["cat", "dog"]})
        Image.fromarray(picture(9, (128, 96))).save(files[0])
        files[1].write_bytes(files[0].read_bytes())  # both files have the same image now
        getattr(library, load)(tmp_path)
        (row,) = library
        assert (row.label, row.fields["width"]) == ("Mimi", 128)
        assert (row.fields["year"], row.fields["tags"]) == (2020, "cat; dog")
        report = library.sync(tmp_path)
        assert (report.unchanged, report.updated) == (2, 0)


def test_add_keeps_the_image_of_an_edited_file_that_another_file_has(library, tmp_path):
    (file,) = write(tmp_path, 1)
    copied = tmp_path / "copy.png"
    shutil.copy(file, copied)
    library.add(file)
    library.add(copied)
    file.write_bytes(write(tmp_path / "new", 1, start=5)[0].read_bytes())
    library.add(file)
    assert stored(library) == {
        str(path): sources.content_id(path.read_bytes()) for path in (file, copied)
    }


def test_add_replaces_images_that_an_older_version_stored(library, tmp_path):
    files = write(tmp_path, 2)
    library.add(tmp_path)
    drop_index(library)
    files[0].write_bytes(write(tmp_path.parent / uuid.uuid4().hex, 1, start=5)[0].read_bytes())
    library.add(files[0])
    assert stored(library) == on_disk(tmp_path)


def drop_index(library):
    notes = library._handle.backend.open("imgsearch_notes")
    notes.delete([row.id for row in notes.iterate()])


def test_sync_removes_ghosts_that_an_older_version_left(library, tmp_path):
    files = write(tmp_path, 3)
    library.add(tmp_path)
    ghost = next(library.collection.iterate(where=imgsearch.Field("path") == str(files[0])))
    files[0].write_bytes(write(tmp_path.parent / uuid.uuid4().hex, 1, start=5)[0].read_bytes())
    library.add(tmp_path)
    library.insert([ghost])
    drop_index(library)
    library.sync(tmp_path)
    assert stored(library) == on_disk(tmp_path)


def test_sync_keeps_other_folders_and_images_of_files_that_exist(library, tmp_path):
    write(tmp_path / "a", 2)
    write(tmp_path / "ab", 2, start=2)
    (hidden,) = write(tmp_path / "a/.hidden", 1, start=4)
    library.add(tmp_path / "a", tmp_path / "ab", hidden)
    shutil.rmtree(tmp_path / "ab")
    assert counts(library.sync(tmp_path / "a")) == (0, 0, 0, 0, 2, 0)
    assert library.count() == 5


def test_excluded_files_keep_their_images(library, tmp_path):
    write(tmp_path / "raw", 2)
    write(tmp_path, 1, start=2)
    library.sync(tmp_path)
    ignored = []
    report = library.sync(tmp_path, exclude=["raw/"], on_ignored=ignored.append)
    assert (counts(report), ignored) == ((0, 0, 0, 0, 1, 0), [str(tmp_path / "raw")])
    assert library.count() == 3


def test_image_stays_with_another_file_of_the_same_content(library, tmp_path):
    (file,) = write(tmp_path / "a", 1)
    write(tmp_path / "a", 1, start=1)
    other = tmp_path / "b/copy.png"
    other.parent.mkdir()
    shutil.copy(file, other)
    library.add(tmp_path)
    file.unlink()
    assert counts(library.sync(tmp_path / "a")) == (0, 0, 0, 0, 1, 0)
    assert str(other) in stored(library)
    other.write_bytes(b"other")  # no file has the image any more
    assert counts(library.sync(tmp_path)) == (0, 0, 0, 0, 1, 1)
    assert str(other) in stored(library)  # until the file has a new image
    write(tmp_path / "b", 1, start=5)[0].rename(other)
    assert counts(library.sync(tmp_path)) == (0, 1, 0, 0, 1, 0)
    assert stored(library) == on_disk(tmp_path)


@pytest.mark.parametrize("emptied", ["files", "folder"])
def test_emptied_folder_is_refused_until_confirmed(library, tmp_path, emptied):
    folder = tmp_path / "fotos"
    write(folder, 2)
    library.sync(folder)
    shutil.rmtree(folder)
    if emptied == "files":
        folder.mkdir()
    (reason,) = library.sync(folder, dry_run=True).reasons
    with pytest.raises(SyncRefused, match="nothing was changed: .*2 of its images") as caught:
        library.sync(folder)
    assert (caught.value.reasons, library.count()) == ((reason,), 2)
    assert counts(library.sync(folder, confirm=True)) == (0, 0, 0, 2, 0, 0)
    assert library.count() == 0


def test_many_deletions_are_refused_but_many_renames_are_not(library, tmp_path):
    write(tmp_path / "a", 15)
    library.sync(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert counts(library.sync(tmp_path)) == (0, 0, 15, 0, 0, 0)
    for file in sorted((tmp_path / "b").iterdir())[:11]:
        file.unlink()
    with pytest.raises(SyncRefused, match=r"11 of 15 images below .* would be removed"):
        library.sync(tmp_path)
    assert library.sync(tmp_path, confirm=True).deleted == 11


def test_other_drive_at_the_same_path_is_refused_until_confirmed(library, tmp_path):
    write(tmp_path / "drive", 15)
    library.sync(tmp_path)
    before = stored(library)
    shutil.rmtree(tmp_path / "drive")
    for place, file in enumerate(sorted(before)[:12]):  # the same names, and three are missing
        write(tmp_path / "drive", 1, start=100 + place)[0].rename(file)
    why = "of 15 images below .*, 3 would be removed and 12 replaced"
    (reason,) = library.sync(tmp_path, dry_run=True).reasons
    with pytest.raises(SyncRefused, match=why) as caught:
        library.sync(tmp_path)
    assert (caught.value.reasons, stored(library)) == ((reason,), before)
    assert counts(library.sync(tmp_path, confirm=True)) == (0, 12, 0, 3, 0, 0)
    assert stored(library) == on_disk(tmp_path)


def test_renumbered_files_need_no_confirmation(library, tmp_path):
    files = write(tmp_path, 15)
    library.sync(tmp_path)
    for file in reversed(files):
        file.rename(file.with_name(f"bild-ü {int(file.stem[-4:]) + 1:04d}.png"))
    write(tmp_path, 1, start=0)[0].write_bytes(
        write(tmp_path.parent / "x", 1, start=40)[0].read_bytes()
    )
    assert counts(library.sync(tmp_path)) == (0, 15, 1, 0, 0, 0)
    assert stored(library) == on_disk(tmp_path)


def test_touched_files_are_read_once(library, tmp_path, later, reads):
    files = write(tmp_path, 15)
    library.sync(tmp_path)
    for file in files:
        file.touch()
    for wanted in (15, 0):
        reads.clear()
        assert counts(library.sync(tmp_path)) == (0, 0, 0, 0, 15, 0)
        assert len(reads) == wanted


def test_files_below_an_unreadable_folder_are_kept_even_if_confirmed(library, tmp_path):
    write(tmp_path / "fotos/offen", 2)
    write(tmp_path / "fotos/zu", 2, start=2)
    with unprivileged(tmp_path / "fotos") as folder:
        library.sync(folder)
        next((folder / "offen").iterdir()).unlink()
        (folder / "zu").chmod(0)
        with pytest.raises(SyncRefused, match=r"zu cannot be listed, and 2 of its images"):
            library.sync(folder)
        assert library.sync(folder, confirm=True).deleted == 1
        assert library.count() == 3
        folder.chmod(0)
        with pytest.raises(SyncRefused, match=r"fotos cannot be listed, and 3 of its images"):
            library.sync(folder)
        assert library.sync(folder, confirm=True).deleted == 0
        (folder).chmod(0o755)
        (folder / "zu").chmod(0o755)


def test_folder_that_never_held_images_is_an_error(library, tmp_path):
    (file,) = write(tmp_path, 1)
    for path in (tmp_path / "nein", file, ""):
        with pytest.raises(SourceError, match=r"no such folder|is not a folder|is empty"):
            library.sync(path)
    (tmp_path / "leer").mkdir()
    assert counts(library.sync(tmp_path / "leer")) == (0,) * 6
    assert not library.exists()


def test_links_and_odd_names(library, tmp_path, later):
    folder, outside = tmp_path / "f", tmp_path / "außen"
    (target,) = write(outside, 1)
    write(folder, 1, start=1)
    (folder / "link.png").symlink_to(target)
    (folder / "folder").symlink_to(outside)  # not followed
    odd = folder / os.fsdecode(b"\xff.png")
    odd.write_bytes(write(tmp_path / "x", 1, start=2)[0].read_bytes())
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é") + ".png"
        shutil.copy(write(tmp_path / "x", 1, start=len(form + name))[0], folder / name)
    assert counts(library.sync(folder)) == (5, 0, 0, 0, 0, 0)
    assert counts(library.sync(folder)) == (0, 0, 0, 0, 5, 0)
    drop_index(library)
    assert counts(library.sync(folder)) == (0, 0, 0, 0, 5, 0)
    odd.write_bytes(write(tmp_path / "x", 1, start=20)[0].read_bytes())
    target.unlink()  # the link stays, and its drive may come back
    assert counts(library.sync(folder)) == (0, 1, 0, 0, 3, 1)
    odd.unlink()
    (folder / "link.png").unlink()
    assert counts(library.sync(folder)) == (0, 0, 0, 2, 3, 0)


def test_two_libraries_and_models_are_independent(tmp_path):
    write(tmp_path, 2)
    url = f"memory://{uuid.uuid4().hex}"
    with (
        imgsearch.open(url, collection="one", model="classic") as one,
        imgsearch.open(url, collection="two", model="lite") as two,
    ):
        assert counts(one.sync(tmp_path)) == counts(two.sync(tmp_path)) == (2, 0, 0, 0, 0, 0)
        next(tmp_path.iterdir()).unlink()
        assert one.sync(tmp_path).deleted == 1
        assert (one.count(), two.count()) == (1, 2)
        assert two.sync(tmp_path).deleted == 1


def test_images_that_another_program_removed_are_added_again(library, tmp_path, later):
    write(tmp_path, 3)
    library.sync(tmp_path)
    library.collection.delete([next(library.collection.iterate()).id])
    assert counts(library.sync(tmp_path)) == (1, 0, 0, 0, 2, 0)
    library.remove(tmp_path)
    assert counts(library.sync(tmp_path)) == (3, 0, 0, 0, 0, 0)


def test_changed_label_is_set_and_the_first_of_equal_files_decides(library, tmp_path, later):
    (file,) = write(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    shutil.copy(file, tmp_path / "b")
    library.sync(tmp_path)
    library.add([tmp_path / "b" / file.name])
    for _ in range(2):
        assert [row.fields["label"] for row in library.collection.iterate()] == ["a"]
        report = library.sync(tmp_path)
        assert (report.unchanged, report.updated) == (2, 0)
    row = next(library.collection.iterate())
    library.add(tmp_path / "b")
    library.sync(tmp_path)
    assert next(library.collection.iterate()).fields == row.fields


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    files = write(tmp_path_factory.mktemp("contents"), 6)
    contents = [file.read_bytes() for file in files]
    assert len({len(content) for content in contents}) == 6
    return contents


class Dying(MemoryCollection):
    """A collection whose store fails after some writes, for the rest of a sync."""

    writes = 10**9

    def _upsert(self, records):
        self._fail()
        super()._upsert(records)

    def _delete(self, ids):
        self._fail()
        super()._delete(ids)

    def _fail(self):
        Dying.writes -= 1
        if Dying.writes < 0:
            raise BackendError("the process is killed here")


@pytest.mark.long
@given(lives=st.lists(st.tuples(st.integers(0, 14), st.randoms(use_true_random=False)), max_size=6))
@settings(max_examples=15, deadline=None, phases=[Phase.reuse, Phase.generate])
def test_sync_is_completed_after_any_write_was_the_last(lives):
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as name,
        imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library,
    ):
        patch.setattr(memory, "MemoryCollection", Dying)
        folder = Path(name)
        for place in range(8):
            syncs.draw(folder / f"{place % 4}/{place}.png", place)
        for life, (writes, dice) in enumerate(lives, 1):
            patch.setattr(Dying, "writes", writes)
            with suppress(BackendError):
                library.sync(folder, confirm=True)
            for _ in range(4):
                if any(folder.rglob("*.png")):
                    syncs.change(folder, dice, 100 * life)
        patch.setattr(Dying, "writes", 10**9)
        library.sync(folder, confirm=True)
        check_images(library, folder)


PATHS = ("1.png", "a/1.png", "a/2.png", "b/1.png", "b/c/3.png")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(PATHS), st.integers(0, 5)),
        st.tuples(st.just("delete"), st.sampled_from(PATHS)),
        st.tuples(st.just("move"), st.sampled_from(PATHS), st.sampled_from(PATHS)),
        st.tuples(st.just("add"), st.sampled_from(PATHS)),
        st.tuples(st.just("sync")),
    ),
    min_size=3,
    max_size=14,
)


@given(steps=STEPS, later=st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_history_of_a_folder_ends_with_its_images(contents, steps, later):
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as name,
        imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library,
    ):
        if later:
            patch.setattr(tracked_files, "time_ns", lambda: time.time_ns() + 10**10)
        root = Path(name)
        for path in PATHS:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        for step in [*steps, ("sync",)]:
            carry_out(library, root, contents, *step)


def carry_out(library, root, contents, word, *values):
    """Carry out a step of a history."""
    paths = [root / value for value in values if isinstance(value, str)]
    if word == "write":
        paths[0].write_bytes(contents[values[1]])
    elif word == "sync":
        check_sync(library, root)
    elif paths[0].exists():
        match word:
            case "delete":
                paths[0].unlink()
            case "move":
                paths[0].rename(paths[1])
            case "add":
                library.add(paths[0])


def check_sync(library, root):
    """Sync, and compare the library with the folder."""
    plan = library.sync(root, dry_run=True)
    report = library.sync(root, confirm=True)
    assert counts(plan) == counts(report)
    files = check_images(library, root)
    assert report.added + report.changed + report.renamed + report.unchanged == len(files)


def check_images(library, root):
    """Compare the library with the folder after a sync; return the folder's contents by path."""
    files = on_disk(root)
    images = stored(library) if library.exists() else {}
    assert images.items() <= files.items()  # each image has the path of a file with its content
    assert set(images.values()) == set(files.values())
    assert len(images) == library.count()
    assert counts(library.sync(root)) == (0, 0, 0, 0, len(files), 0)
    return files
