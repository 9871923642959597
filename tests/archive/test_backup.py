"""Backups: complete, verified, resumable, and restored to stores of other kinds."""

import io
import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from imgsearch.archive import Incoming, opened
from imgsearch.archive.access import Keys
from imgsearch.archive.backup import Stores, backup, sha256
from imgsearch.archive.backup_file import unpacked
from imgsearch.archive.restore import MARKER, restore
from imgsearch.backends import notes, versions
from imgsearch.backends.note_log import NoteLog
from imgsearch.cli import cli
from imgsearch.errors import ConfigError, SourceError
from imgsearch.library.duplicate_memory import DuplicateMemory
from tests.archive.place import archive, images, jpeg, state


class Stopped(Exception):
    """Raised in place of a kill."""


def places(folder, db=None):
    return Stores(
        db or str(folder / "vectors.db"), str(folder / "catalog.db"), str(folder / "originals")
    )


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "quelle"
    folder.mkdir()
    with archive(folder) as filled:
        filled.add(images(0, 4))
        filled.add([Incoming("zwei.jpg", data=jpeg(9), fields={})], collection="zweite")
        Keys(filled.catalog).create("я", ["read"])
        Keys(filled.catalog).create("zwei", ["read"], collections=["zweite"])
    return folder


def facts(folder, db=None):
    with archive(folder, db=db) as filled:
        keys = Keys(filled.catalog).all()
        entries = sorted(filled.entries().entries, key=lambda entry: entry.id)
        vectors = {
            record.id: record.vector.tobytes()
            for record in filled.library().collection.iterate(vectors=True)
        }
        return keys, entries, vectors, state(filled), state(filled, "zweite")


def note(folder, db=None):
    """Return a threshold, a pair that is kept apart, and the logs of the notes, by collection."""
    with archive(folder, db=db) as filled:
        library = filled.existing("zweite")
        store, collection = library._handle.backend, library.collection
        memory = DuplicateMemory(store, collection)
        return (
            library.thresholds.to_dict(),
            memory.apart(),
            NoteLog(store, collection, "folders").head(),
            set(notes.entries(store)),
        )


@pytest.fixture
def noted(source):
    """Return an archive with a threshold, and a log of several parts, about a changed model."""
    with archive(source) as filled:
        filled.add([Incoming("drei.jpg", data=jpeg(10))], collection="zweite")
        library = filled.existing("zweite")
        store, former = library._handle.backend, library.collection
        notes.write(store, former, {"of a former version": 1})
        versions.begin(store, "zweite", former.schema)
        copied = versions.shadow(store, "zweite")
        copied.upsert(list(former.iterate(vectors=True)))
        copied.flush()
        versions.switch(store, "zweite")
        versions.settle(store, "zweite")
    with archive(source) as filled:
        library = filled.existing("zweite")
        assert library.collection.name == "zweite_v2"
        library.thresholds.keep_duplicates({"threshold": 0.875})
        store = library._handle.backend
        ids = [record.id for record in library.collection.iterate(vectors=False)]
        DuplicateMemory(store, library.collection).keep_apart(*ids)
        log = NoteLog(store, library.collection, "folders")
        log.replace(["ü" * 100, "b"], {"n": 1})
    return source


def test_notes_are_restored_under_the_name_of_the_collection(noted, tmp_path):
    backup(places(noted), tmp_path / "s")
    target = tmp_path / "ziel"
    restore(tmp_path / "s", target, places(target))
    threshold, apart, head, ids = note(target)
    assert (threshold, apart, head) == note(noted)[:3]
    assert "0.875" in str(threshold)
    assert len(apart) == 1
    assert head.facts == {"n": 1}
    logs = {"zweite", "zweite/folders", "zweite/folders/0", "zweite/folders/1"}
    assert ids >= logs
    assert not [id_ for id_ in ids if id_.startswith("zweite_v2") or "@" in id_]
    with archive(target) as filled:
        collection = filled.existing("zweite").collection
        log = NoteLog(filled.existing("zweite")._handle.backend, collection, "folders")
        assert log.parts(log.head()) == ["ü" * 100, "b"]


def test_backup_of_an_older_version_has_no_notes(noted, tmp_path):
    backup(places(noted), tmp_path / "s")
    file, target = tmp_path / "s/manifest.json", tmp_path / "ziel"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    del manifest["files"]["vectors/notes.jsonl"]
    file.write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "s/vectors/notes.jsonl").unlink()
    assert restore(tmp_path / "s", target, places(target)).images == 6
    threshold, apart, head, ids = note(target)
    assert "0.875" not in str(threshold)
    assert (apart, head, ids) == (set(), None, set())


