"""Milvus in particular: locked files, crashes, foreign collections, dead servers."""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pymilvus import MilvusException

from imgsearch.backends import Index, Schema, canonical, connect
from imgsearch.backends.milvus import collection as milvus_collection
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.filters import quoted, rendered
from imgsearch.backends.milvus.indexes import own_params
from imgsearch.backends.milvus.schema import check_index
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    IndexRefused,
)
from imgsearch.filters import Field
from imgsearch.settings import TIMEOUT
from imgsearch.testing.contract.bench import ids, records
from imgsearch.types import Record

ROOT = Path(__file__).parents[3]
SECRET = "root:Gehe1m✱"  # noqa: S105  # to be looked for in messages


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "图片.db"


@pytest.fixture
def store(path: Path) -> Iterator[Backend]:
    with connect(str(path)) as opened:
        assert isinstance(opened, Backend)
        yield opened


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Run code in another process, from the checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


OPEN = """
import sys, time
from imgsearch.backends import connect
import imgsearch.backends.milvus.backend
start = time.monotonic()
try:
    with connect(sys.argv[1]) as store:
        print(store.names())
except Exception as error:
    print(type(error).__name__, time.monotonic() - start < 5)
"""


@pytest.mark.long
def test_second_process_gets_a_lock_error(path: Path) -> None:
    with connect(str(path)) as store:
        store.create("a", Schema(4))
        assert python(OPEN, path).communicate()[0].split() == ["StoreLocked", "True"]
        assert store.names() == ["a"]
    assert python(OPEN, path).communicate()[0].strip() == "['a']"


WRITE = """
import sys
import numpy as np
from imgsearch.backends import Schema, connect
from imgsearch.types import Record
rng = np.random.default_rng(0)
collection = connect(sys.argv[1]).create("a", Schema(32))
for start in range(0, 10**6, 100):
    rows = rng.normal(size=(100, 32)).astype(np.float32)
    collection.upsert([Record(f"r{start + i}", row) for i, row in enumerate(rows)])
    if start == 500:
        collection.flush()
    print(start + 100, flush=True)
"""


@pytest.mark.long
def test_killed_writer_keeps_acknowledged_rows(path: Path) -> None:
    writer = python(WRITE, path)
    assert writer.stdout is not None
    acknowledged = 0
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged >= 3_000:
            writer.kill()
            break
    rest, errors = writer.communicate()
    acknowledged = max([acknowledged, *map(int, rest.split())])
    assert acknowledged >= 3_000, errors
    with connect(str(path)) as store:
        collection = store.open("a")
        assert collection.count() >= acknowledged
        wanted = [f"r{i}" for i in range(acknowledged)]
        assert collection.get(wanted).keys() == set(wanted)


def test_partly_written_index_is_rebuilt(path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(600, 8)).astype(np.float32)
    with connect(str(path)) as store:
        collection = store.create("a", Schema(8))
        collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
        collection.flush()
    (written,) = path.rglob("*.idx")
    written.write_bytes(written.read_bytes()[:100])
    with connect(str(path)) as store:
        hits_by_query = store.open("a").search(rows, k=1)
        assert [hits[0].id for hits in hits_by_query] == [f"{i}" for i in range(600)]


def test_unindexed_collection_is_completed(store: Backend) -> None:
    store.create("a", Schema(4, index=Index("ivf_flat", {"nlist": 9})))
    with store.calling() as client:
        client.release_collection("a")
        client.drop_index("a", "vector")
    assert store.index("a") is None
    store.open("a").upsert(records("ab"))
    assert own_params(store.index("a") or {}) == {"nlist": 9}


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("flat", {}),
        ("ivf_flat:nlist=37", {"nlist": 37}),
        ("ivf_sq8:nlist=1", {"nlist": 1}),
        ("hnsw:M=9,efConstruction=77", {"M": 9, "efConstruction": 77}),
    ],
)
def test_index_parameters_are_honored(store: Backend, text: str, params: dict[str, int]) -> None:
    store.create("a", Schema(4, index=Index.parse(text)))
    described = store.index("a")
    assert described is not None
    assert own_params(described) == params
    assert described["index_type"] == text.partition(":")[0].upper()


