"""Embedded stores damaged by a crash, a full disk or a bad disk: the intact rest is used."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgsearch.backends import Index, Schema, connect, notes
from imgsearch.backends.milvus.folder import ASIDE
from imgsearch.errors import BackendError, CollectionNotFound, SchemaMismatch
from imgsearch.testing.contract.bench import ids, records, unit
from imgsearch.types import Fingerprint

SCHEMA = Schema(4, index=Index("hnsw"), fields={"n": "int"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of two collections with three rows each."""
    path = tmp_path_factory.mktemp("written") / "x.db"
    with connect(str(path)) as store:
        for name in ("good", "images"):
            store.create(name, SCHEMA).upsert(records("abc"))
    return path


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    """Return a copy of the store. Tests may damage its collection ``images``."""
    return Path(shutil.copytree(written, tmp_path / "图片.db"))


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def half_made(folder: Path) -> None:
    emptied(folder)
    (folder / "schema.json.tmp").write_bytes(b"{")
    (folder / "wal").mkdir()


def made_with_an_empty_schema(folder: Path) -> None:
    emptied(folder)
    (folder / "schema.json").touch()


@pytest.mark.parametrize("tear", [emptied, half_made, made_with_an_empty_schema])
def test_incomplete_collection_is_created_again(path: Path, tear: Callable[[Path], None]) -> None:
    tear(path / "collections/images")
    emptied(path / "collections/good")
    with connect(str(path)) as store:
        assert store.names() == []
        assert store.faults().keys() == {"good", "images"}
        with pytest.raises(CollectionNotFound):
            store.open("images")
        for name in ("images", "good"):
            store.create(name, SCHEMA).upsert(records("de"))
        assert store.faults() == {}
        assert store.names() == ["good", "images"]
        assert not (path / ASIDE).exists()
    with connect(str(path)) as store:
        assert store.open("images").count() == 2


def test_incomplete_notes_are_created_again(path: Path) -> None:
    (path / "collections" / notes.NAME).mkdir()
    with connect(str(path)) as store:
        store.drop("images")
        encoded = Schema(4, encoder=Fingerprint("one", 4))
        collection = store.create("images", encoded)
        assert notes.read(store, collection) == {}
        notes.write(store, collection, {"fact": 1})
        assert notes.read(store, collection) == {"fact": 1}


def test_data_without_a_schema_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (path / "collections/images/schema.json").unlink()  # the state after an interrupted drop
    (file,) = path.glob("collections/images/partitions/*/data/*.parquet")
    held = file.read_bytes()
    with connect(str(path)) as store:
        assert "it holds data" in store.faults()["images"]
        assert store.create("images", SCHEMA).count() == 0
        assert store.open("good").count() == 3
    aside = path / ASIDE / "images.1"
    assert (aside / file.relative_to(path / "collections/images")).read_bytes() == held
    assert str(aside) in caplog.text


def without_schema_text(folder: Path) -> None:
    (folder / "schema.json").write_bytes(b"")


def with_half_a_schema(folder: Path) -> None:
    file = folder / "schema.json"
    file.write_bytes(file.read_bytes()[:100])


def with_other_bytes(folder: Path) -> None:
    (folder / "schema.json").write_bytes(b"\xff\x00" * 10)


def with_half_a_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b'{"version": 1')


def without_manifest(folder: Path) -> None:
    for file in folder.glob("manifest.json*"):
        file.unlink()


def with_half_a_data_file(folder: Path) -> None:
    (file,) = folder.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])


def without_data_file(folder: Path) -> None:
    (file,) = folder.rglob("*.parquet")
    file.unlink()
    (folder / "wal").mkdir(exist_ok=True)
    (folder / "wal/wal_data_000009.arrow").write_bytes(b"x")


@pytest.mark.parametrize(
    "damage",
    [
        without_schema_text,
        with_half_a_schema,
        with_other_bytes,
        with_half_a_manifest,
        without_manifest,
        with_half_a_data_file,
        without_data_file,
    ],
)
def test_damaged_collection_is_named_and_not_changed(
    path: Path, damage: Callable[[Path], None]
) -> None:
    folder = path / "collections/images"
    damage(folder)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with connect(str(path)) as store:
        assert store.names() == ["good"]
        assert list(store.faults()) == ["images"]
        for use in (store.open, lambda name: store.create(name, SCHEMA), store.drop):
            with pytest.raises(SchemaMismatch, match="'images'.*damaged.*Restore"):
                use("images")
        assert ids(store.open("good").search(unit(0)[None], k=1)[0]) == ["a"]
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_empty_alias_file_is_ignored_and_a_damaged_one_is_named(path: Path) -> None:
    (path / "aliases.json").touch()
    with connect(str(path)) as store:
        assert store.open("images").count() == 3
    (path / "aliases.json").write_bytes(b'{"al')
    with pytest.raises(BackendError, match=r"aliases\.json is damaged"):
        connect(str(path))


# -- a full disk -------------------------------------------------------------------------------

# milvus-lite 3.2.2 leaves its log open when a flush fails
leaky = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def filled(place: Path) -> Iterator[None]:
    """Fill a file system, and free it again."""
    file = place / "filling"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(descriptor, bytes(512))
        yield
    finally:
        os.close(descriptor)
        file.unlink()


def test_collection_is_created_after_a_full_disk_has_space(small: Path) -> None:
    with connect(str(small / "x.db")) as store:
        store.create("good", SCHEMA).upsert(records("abc"))
        with filled(small):
            with pytest.raises(BackendError, match="No space left.*Free disk space") as caught:
                store.create("images", SCHEMA)
            assert type(caught.value) is BackendError
            assert store.open("good").count() == 3
        assert store.create("images", SCHEMA).count() == 0


@leaky
def test_failed_writes_on_a_full_disk_lose_no_acknowledged_rows(small: Path) -> None:
    url = str(small / "x.db")
    with connect(url) as store:
        collection = store.create("images", SCHEMA)
        collection.upsert(records("abc"))
        with filled(small):
            for write in (
                lambda: collection.upsert(records([f"{i}" for i in range(500)])),
                collection.flush,
            ):
                with pytest.raises(BackendError, match="No space left"):
                    write()
            assert collection.get("abc").keys() == set("abc")
        collection.upsert(records("de"))
        collection.flush()
        assert collection.get("abcde").keys() == set("abcde")
    with connect(url) as store:
        assert store.open("images").get("abcde").keys() == set("abcde")


@leaky
def test_store_closed_on_a_full_disk_keeps_acknowledged_rows(small: Path) -> None:
    url = str(small / "x.db")
    with connect(url) as store:
        collection = store.create("images", SCHEMA)
        collection.upsert(records("abc"))
        with filled(small):
            with pytest.raises(BackendError, match="No space left"):
                collection.flush()
            store.close()
    with connect(url) as store:
        assert store.open("images").count() == 3
