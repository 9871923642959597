"""The emulator as a process, its folder, its ports, and HTTP without the SDK."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from imgsearch.errors import ConfigError, StoreLocked
from imgsearch.testing.tencent import Emulator
from tests.testing.conftest import KEY

HEADERS = {"Authorization": f"Bearer account=root&api_key={KEY}", "backend-service": "vdb"}
INDEXES = [
    {"fieldName": "id", "fieldType": "string", "indexType": "primaryKey"},
    {"fieldName": "name", "fieldType": "string", "indexType": "filter"},
    {"fieldName": "vector", "fieldType": "vector", "indexType": "HNSW", "dimension": 2,
     "metricType": "L2", "params": {"M": 16, "efConstruction": 200}},
]  # fmt: skip
WHERE = {"database": "db", "collection": "photos"}


class Caller:
    """A persistent connection, without the SDK."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)

    def raw(self, path: str, content: bytes | None = b"{}", method: str = "POST", **headers):
        self.connection.request(method, path, content, HEADERS | headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def __call__(self, path: str, body: object, method: str = "POST"):
        status, content = self.raw(path, json.dumps(body).encode(), method)
        assert status == 200, content
        return json.loads(content)

    def fill(self, ids: list[str]) -> None:
        assert self("/database/create", {"database": "db"})["code"] == 0
        settings = {**WHERE, "shardNum": 1, "replicaNum": 0, "indexes": INDEXES}
        assert self("/collection/create", settings)["code"] == 0
        if ids:
            self.upsert(ids)

    def upsert(self, ids: list[str]) -> None:
        documents = [{"id": id_, "vector": [0.1, len(id_)], "name": "猫\n" + id_} for id_ in ids]
        assert self("/document/upsert", {**WHERE, "documents": documents})["code"] == 0

    def documents(self) -> list[dict]:
        query = {"limit": 16_384, "retrieveVector": True}
        return self("/document/query", {**WHERE, "query": query})["documents"]


@contextmanager
def calling(emulator_or_url) -> Iterator[Caller]:
    caller = Caller(getattr(emulator_or_url, "url", emulator_or_url))
    try:
        yield caller
    finally:
        caller.connection.close()


@contextmanager
def process(*options: str | Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the module; yield it and its first lines."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "imgsearch.testing.tencent", *map(str, options)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as running:
        try:
            lines = 2 if "--rpc-port" in options else 1
            yield running, [running.stdout.readline().strip() for _ in range(lines)]
        finally:
            running.kill()


def test_process_prints_its_urls_serves_loopback_only_and_ends_on_sigterm():
    pytest.importorskip("tcvectordb", reason="the SDK is not installed (pip install tcvectordb)")
    with process("--port", "0", "--key", KEY, "--rpc-port", "0") as (running, urls):
        with calling(urls[0]) as call:
            assert call("/database/list", {}, "GET")["databases"] == []
        connections = psutil.Process(running.pid).net_connections("inet")
        listening = {
            (connection.laddr.ip, connection.laddr.port)
            for connection in connections
            if connection.status == "LISTEN"
        }
        assert {f"http://{ip.removeprefix('::ffff:')}:{port}" for ip, port in listening} == set(
            urls
        )
        assert {ip.removeprefix("::ffff:") for ip, _ in listening} == {"127.0.0.1"}
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
        assert running.stderr.read() == ""


def test_key_comes_from_a_file_and_account_from_an_option(tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    with (
        process("--key-file", tmp_path / "key", "--account", "riit") as (_, urls),
        calling(urls[0]) as call,
    ):
        assert call.raw("/database/list", None, "GET")[0] == 401
        mine = HEADERS["Authorization"].replace("root", "riit")
        assert call.raw("/database/list", None, "GET", Authorization=mine)[0] == 200


def test_failed_start_prints_the_reason_in_one_line(tmp_path):
    taken = tmp_path / "写真"
    with (
        Emulator(key=KEY, folder=taken),
        process("--key", KEY, "--folder", taken) as (running, _),
    ):
        assert running.wait(30) == 1
        error = running.stderr.read()
    assert error.startswith("error: ")
    assert "held by another emulator" in error
    assert error.count("\n") == 1


ADDED = {"fieldName": "n", "fieldType": "int64", "indexType": "filter"}


def test_folder_outlives_the_process(tmp_path):
    with Emulator(key=KEY, folder=tmp_path) as first, calling(first) as call:
        call.fill(["a", "b", "c"])
        call("/document/delete", {**WHERE, "query": {"documentIds": ["b"]}})
        call("/document/update", {**WHERE, "query": {"documentIds": ["c"]}, "update": {"n": 1}})
        call("/index/add", {**WHERE, "indexes": [ADDED]})
        call("/alias/set", {**WHERE, "alias": "live"})
        call("/alias/set", {**WHERE, "alias": "old"})
        call("/alias/delete", {"database": "db", "alias": "old"})
        call("/database/create", {"database": "gone"})
        call("/database/drop", {"database": "gone"})
        before = call.documents(), call("/collection/describe", WHERE)["collection"]
    assert [document["id"] for document in before[0]] == ["a", "c"]
    with Emulator(key=KEY, folder=tmp_path) as again, calling(again) as call:
        assert (call.documents(), call("/collection/describe", WHERE)["collection"]) == before
        assert before[1]["alias"] == ["live"]
        assert before[1]["indexes"][-1] == ADDED
        assert call("/database/list", {}, "GET")["databases"] == ["db"]
        assert call("/collection/truncate", WHERE)["affectedCount"] == 2
    with Emulator(key=KEY, folder=tmp_path) as last, calling(last) as call:
        assert call.documents() == []
        assert call("/collection/drop", WHERE)["code"] == 0


def test_folder_is_locked_by_one_emulator(tmp_path):
    with Emulator(key=KEY, folder=tmp_path), pytest.raises(StoreLocked, match="held by another"):
        Emulator(key=KEY, folder=tmp_path)
    Emulator(key=KEY, folder=tmp_path).close()


def test_killed_process_keeps_every_acknowledged_write(tmp_path):
    acknowledged: list[str] = []
    enough = threading.Event()
    with process("--key", KEY, "--folder", tmp_path) as (running, urls):

        def write() -> None:
            with calling(urls[0]) as call:
                call.fill([])
                try:
                    for i in range(100_000):
                        call.upsert([f"{i}-{j}" for j in range(20)])
                        acknowledged.append(str(i))
                        if i == 50:
                            enough.set()
                except (OSError, http.client.HTTPException):
                    pass  # it was killed

        writer = threading.Thread(target=write)
        writer.start()
        assert enough.wait(60)
        os.kill(running.pid, signal.SIGKILL)
        writer.join()
    with Emulator(key=KEY, folder=tmp_path) as again, calling(again) as call:
        stored_ids = {document["id"] for document in call.documents()}
    assert {f"{i}-{j}" for i in acknowledged for j in range(20)} <= stored_ids
    assert len(stored_ids) % 20 == 0  # an upsert is complete or absent
    assert len(stored_ids) - 20 * len(acknowledged) in (0, 20)


def test_torn_last_line_is_cut_off(tmp_path):
    with Emulator(key=KEY, folder=tmp_path) as first, calling(first) as call:
        call.fill(["a"])
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"do": "put", "database"' + b"x" * 200_000)
    with Emulator(key=KEY, folder=tmp_path) as again, calling(again) as call:
        assert [document["id"] for document in call.documents()] == ["a"]
    assert journal.read_bytes() == whole


@pytest.mark.parametrize("content", [b"hello\n", b'{"format": "other"}\n'])
def test_foreign_journal_is_not_changed(tmp_path, content):
    (tmp_path / "journal.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match="not a journal of this emulator"):
        Emulator(key=KEY, folder=tmp_path)
    assert (tmp_path / "journal.jsonl").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"database": NaN}',
        b'{"database": 1}',
        b'{"database": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_body_must_be_a_json_object(content):
    with Emulator(key=KEY) as emulator, calling(emulator) as call:
        status, answer = call.raw("/database/create", content)
        assert (status, json.loads(answer)["code"]) == (200, 15000)
        assert call("/database/list", {}, "GET")["databases"] == []  # the connection still works


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/nowhere", 404), ("GET", "/collection/list", 405), ("POST", "/database/list", 405)],
)
def test_unknown_paths_and_methods_have_their_status(method, path, status):
    with Emulator(key=KEY) as emulator, calling(emulator) as call:
        assert call.raw(path, b"{}", method)[0] == status


def test_bodies_need_a_length_below_the_limit():
    with Emulator(key=KEY, max_body=1000) as emulator, calling(emulator) as call:
        assert call.raw("/database/create", b" " * 1001)[0] == 413
        assert call.raw("/database/create", b"{}", **{"Content-Length": "-1"})[0] == 411
        assert call.raw("/database/create", b'{"database": "db"}')[0] == 200


def test_values_that_json_cannot_hold_are_rejected():
    with Emulator(key=KEY) as emulator, calling(emulator) as call:
        call.fill(["a"])
        for document in (
            {"id": "\ud800", "vector": [1, 2]},
            {"id": "b", "vector": [1, 2], "name": "\udfff"},
            {"id": "b", "vector": [1e39, 2]},
            {"id": "b", "vector": [True, None]},
            {"id": "b", "vector": [[1, 2]]},
            {"id": "b", "vector": "ab"},
            {"id": "b", "vector": [1, 2], "\ud800": 1},
            {"id": "b", "vector": [1, 2], "deep": {"a": ["\ud800"]}},
        ):
            answer = call("/document/upsert", {**WHERE, "documents": [document]})
            assert answer["code"] == 14100, document
        infinite = json.dumps({**WHERE, "documents": [{"id": "b", "vector": [1, 2], "n": 777}]})
        _, content = call.raw("/document/upsert", infinite.replace("777", "1e999").encode())
        assert json.loads(content)["code"] == 14100
        assert len(call.documents()) == 1


def test_failed_journal_write_changes_nothing(tmp_path, monkeypatch):
    with Emulator(key=KEY, folder=tmp_path) as emulator, calling(emulator) as call:
        call.fill(["a"])
        size = (tmp_path / "journal.jsonl").stat().st_size
        emulator._store._journal._file.close()
        emulator._store._journal._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115
        body = {**WHERE, "documents": [{"id": "b", "vector": [1, 2]}]}
        status, _ = call.raw("/document/upsert", json.dumps(body).encode())
        assert status == 500
        assert [document["id"] for document in call.documents()] == ["a"]
    assert (tmp_path / "journal.jsonl").stat().st_size == size


def python(code: str) -> str:
    """Run Python code, which must exit with 0, and return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_http_works_without_the_sdk_and_grpc():
    code = (
        "import sys; from imgsearch.testing.tencent import Emulator; Emulator(key='k').close(); "
        "print(sorted({'tcvectordb', 'grpc', 'requests'} & sys.modules.keys()))"
    )
    assert python(code) == "[]"


def test_grpc_without_the_sdk_names_the_missing_package():
    code = (
        "import sys; sys.modules['tcvectordb'] = None\n"
        "from imgsearch.errors import MissingExtra\n"
        "from imgsearch.testing.tencent import Emulator\n"
        "try: Emulator(key='k', rpc_port=0)\n"
        "except MissingExtra as error: print(error)"
    )
    assert "pip install '.[tencent]'" in python(code)