def test_unexpected_index_is_rejected() -> None:
    schema = Schema(4, index=Index("hnsw", {"M": 32}))
    built: dict[str, Any] = {"index_type": "HNSW", "metric_type": "COSINE"}
    flat = {**built, "M": "32", "efConstruction": "200"}  # the form of servers
    check_index(flat, schema)
    # the form of milvus-lite
    check_index({**built, "params": {"M": 32, "efConstruction": 200}}, schema)
    for wrong in (
        {},
        built,
        {**flat, "M": "16"},
        {**flat, "metric_type": "L2"},
        {**flat, "index_type": "FLAT"},
    ):
        with pytest.raises(IndexRefused):
            check_index(wrong, schema)


def test_search_breadth_favors_recall_within_milvus_bounds() -> None:
    hnsw, ivf = Index("hnsw"), Index("ivf_flat", {"nlist": 128})
    assert hnsw.search_params(10, None) == {"ef": 256}
    assert hnsw.search_params(200, None) == {"ef": 400}
    assert hnsw.search_params(100, 1) == {"ef": 100}  # Milvus refuses ef < k
    assert hnsw.search_params(16_384, None) == {"ef": 32_768}
    assert ivf.search_params(10, None) == {"nprobe": 32}
    assert ivf.search_params(10, 1_000) == {"nprobe": 128}
    assert Index("flat").search_params(10, 5) == {}


def test_texts_are_quoted_for_both_grammars() -> None:
    assert quoted('a"b') == r'"a\"b"'
    assert quoted("C:\\new\n") == r'"C:\\new\n"'
    assert quoted("\x1f\x0c鱼") == '"\x1f\x0c鱼"'  # milvus-lite parses neither \f nor \u001f
    where = (Field("t") == "a") & ~(Field("x") > 1) | Field("n").isin([])
    fields = {"t": "str", "x": "float", "n": "int"}
    assert rendered(where, fields) == '((t == "a") and (not (x > 1.0))) or (n in [])'  # type: ignore[arg-type]


@pytest.mark.long
def test_wide_rows_are_sent_in_several_messages(store: Backend) -> None:
    collection = store.create("wide", Schema(2_048, index=Index("flat")))
    rows = np.random.default_rng(2).normal(size=(3_001, 2_048)).astype(np.float32)  # 24.6 MB
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    assert collection.count() == 3_001


def test_iterating_continues_after_a_deleted_key(
    store: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_collection, "KEYS", 7)
    collection = store.create("pages", Schema(4, index=Index("flat"), fields={"n": "int"}))
    # 7 and 30 share no factor: every name once
    names = [f"{i * 7 % 30:02} 鱼'\\\"" for i in range(30)]
    collection.upsert(records(names))
    seen = collection.iterate(batch=3)
    first = next(seen)
    last = max(names)
    assert collection.delete([last]) == 1  # before its page is read
    assert sorted([first.id, *ids(seen)]) == sorted(set(names) - {last})
    assert len(list(collection.iterate(where=Field("n") < 14, batch=100))) == 14 - (
        names.index(last) < 14
    )


# -- opening and closing -----------------------------------------------------------------------


def test_store_is_shared_by_path_and_closed_by_the_last_user(path: Path) -> None:
    first = connect(str(path))
    second = connect(f"milvus-lite://{path.parent}/../{path.parent.name}/{path.name}")
    assert first is second
    first.close()
    assert second.names() == []
    second.close()
    second.close()
    with pytest.raises(BackendError, match="closed"):
        second.names()


def test_one_missing_folder_is_created_but_not_two(tmp_path: Path) -> None:
    connect(str(tmp_path / "new" / "x.db")).close()
    with pytest.raises(ConfigError, match="no folder"):
        connect(str(tmp_path / "misspelt" / "new" / "x.db"))
    assert not (tmp_path / "misspelt").exists()