def test_damaged_notes_are_reported(noted, tmp_path):
    folder, target = tmp_path / "s", tmp_path / "ziel"
    backup(places(noted), folder)
    file = folder / "vectors/notes.jsonl"
    good = file.read_text(encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

    def written(text):
        file.write_text(text, encoding="utf-8")
        manifest["files"]["vectors/notes.jsonl"] = sha256(file)
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    for line in (
        "{",
        "[]",
        '{"collection": "zweite"}',
        '{"collection": "zweite", "part": "@0", "note": "{}"}',
        '{"collection": "zweite", "part": "", "note": 1}',
    ):
        written(line + "\n")
        with pytest.raises(SourceError, match="damaged"):
            restore(folder, target, places(target))
    written(good)
    restore(folder, target, places(target))
    assert note(target)[:3] == note(noted)[:3]


def stop_at(number):
    """Return a callback that raises `Stopped` at this step of 8, checks of files not counted."""
    calls = []

    def on_progress(stage, *_):
        if stage != "checking":
            calls.append(stage)
        if len(calls) == number:
            raise Stopped

    return on_progress


def test_restored_archive_is_the_same(source, tmp_path):
    done = backup(places(source), tmp_path / "sicherung")
    assert (done.images, done.vectors, done.originals, done.missing) == (5, 5, 5, ())
    target = tmp_path / "ziel"
    assert restore(tmp_path / "sicherung", target, places(target)).images == 5
    assert facts(target) == facts(source)
    assert not (target / MARKER).exists()
    text = (tmp_path / "sicherung/catalog/entries.jsonl").read_text(encoding="utf-8")
    assert "bild ü 1.jpg" in text


def test_restores_to_another_kind_of_store(source, tmp_path):
    backup(places(source), tmp_path / "s")
    target, db = tmp_path / "ziel", "memory://restored"
    with archive(tmp_path, db=db, catalog=str(tmp_path / "other.db")):  # keeps the store open
        restore(tmp_path / "s", target, places(target, db))
        assert facts(target, db)[1:] == facts(source)[1:]


@pytest.mark.parametrize("number", [1, 3, 6, 8])  # each stage, and the last step
def test_interrupted_backup_and_restore_are_resumed(source, tmp_path, number):
    target = tmp_path / "ziel"
    with pytest.raises(Stopped):
        backup(places(source), tmp_path / "s", on_progress=stop_at(number))
    with pytest.raises(ConfigError, match="incomplete"):
        restore(tmp_path / "s", target, places(target))
    backup(places(source), tmp_path / "s")
    for _ in range(2):
        with pytest.raises(Stopped):
            restore(tmp_path / "s", target, places(target), on_progress=stop_at(number))
    restore(tmp_path / "s", target, places(target))
    assert facts(target) == facts(source)


KILLED = """
import os, signal, sys
from pathlib import Path
from imgsearch.archive.backup import backup
from imgsearch.archive.restore import restore
from tests.archive.test_backup import places

def on_progress(stage, done, total):
    if stage == sys.argv[2] and done == 1:
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
if sys.argv[3] == "backup":
    backup(places(folder / "quelle"), folder / "s", on_progress=on_progress)
else:
    restore(folder / "s", folder / "ziel", places(folder / "ziel"), on_progress=on_progress)
"""


@pytest.mark.process
def test_killed_backup_and_restore_are_resumed(source, tmp_path):
    root = Path(__file__).resolve().parents[2]
    for what, stage in (("backup", "originals"), ("restore", "originals"), ("restore", "vectors")):
        if what == "restore" and not (tmp_path / "ziel").exists():
            backup(places(source), tmp_path / "s")
        command = [sys.executable, "-c", KILLED, str(tmp_path), stage, what]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
    restore(tmp_path / "s", tmp_path / "ziel", places(tmp_path / "ziel"))
    assert facts(tmp_path / "ziel") == facts(source)


def test_archive_that_is_not_empty_is_refused(source, tmp_path):
    backup(places(source), tmp_path / "s")
    for part in ("catalog.db", "originals", "vectors.db"):
        target = tmp_path / f"ziel-{part}"
        with opened(target):
            pass
        parts = {"catalog": str(source / "catalog.db")} if part == "catalog.db" else {}
        if part == "originals":
            parts = {"originals": str(source / "originals")}
        if part == "vectors.db":
            parts = {"db": str(source / "vectors.db")}
        base = places(target)
        chosen = Stores(
            parts.get("db", base.db),
            parts.get("catalog", base.catalog),
            parts.get("originals", base.originals),
        )
        with pytest.raises(ConfigError, match="empty"):
            restore(tmp_path / "s", target, chosen)
        assert not (target / MARKER).exists()
    with pytest.raises(ConfigError, match="complete backup"):
        backup(places(source), tmp_path / "s")
    with pytest.raises(ConfigError, match="other files"):
        backup(places(source), source)


def test_marker_of_another_backup_does_not_admit_this_one(source, tmp_path):
    target = tmp_path / "ziel"
    for name in "ab":
        backup(places(source), tmp_path / name)
    with pytest.raises(Stopped):
        restore(tmp_path / "a", target, places(target), on_progress=stop_at(1))
    with pytest.raises(ConfigError, match="empty"):
        restore(tmp_path / "b", target, places(target))
    restore(tmp_path / "a", target, places(target))


@pytest.mark.parametrize("pattern", ["catalog/entries.jsonl", "vectors/*.parquet", "originals/*/*"])
@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_damaged_backup_is_refused_before_anything_is_written(source, tmp_path, pattern, damage):
    backup(places(source), tmp_path / "s")
    file = next((tmp_path / "s").glob(pattern))
    if damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    else:
        file.unlink()
    target = tmp_path / "ziel"
    with pytest.raises(SourceError, match=file.name):
        restore(tmp_path / "s", target, places(target))
    assert not target.exists()


def test_missing_and_damaged_originals_are_reported(source, tmp_path):
    first, second = sorted((source / "originals/originals").glob("*/*"))[:2]
    first.unlink()
    second.write_bytes(b"anderes")
    done = backup(places(source), tmp_path / "s")
    assert set(done.missing) == {first.name, second.name}
    target = tmp_path / "ziel"
    assert restore(tmp_path / "s", target, places(target)).originals == 3


def test_newer_backup_and_hostile_manifests_are_refused(source, tmp_path):
    backup(places(source), tmp_path / "s")
    file, target = tmp_path / "s/manifest.json", tmp_path / "ziel"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    for change in ({"backup": 2}, {"backup": "x"}, {"complete": False}):
        file.write_text(json.dumps(manifest | change), encoding="utf-8")
        with pytest.raises(ConfigError):
            restore(tmp_path / "s", target, places(target))
    for text in ("[]", "{", json.dumps({"backup": 1, "complete": True})):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError):
            restore(tmp_path / "s", target, places(target))
    file.write_text(json.dumps(manifest | {"files": {}}), encoding="utf-8")
    with pytest.raises(SourceError):
        restore(tmp_path / "s", target, places(target))
    assert not target.exists()


