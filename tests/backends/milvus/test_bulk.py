"""Imports by Milvus: a real server over gRPC, and the requests of newer ones over REST."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import imgsearch
from imgsearch.backends import Schema, versions
from imgsearch.backends.bulk import ImportTask
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.bulk import GrpcImporter, RestImporter, importer
from imgsearch.backends.milvus.full_text import WORDS
from imgsearch.backends.vectors.folder import JobDescription
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.errors import BackendError
from imgsearch.types import Fingerprint, Record
from tests.conftest import ENVIRONMENT

DIM, SHARDS = 64, 2
SCHEMA = Schema(DIM, fields={"path": "str"}, encoder=Fingerprint("toy", DIM))


def job_of(folder: Path, rows: int) -> JobWriter:
    """Write a job whose vectors are around 100 centers."""
    job = JobWriter.create(str(folder), JobDescription(SCHEMA, {}, rows // SHARDS))
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((100, DIM))
    for shard in range(SHARDS):
        near = centers[rng.integers(100, size=rows // SHARDS)]
        vectors = (near + 0.4 * rng.standard_normal(near.shape)).astype(np.float32)
        records = [
            Record(f"{shard}-{row}", vector, {"path": f"猫/{shard}/{row}.jpg"})
            for row, vector in enumerate(vectors)
        ]
        job.plan(shard, pa.table({"source": pa.array([], pa.string())}))
        job.write(shard, records)
    job.finish_plan(SHARDS, rows)
    return job


@pytest.fixture
def store(store: Backend) -> Iterator[Backend]:
    if ENVIRONMENT.get("IMGSEARCH_TEST_MILVUS"):
        pytest.skip("a server elsewhere does not read this machine's files")
    yield store
    versions.drop(store, "photos")


@pytest.mark.long  # a server imports 20,000 rows
def test_job_is_imported_once_and_the_readers_change_over(store: Backend, tmp_path: Path) -> None:
    job = job_of(tmp_path / "job", 20_000)
    store.create("photos", SCHEMA).upsert([Record("old", np.ones(DIM, np.float32))])
    seen: list[str] = []

    def look(_done: int, _total: int) -> None:
        seen.append(versions.open_named(store, "photos").name)

    done = imgsearch.copy(job.url, store, alias="photos", bulk=True, on_progress=look)
    assert (done.copied, done.skipped, done.compared) == (20_000, 0, 1_000)
    assert done.recall is not None
    assert done.recall >= 0.99
    assert set(seen) == {"photos"}
    current = versions.open_named(store, "photos")
    assert (current.name, current.count()) == ("photos_v2", 20_000)
    assert store.open("photos").count() == 1
    assert imgsearch.copy(job.url, store, alias="photos", bulk=True).skipped == 20_000
    assert versions.open_named(store, "photos").count() == 20_000


def test_unknown_tasks_and_refused_files_are_reported(store: Backend, tmp_path: Path) -> None:
    photos = store.create("photos", SCHEMA)
    importing = store.importer(photos)
    assert isinstance(importing, GrpcImporter)
    assert importing.task("123") is None
    assert importing.tasks() == []
    task = importing.start([str(tmp_path / "none.parquet")])
    while (state := importing.task(task)) is not None and state.state == "running":
        threading.Event().wait(0.05)
    assert state is not None
    assert state.state == "failed"
    assert "no such file" in state.reason
    assert importing.tasks() == [state]


# recorded: the requests of pymilvus 3.0.2, and responses in the form of Milvus' documentation
# Source: https://milvus.io/api-reference/restful/v2.5.x, "Import"
RESPONSES: dict[str, Any] = {
    "create": {"code": 0, "data": {"jobId": "448707763884413158"}},
    "describe": {
        "code": 0,
        "data": {
            "jobId": "448707763884413158",
            "collectionName": "photos",
            "state": "Completed",
            "progress": 100,
            "importedRows": 10,
            "totalRows": 10,
            "details": [
                {"fileName": "[b/1.parquet]", "state": "Completed", "progress": 100},
                {"fileName": "[b/2.parquet]", "state": "Completed", "progress": 100},
            ],
        },
    },
    "list": {"code": 0, "data": {"records": [{"jobId": "448707763884413158"}]}},
}


@pytest.fixture
def rest() -> Iterator[tuple[str, list[tuple[str, Any, dict[str, str]]]]]:
    """Yield the URL of a server with the recorded responses, and the list of its requests."""
    requests: list[tuple[str, Any, dict[str, str]]] = []

    class Recorded(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, body, dict(self.headers)))
            name = self.path.rpartition("/")[2]
            known = body.get("jobId", "448707763884413158") == "448707763884413158"
            response = RESPONSES[name] if known else {"code": 1100, "message": "job not found"}
            text = json.dumps(response).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Recorded) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"milvus://127.0.0.1:{server.server_port}/default", requests
        server.shutdown()
        thread.join()


def test_newer_servers_get_the_recorded_requests(
    rest: tuple[str, list[tuple[str, Any, dict[str, str]]]],
) -> None:
    url, requests = rest
    importing = RestImporter(url, "pictures", "photos", "root:Milvus", has_words=False)
    task = importing.start(["b/1.parquet", "b/2.parquet"])
    expected = ImportTask(task, "done", ("b/1.parquet", "b/2.parquet"))
    assert importing.task(task) == expected
    assert importing.tasks() == [expected]
    assert importing.task("7") is None
    paths = [path for path, _, _ in requests]
    assert paths[:3] == [
        f"/v2/vectordb/jobs/import/{name}" for name in ("create", "describe", "list")
    ]
    body, headers = requests[0][1:]
    assert {name: value for name, value in body.items() if value} == {
        "collectionName": "photos",
        "dbName": "pictures",
        "files": [["b/1.parquet"], ["b/2.parquet"]],
    }
    assert headers["Authorization"] == "Bearer root:Milvus"
    assert headers["DB-Name"] == "pictures"


def test_error_over_rest_names_the_server_and_no_token() -> None:
    importing = RestImporter(
        "milvus://127.0.0.1:1/default", "default", "photos", "root:secret", has_words=False
    )
    with pytest.raises(BackendError, match="127.0.0.1:1 cannot import") as caught:
        importing.start(["a.parquet"])
    assert "secret" not in str(caught.value)


def test_words_of_newer_servers_are_a_column() -> None:
    importing = RestImporter("milvus://h:1/default", "default", "photos", None, has_words=True)
    batch = pa.RecordBatch.from_pylist([{"id": "1", "vector": [1.0], "path": "Katze am See.jpg"}])
    (words,) = importing.columns(batch)[WORDS]
    assert "katze" in words.split()


@pytest.mark.parametrize(
    ("version", "kind"),
    [("v2.3.5-lite", GrpcImporter), ("2.4.0", RestImporter), ("v2.6.1", RestImporter)],
)
def test_version_decides_the_protocol(version: str, kind: type) -> None:
    class Connected:
        url, database = "milvus://h:1/default", "default"

    connection: Any = Connected()
    assert isinstance(importer(connection, "photos", None, version, has_words=False), kind)