def test_other_files_are_rejected(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")
    with pytest.raises(ConfigError, match="is a file"):
        connect(str(path))


@pytest.mark.parametrize(
    ("url", "spelling"),
    [
        ("milvus://LOCALHOST", "milvus://localhost:19530/default"),
        ("milvus://10.0.0.1:1/db/", "milvus://10.0.0.1:1/db"),
        ("milvus+https://[::1]", "milvus+https://[::1]:443/default"),
        ("memory://", "memory://"),
        ("memory://a", "memory://a"),
        ("milvus-lite:///x/../y.db", "milvus-lite:///y.db"),
    ],
)
def test_url_has_one_spelling(url: str, spelling: str) -> None:
    assert canonical(url) == canonical(spelling) == spelling


@pytest.mark.parametrize(
    "url",
    [
        "photos", "ftp://host", "milvus://", "milvus://h:x/d", "milvus://h/a/b", "milvus://h?a=b",
        "milvus-lite://x.db", "milvus-lite:///x", f"milvus://{SECRET}@h:1", f"milvus://{SECRET}@h:q",
    ],
)  # fmt: skip
def test_invalid_url_is_rejected_without_showing_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        canonical(url)
    assert (
        "Gehe1m" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    )


def test_failed_calls_are_quiet(store: Backend, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CollectionNotFound):
        store.open("nowhere")
    with pytest.raises(BackendError), store.calling() as client:
        client.query("nowhere", filter="x y z")
    assert capfd.readouterr() == ("", "")


def test_embedded_store_listens_only_on_this_machine(store: Backend) -> None:
    store.create("a", Schema(4)).upsert(records("ab"))
    # a connection of an earlier test may still wait for an answer from elsewhere
    connections = psutil.Process().net_connections("inet")
    sockets = [one for one in connections if one.status == psutil.CONN_LISTEN]
    assert sockets
    assert {one.laddr.ip.removeprefix("::ffff:") for one in sockets} <= {"127.0.0.1", "::1"}


def test_index_that_lite_does_not_support_is_rejected(store: Backend) -> None:
    assert "ivf_pq" not in store.capabilities.indexes
    with pytest.raises(IndexRefused, match="ivf_pq"):
        store.create("a", Schema(8, index=Index("ivf_pq")))
    assert store.names() == []


def test_importing_the_backends_loads_no_driver() -> None:
    code = "import sys, imgsearch.backends.memory; print('pymilvus' in sys.modules)"
    assert python(code).communicate()[0] == "False\n"


@contextmanager
def listener(*, backlog: int) -> Iterator[int]:
    """Listen on a loopback port without answering; without a backlog, close the port again."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if backlog:
            server.listen(backlog)
            yield server.getsockname()[1]
            return
        port: int = server.getsockname()[1]
    yield port


@pytest.mark.parametrize(
    ("backlog", "timeout", "message"),
    [
        (0, 1.0, "cannot connect to .*refused"),
        (0, TIMEOUT, "cannot connect to .*refused"),
        (5, 1.0, "no response from .* within 1 s"),
    ],
    ids=["nobody listens", "nobody listens, default", "nobody answers"],
)
def test_dead_server_raises_within_the_timeout(backlog: int, timeout: float, message: str) -> None:
    with listener(backlog=backlog) as port:
        start = time.monotonic()
        with pytest.raises(BackendUnavailable, match=message) as caught:
            connect(f"milvus://127.0.0.1:{port}", token=SECRET, timeout=timeout)
        assert time.monotonic() - start < 3  # 1 s, and reserve for a busy machine
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any("Gehe1m" in f"{error} {error!r}" for error in chain)
    assert isinstance(caught.value.__cause__, MilvusException)


def frame(kind: int, payload: bytes) -> bytes:
    """Return an HTTP/2 frame for stream 0, the connection. Source: RFC 9113, 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + bytes(4) + payload


@contextmanager
def dismissing() -> Iterator[int]:
    """Answer every connection like a server that received too many pings."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def dismiss() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with connection, suppress(OSError):
                        connection.recv(65_536)
                        goaway = struct.pack(">II", 0, 11) + b"too_many_pings"
                        connection.sendall(frame(4, b"") + frame(7, goaway))

        thread = threading.Thread(target=dismiss)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


DISMISSED = """
import os, sys
from imgsearch.backends import connect
from imgsearch.errors import BackendUnavailable
try:
    connect(sys.argv[1], token="a:b", timeout=0.5)
except BackendUnavailable:
    print("unavailable", os.environ.get("GRPC_VERBOSITY"))
"""


@pytest.mark.parametrize("scheme", ["milvus", "tencent+grpc"])
def test_server_that_ends_the_connection_causes_no_output(scheme: str) -> None:
    if scheme.startswith("tencent"):
        pytest.importorskip("tcvectordb")
    with dismissing() as port:
        output, errors = python(DISMISSED, f"{scheme}://127.0.0.1:{port}/d").communicate()
    assert (output, errors) == ("unavailable None\n", "")
