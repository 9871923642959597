"""Imports of files by a Milvus server: over gRPC until 2.4, over REST v2 from then on.

Milvus 2.3.5 answers 404 to REST v2. Newer servers were not run here: their requests are compared
with recorded ones.

The server reads files by itself: from its bucket by their keys, or, with local storage, from its
disk by absolute paths.
"""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pyarrow as pa
import pymilvus
from pymilvus import MilvusException
from pymilvus.client.prepare import Prepare
from typing_extensions import override

from imgsearch.backends.bulk import BulkImporter, ImportTask
from imgsearch.backends.milvus.connection import Connection
from imgsearch.backends.milvus.full_text import WORDS, words_column
from imgsearch.errors import BackendError

REST: Final = (2, 4)  # the first version with jobs/import in REST v2
_SECONDS: Final = 20.0  # for a request over REST
_UNKNOWN: Final = re.compile(r"not found|can't find|not exist|no such", re.IGNORECASE)
_STATES: Final[Mapping[str, Literal["running", "done", "failed"]]] = {
    "Completed": "done",
    "Failed": "failed",
    "Failed and cleaned": "failed",
}


class GrpcImporter(BulkImporter):
    """Imports a file in a task, over gRPC."""

    def __init__(self, connection: Connection, collection: str) -> None:
        self._connection, self._collection = connection, collection

    @override
    def start(self, files: Sequence[str]) -> str:
        # pymilvus 3.0.2 repeats a request whose answer was lost, so its stub is called directly
        request = Prepare.do_bulk_insert(self._collection, "", list(files))
        with self._connection.calling() as client:
            response = client._get_connection()._stub.Import(
                request, timeout=self._connection.timeout, metadata=self._metadata
            )
            status = response.status
            if status.error_code or status.code:
                raise MilvusException(status.code or status.error_code, status.reason)
        return str(response.tasks[0])

    @override
    def task(self, id_: str) -> ImportTask | None:
        try:
            with self._connection.calling() as client:
                handler = client._get_connection()
                return _task(
                    handler.get_bulk_insert_state(int(id_), timeout=self._connection.timeout)
                )
        except BackendError as error:
            if _UNKNOWN.search(str(error)):
                return None
            raise

    @override
    def tasks(self) -> list[ImportTask]:
        with self._connection.calling() as client:
            handler = client._get_connection()
            states = handler.list_bulk_insert_tasks(
                0, self._collection, timeout=self._connection.timeout
            )
        return [_task(state) for state in states]

    @property
    def _metadata(self) -> list[tuple[str, str]]:
        return [("dbname", self._connection.database)]


class RestImporter(BulkImporter):
    """Imports up to 64 files in a task, over REST v2. The rows of a task appear together.

    With `has_words` the collection has the columns of `full_text`.
    """

    files_per_task = 64  # of at most 1,024
    tasks_at_once = 16

    def __init__(
        self, url: str, database: str, collection: str, token: str | None, *, has_words: bool
    ) -> None:
        parts = urlsplit(url)
        self._url = f"{'https' if parts.scheme == 'milvus+https' else 'http'}://{parts.netloc}"
        self._collection, self._has_words = collection, has_words
        self._database, self._token = database, token or ""
        self._calls = _rest_calls()

    @override
    def columns(self, batch: pa.RecordBatch) -> dict[str, list[str]]:
        if not self._has_words:
            return {}
        names = [name for name in batch.schema.names if name not in ("id", "vector")]
        return {WORDS: [words_column(fields) for fields in batch.select(names).to_pylist()]}

    @override
    def start(self, files: Sequence[str]) -> str:
        data = self._call(
            "bulk_import", collection_name=self._collection, files=[[file] for file in files]
        )
        return str(data["jobId"])

    @override
    def task(self, id_: str) -> ImportTask | None:
        try:
            data = self._call("get_import_progress", job_id=id_)
        except BackendError as error:
            if _UNKNOWN.search(str(error)):
                return None
            raise
        state = _STATES.get(str(data.get("state")), "running")
        files = tuple(_names(data.get("details") or ()))
        return ImportTask(id_, state, files, str(data.get("reason") or ""))

    @override
    def tasks(self) -> list[ImportTask]:
        listed = self._call("list_import_jobs", collection_name=self._collection, page_size=1_000)
        tasks = [self.task(str(record["jobId"])) for record in listed.get("records") or ()]
        return [task for task in tasks if task is not None]

    def _call(self, function: str, **options: Any) -> Mapping[str, Any]:
        """Call one of pymilvus' functions; return the data of the response.

        Raises:
            BackendError: the server does not respond, or refuses the request.
        """
        try:
            response = getattr(self._calls, function)(
                self._url,
                db_name=self._database,
                api_key=self._token,
                timeout=_SECONDS,
                **options,
            )
            data: Mapping[str, Any] = response.json()["data"]
        except (MilvusException, KeyError, ValueError) as error:
            text = str(getattr(error, "message", error))[:300]
            raise BackendError(f"{self._url} cannot import: {text}") from error
        return data


def importer(
    connection: Connection, collection: str, token: str | None, version: str, *, has_words: bool
) -> BulkImporter:
    """Return the importer for a server of this version."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match and (int(match[1]), int(match[2])) >= REST:
        url, database = connection.url, connection.database
        return RestImporter(url, database, collection, token, has_words=has_words)
    return GrpcImporter(connection, collection)


def _task(state: Any) -> ImportTask:
    """Convert pymilvus' state of a task."""
    files = tuple(filter(None, str(state.infos.get("files", "")).split(",")))
    reason = str(state.infos.get("failed_reason", ""))[:300]
    return ImportTask(str(state.task_id), _STATES.get(state.state_name, "running"), files, reason)


def _names(details: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the files of a job, which Milvus writes as ``[a.parquet]``."""
    names = (str(detail.get("fileName", "")).strip("[]") for detail in details)
    return [part.strip() for name in names for part in name.split(",") if part.strip()]


def _rest_calls() -> ModuleType:
    """Load pymilvus' functions for REST v2.

    The file is loaded by itself, because its package refuses to be imported without the clients of
    two cloud stores, which these functions do not use (pymilvus 3.0.2).
    """
    file = Path(pymilvus.__file__).parent / "bulk_writer" / "bulk_import.py"
    spec = importlib.util.spec_from_file_location("pymilvus.bulk_writer.bulk_import", file)
    if spec is None or spec.loader is None:
        raise BackendError(f"{file} cannot be loaded. Install pymilvus again.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
