"""Embedded stores: read-only ones are searched and never changed; long calls run once."""

import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from milvus_lite.engine.collection import Collection as LiteCollection

from imgsearch.backends import Index, Schema, connect
from imgsearch.backends.milvus.backend import Backend
from imgsearch.errors import BackendError, StoreLocked
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import ids, records, unit
from tests.unprivileged import unprivileged

SCHEMA = Schema(4, index=Index("hnsw"), fields={"n": "int"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store left by a killed process: an index, and rows only in the log."""
    path = tmp_path_factory.mktemp("written") / "图片.db"
    with connect(str(path)) as store:
        collection = store.create("images", SCHEMA)
        collection.upsert(records("abc"))
        collection.flush()
        store.set_alias("newest", "images")
        collection.upsert(records("abcd"))
        return Path(shutil.copytree(path, path.with_name("killed.db")))


@pytest.fixture
def mounted(written: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the store on a read-only file system."""
    place = tmp_path / "mounted"
    place.mkdir()
    for options in (["--bind", written.parent], ["-o", "remount,ro,bind"]):
        done = subprocess.run(["mount", *options, place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"nothing can be mounted: {done.stderr.strip()}")
    try:
        yield place / written.name
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def use(path: Path) -> None:
    """Read a store in every way; every way of writing must fail."""
    before = contents(path)
    with connect(str(path)) as store:
        assert isinstance(store, Backend)
        place = store.connection.folder
        collection = store.open("newest")
        assert store.names() == ["images"]
        assert collection.count() == 4
        assert collection.count(Field("n") < 2) == 2
        assert ids(collection.search(unit(0)[None])[0]) == ["a", "b", "c", "d"]
        assert sorted(ids(collection.iterate())) == list("abcd")
        assert collection.get("d").keys() == {"d"}
        assert store.create("images", SCHEMA).count() == 4
        collection.flush()
        for write in (
            lambda: collection.upsert(records("e")),
            lambda: collection.delete(["a"]),
            lambda: store.create("new", SCHEMA),
            lambda: store.drop("images"),
            lambda: store.set_alias("other", "images"),
            lambda: store.drop_alias("newest"),
        ):
            with pytest.raises(BackendError, match=r"read-only.*Change its permissions"):
                write()
        assert collection.count() == 4
    assert contents(path) == before
    assert place is not None
    assert not place.exists()


def test_store_on_a_read_only_file_system_is_searched(mounted: Path) -> None:
    use(mounted)


def test_store_that_another_user_owns_is_searched(written: Path) -> None:
    with unprivileged(written) as path:
        for place in (path, *path.rglob("*")):
            place.chmod(0o555 if place.is_dir() else 0o444)
        use(path)


def test_files_in_a_read_only_folder_are_not_written_through_links(written: Path) -> None:
    with unprivileged(written) as path:
        for place in (path, *path.rglob("*")):
            place.chmod(0o555 if place.is_dir() else 0o644)
        use(path)


def test_read_only_store_is_locked_during_a_write(mounted: Path, written: Path) -> None:
    with connect(str(written)), pytest.raises(StoreLocked, match="another process"):
        connect(str(mounted))
    with connect(str(mounted)), pytest.raises(StoreLocked, match="another process"):
        connect(str(written))


def test_unreadable_store_is_named(written: Path) -> None:
    with unprivileged(written) as path:
        path.chmod(0o555)
        (path / "collections").chmod(0)
        with pytest.raises(BackendError, match="killed.db cannot be opened.*Permission denied"):
            connect(str(path))
        (path / "collections").chmod(0o755)


@pytest.mark.long
def test_long_flush_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC's server closes a connection that is pinged too often during a call (1.85.3).

    It does so after about 4 minutes of pymilvus' pings. With more frequent pings, and a server that
    tolerates fewer, it does so after 3 seconds; a call that is closed is sent again.
    """
    channel, server = grpc.insecure_channel, grpc.server

    def impatient_channel(target: str, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
        settings = dict(options)
        if settings["grpc.keepalive_time_ms"] <= 60_000:
            settings["grpc.keepalive_time_ms"] = 100  # gRPC sends a ping a second at most
        settings["grpc.http2.max_pings_without_data"] = 0  # it would wait a minute after two pings
        return channel(target, options=[*settings.items()])

    def impatient_server(pool: Any, options: Sequence[tuple[str, Any]]) -> grpc.Server:
        return server(pool, options=[*options, ("grpc.http2.max_ping_strikes", 1)])

    monkeypatch.setattr(grpc, "insecure_channel", impatient_channel)
    monkeypatch.setattr(grpc, "server", impatient_server)
    flush, calls, pause = LiteCollection.flush, [], threading.Event()

    def slow_flush(collection: Any, *args: Any) -> Any:
        calls.append(collection)
        pause.wait(3.5)
        return flush(collection, *args)

    with connect(str(tmp_path / "slow.db")) as store:
        collection = store.create("images", SCHEMA)
        collection.upsert(records("abc"))
        monkeypatch.setattr(LiteCollection, "flush", slow_flush)
        collection.flush()
        monkeypatch.undo()
    assert len(calls) == 1
