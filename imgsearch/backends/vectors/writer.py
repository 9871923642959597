"""Writes the files of a job folder. Equal rows give equal bytes."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from imgsearch import arrow
from imgsearch.backends.checks import check_records
from imgsearch.backends.schema import Schema
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.folder import (
    BATCH,
    FAILED,
    PLANNED,
    JobDescription,
    JobFolder,
    ShardOutcome,
    columns,
)
from imgsearch.backends.vectors.place import ABOUT
from imgsearch.errors import BackendError
from imgsearch.types import Record

_KEY: Final = b"imgsearch"  # the schema in the metadata of a file of vectors


@dataclass(frozen=True, slots=True)
class FailedSource:
    """A source that cannot be used: the sha256 of its bytes, None if they cannot be read.

    `status` is the stage that failed, and `error` is ``ErrorName: message``.
    """

    source: str
    sha256: str | None
    status: str
    error: str


class JobWriter(JobFolder):
    """A job folder, to write it. A shard may be written by several processes: each writes it whole.

    >>> import tempfile, numpy as np
    >>> from imgsearch.backends import Schema
    >>> about = JobDescription(Schema(2, fields={"path": "str"}), {"model": "lite"}, shard=10)
    >>> job = JobWriter.create(tempfile.mkdtemp(), about)
    >>> vector = np.array([0.6, 0.8], np.float32)
    >>> job.write(0, [Record("a", vector, {"path": "a.jpg"})]).rows
    1
    """

    @classmethod
    def create(
        cls, url: str | PathLike[str], description: JobDescription, *, token: str | None = None
    ) -> Self:
        """Create a job folder. Its parents are created, too.

        Raises:
            ConfigError: the URL is invalid.
            BackendError: there is a job already, or the folder cannot be written.
        """
        files = JobFiles(url, token=token)
        if files.exists(ABOUT):
            raise BackendError(
                f"{files.title} holds a job already. Go on with it: imgsearch embed --to "
                f"{files.title}. Or choose another folder."
            )
        files.write(ABOUT, description.to_json().encode())
        return cls(files, description)

    def plan(self, shard: int, sources: pa.Table) -> None:
        """Write the sources of a shard."""
        with self.files.draft() as draft:
            pq.write_table(sources, draft, compression="zstd")
            self.files.put(f"plan/{shard:06}.parquet", draft)
        pa.default_memory_pool().release_unused()  # 5 MB, which it would keep

    def finish_plan(self, shards: int, sources: int) -> None:
        """Record that all sources were found."""
        self.files.write(PLANNED, json.dumps({"shards": shards, "sources": sources}).encode())

    def begin(self, shard: int) -> int:
        """Record that an attempt of a shard begins; return its number, from 1.

        If neither the shard's end nor `forget` follows, the attempt's process died.
        """
        attempt = self.tries_of(shard) + 1
        self.reach(shard, attempt, 0)
        return attempt

    def reach(self, shard: int, attempt: int, images: int) -> None:
        """Record that an attempt has finished this number of images."""
        self.files.write(f"tried/{shard:06}.{attempt}", str(images).encode())

    def forget(self, shard: int, attempt: int) -> None:
        """Remove the record of an attempt, whose process lives."""
        self.files.delete(f"tried/{shard:06}.{attempt}")

    def retry(self) -> tuple[int, ...]:
        """Let shards that were given up run again; return their numbers.

        Each keeps the record of its first attempt, so its images run in a child process.
        """
        shards = self.abandoned()
        for shard in shards:
            for mark in self._marks(shard)[1:]:
                self.files.delete(mark)
        return shards

    def write(
        self,
        shard: int,
        records: Iterable[Record],
        failed: Sequence[FailedSource] = (),
        outcome: ShardOutcome = ShardOutcome(0, 0, "", 0.0, 1),  # noqa: B008 - frozen
    ) -> ShardOutcome:
        """Write the vectors and failures of a shard, then its outcome; return the outcome.

        The rows, failures and sha256 of `outcome` are replaced.

        Raises:
            DimensionMismatch, VectorInvalid, FieldInvalid: a record is invalid; see
                `Collection.upsert`. The shard is not done.
            BackendError: the folder cannot be written.
        """
        with self.files.draft() as draft:
            rows = write_rows(draft, self.schema, records)
            digest = _sha256(draft)
            self.files.put(f"vectors/{shard:06}.parquet", draft)
        with self.files.draft() as draft:
            cells = arrow.batch([_plain(row) for row in failed], FAILED)
            pq.write_table(pa.Table.from_batches([cells]), draft, compression="zstd")
            self.files.put(f"failed/{shard:06}.parquet", draft)
        outcome = replace(outcome, rows=rows, failed=len(failed), sha256=digest)
        self.files.write(f"done/{shard:06}.json", outcome.to_json().encode())
        pa.default_memory_pool().release_unused()  # 25 MB, which it would keep
        return outcome


def write_rows(file: Path, schema: Schema, records: Iterable[Record]) -> int:
    """Write records as the columns of a store; return their number. Row groups have equal sizes.

    Raises:
        DimensionMismatch, VectorInvalid, FieldInvalid: a record is invalid.
    """
    described = columns(schema).with_metadata({_KEY: schema.to_json().encode()})
    count, remaining = 0, iter(records)
    # a dictionary of ids or numbers, which do not repeat, would add a fifth to the file
    repeated = described.names[2:]
    with pq.ParquetWriter(file, described, compression="zstd", use_dictionary=repeated) as writer:
        while part := list(islice(remaining, BATCH)):
            writer.write_batch(batch_of(check_records(schema, part), described))
            count += len(part)
    return count


def batch_of(records: Sequence[Record], described: pa.Schema) -> pa.RecordBatch:
    """Return checked records as an Arrow batch."""
    rows = [{**record.fields, "id": record.id, "vector": record.vector} for record in records]
    return arrow.batch(rows, described)


def _plain(row: FailedSource) -> dict[str, Any]:
    """Return the cells of a failure. Bytes of file names that are not UTF-8 are escaped."""
    cells = {name: getattr(row, name) for name in FAILED.names}
    return {
        name: cell if cell is None else cell.encode("utf-8", "backslashreplace").decode()
        for name, cell in cells.items()
    }


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