def test_commands_use_tar_files(source, tmp_path):
    def run(*words):
        return CliRunner().invoke(cli, [*map(str, words)])

    file, target = tmp_path / "größe.tar", tmp_path / "ziel"
    done = run("backup", "--data", source, "--to", file)
    assert done.exit_code == 0, done.output
    assert "5 images, 5 vectors and 5 originals backed up" in done.stderr
    assert run("backup", "--data", source, "--to", file).exit_code == 1
    done = run("restore", file, "--data", target, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["images"] == 5
    assert facts(target) == facts(source)
    assert {path.name for path in tmp_path.iterdir()} == {"quelle", "größe.tar", "ziel"}
    assert run("backup", "--data", tmp_path / "fehlt", "--to", tmp_path / "x").exit_code == 1
    (tmp_path / "kein.tar").write_bytes(b"kein tar")
    assert run("restore", tmp_path / "kein.tar", "--data", tmp_path / "neu").exit_code == 1


@pytest.mark.long
def test_backups_move_between_one_folder_and_a_teams_servers(source, tmp_path, topology):
    """Restores a folder's archive to each topology, backs that up, and restores to a folder."""
    stores = Stores(
        topology.db,
        topology.catalog,
        topology.objects,
        topology.token,
        topology.password,
        topology.key,
        topology.secret,
    )
    backup(places(source), tmp_path / "s")
    with pytest.raises(Stopped):
        restore(tmp_path / "s", tmp_path / "mitte", stores, on_progress=stop_at(7))
    restore(tmp_path / "s", tmp_path / "mitte", stores)
    backup(stores, tmp_path / "zurück")
    target = tmp_path / "ziel"
    restore(tmp_path / "zurück", target, places(target))
    assert facts(target)[:2] == facts(source)[:2]
    vectors, expected = facts(target)[2], facts(source)[2]
    assert vectors.keys() == expected.keys()
    for id_, vector in vectors.items():
        numbers = (np.frombuffer(one, np.float32) for one in (vector, expected[id_]))
        np.testing.assert_allclose(*numbers, atol=2e-5)
    assert facts(target)[3:] == facts(source)[3:]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../draußen", tarfile.REGTYPE),
        ("/draußen", tarfile.REGTYPE),
        ("vectors/../../x", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("hart", tarfile.LNKTYPE),
        ("rohr", tarfile.FIFOTYPE),
    ],
)
def test_tar_with_other_members_is_refused(tmp_path, name, kind):
    file, data = tmp_path / "böse.tar", tmp_path / "ziel"
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member, io.BytesIO())
    with pytest.raises(SourceError, match="which no backup has"), unpacked(file, data):
        pass
    assert not (tmp_path / "draußen").exists()
    assert not Path("/draußen").exists()
    assert list(data.iterdir()) == []
