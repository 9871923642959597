"""The format of a job folder, and its reader.

::

    job.json                 format, recipe, schema, versions; see `JobDescription`
    plan/000123.parquet      the sources of a shard
    planned.json             number of shards and sources, written when all sources are known
    tried/000123.N           attempt N of a shard began; content: the images that it had finished
    vectors/000123.parquet   exactly the columns of a store: id, vector, path, label, fields
    failed/000123.parquet    source, sha256, status, error
    done/000123.json         written last: rows, failed, sha256, seconds, attempts
    weights/SHA256/NAME      the model's files, by content

A shard without a file in ``done`` is not read. An id may be in several shards; of its rows, the
first by shard and row counts.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from imgsearch.backends.columns import ARROW_TYPES
from imgsearch.backends.schema import Schema
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.place import ABOUT
from imgsearch.errors import BackendError, CollectionNotFound, SchemaMismatch
from imgsearch.fields import OWN
from imgsearch.text import load_json
from imgsearch.types import Failure

FORMAT: Final = 1
PLANNED: Final = "planned.json"
BATCH: Final = 2_000  # rows read at once: 16 MB of vectors with 2,048 dimensions
_NUMBER: Final = re.compile(r"(\d{6,})\.(?:json|parquet)")
FAILED: Final = pa.schema([(name, pa.string()) for name in ("source", "sha256", "status", "error")])
"""The columns of ``failed``: a source that cannot be used, and why; see `Failure`."""


def columns(schema: Schema) -> pa.Schema:
    """Return the columns of ``vectors``: id, vector (a list of float32) and the fields."""
    others = [name for name in schema.fields if name not in OWN]
    names = [*(name for name in OWN if name in schema.fields), *others]
    fields = [(name, ARROW_TYPES[schema.fields[name]]) for name in names]
    return pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32())), *fields])


@dataclass(frozen=True, slots=True)
class JobDescription:
    """The content of ``job.json``.

    `schema` is the schema of a collection of the vectors, with the encoder's fingerprint. `recipe`
    are the arguments of `imgsearch.encoders.load`, with the runtime and precision that the planner
    found; a file in them is relative to the folder. `reading` are options that workers need to read
    sources, `sources` the sources that were given, for a planner that goes on. `versions` has
    packages that compute vectors.
    """

    schema: Schema
    recipe: Mapping[str, Any]
    shard: int
    reading: Mapping[str, Any] = field(default_factory=dict)
    sources: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of ``job.json``."""
        about = {
            "format": FORMAT,
            "schema": json.loads(self.schema.to_json()),
            "recipe": dict(self.recipe),
            "shard": self.shard,
            "reading": dict(self.reading),
            "sources": list(self.sources),
            "versions": dict(self.versions),
        }
        return json.dumps(about, ensure_ascii=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the text of ``job.json``.

        Raises:
            SchemaMismatch: another program or a newer imgsearch wrote it.
        """
        try:
            about = load_json(text)
            number = about["format"]
            if number != FORMAT:
                raise SchemaMismatch(
                    f"the job has the format {number!r}, and this imgsearch reads {FORMAT}. "
                    "Upgrade imgsearch."
                )
            return cls(
                Schema.from_json(json.dumps(about["schema"])),
                dict(about["recipe"]),
                int(about["shard"]),
                dict(about["reading"]),
                tuple(map(str, about["sources"])),
                dict(about["versions"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, SchemaMismatch):
                raise
            raise SchemaMismatch(f"job.json was not written by imgsearch: {text[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """The content of ``done/N.json``: the outcome of a shard.

    `rows` have a vector, `failed` sources have none, and `skipped` ones repeat a content of the
    shard; `sources` is the number in the plan. `sha256` is of the file of vectors. `started` and
    `seconds` are times of the last attempt, and `attempts` their number.
    """

    rows: int
    failed: int
    sha256: str
    seconds: float
    attempts: int
    started: float = 0.0
    sources: int = 0
    skipped: int = 0

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Progress of a job. A `planned` job has found all its sources.

    `sources` are those found so far, `images` the rows with a vector, and `failed` the sources
    without one. `abandoned` shards were given up; see `JobFolder.is_given_up`. `images_per_second`
    is measured over the times in which shards ran. `seconds_left` is None if it is unknown.
    """

    shards: int
    done: int
    planned: bool
    sources: int
    images: int
    failed: int
    images_per_second: float
    seconds_left: float | None
    abandoned: tuple[int, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether all shards are done."""
        return self.planned and self.done == self.shards


TRIES: Final = 3
"""Attempts in a row that die at the same place, after which a shard is given up."""


class JobFolder:
    """A job folder, to read it. Files that are written later are seen. Thread-safe."""

    def __init__(self, files: JobFiles, description: JobDescription) -> None:
        self.files, self.description = files, description
        self.schema = description.schema

    @classmethod
    def open(cls, url: str | PathLike[str], *, token: str | None = None) -> Self:
        """Open the job folder at a path, ``vectors:JOB`` or ``s3://bucket/prefix``.

        Raises:
            ConfigError: the URL is invalid.
            CollectionNotFound: there is no job.
            SchemaMismatch: a newer imgsearch wrote it.
            BackendError: the folder cannot be read.
        """
        files = JobFiles(url, token=token)
        if not files.exists(ABOUT):
            raise CollectionNotFound(
                f"no job in {files.title}: it has no {ABOUT}. `imgsearch embed SOURCE --to` "
                "creates one."
            )
        about = files.read(ABOUT).decode("utf-8", errors="replace")
        return cls(files, JobDescription.from_json(about))

    @property
    def url(self) -> str:
        """The URL, as `imgsearch.backends.connect` takes it."""
        return self.files.url

    def __repr__(self) -> str:
        return f"<JobFolder {self.files.title}>"

    def planned(self) -> list[int]:
        """Return the numbers of the shards in the plan so far."""
        return self._numbers("plan")

    def shards(self) -> list[int]:
        """Return the numbers of the shards that are done."""
        return self._numbers("done")

    def is_done(self, shard: int) -> bool:
        """Return whether a shard is done."""
        return self.files.exists(f"done/{shard:06}.json")

    def outcome(self, shard: int) -> ShardOutcome:
        """Return the outcome of a shard that is done.

        Raises:
            BackendError: it is not done, or its file is damaged.
        """
        name = f"done/{shard:06}.json"
        try:
            return ShardOutcome(**load_json(self.files.read(name).decode()))
        except (ValueError, TypeError) as error:
            raise BackendError(
                f"{self.files.title}: {name} is damaged. Delete it to run the shard again."
            ) from error

    def vectors(
        self,
        names: Sequence[str] | None = None,
        *,
        shards: Sequence[int] | None = None,
        batch: int = BATCH,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of shards that are done, by shard and row, at most `batch` at once.

        `names` are the columns, all by default. An id may occur in several shards.

        Raises:
            BackendError: a file cannot be read.
        """
        for shard in self.shards() if shards is None else shards:
            yield from self._rows(f"vectors/{shard:06}.parquet", names, batch)

    def count(self, shard: int) -> int:
        """Return the number of rows of a shard, from the end of its file."""
        with self.files.reading(f"vectors/{shard:06}.parquet") as file:
            return int(pq.ParquetFile(file).metadata.num_rows)

    def sources(self, shard: int) -> pa.Table:
        """Return the sources of a shard in the plan."""
        with self.files.reading(f"plan/{shard:06}.parquet") as file:
            # `read_table` imports pandas, and each thread would keep some of Arrow's memory
            return pq.ParquetFile(file).read(use_threads=False)

    def failures(self, shards: Sequence[int] | None = None) -> Iterator[Failure]:
        """Yield the sources that cannot be used, of shards that are done; all by default."""
        for shard in self.shards() if shards is None else shards:
            for batch in self._rows(f"failed/{shard:06}.parquet", None, BATCH):
                for row in batch.to_pylist():
                    name, _, reason = row["error"].partition(": ")
                    yield Failure(row["source"], row["status"], name, reason)

    def tries(self) -> dict[int, int]:
        """Return the number of attempts of each shard that began and is not done."""
        done = set(self.shards())
        counts: dict[int, int] = {}
        for name in self.files.names("tried"):
            number, _, _ = name.partition(".")
            if number.isdecimal() and int(number) not in done:
                counts[int(number)] = counts.get(int(number), 0) + 1
        return counts

    def tries_of(self, shard: int) -> int:
        """Return the number of attempts of a shard that began."""
        return len(self._marks(shard))

    def abandoned(self) -> tuple[int, ...]:
        """Return the numbers of the shards that were given up; see `is_given_up`."""
        often = sorted(shard for shard, tries in self.tries().items() if tries >= TRIES)
        return tuple(shard for shard in often if self.is_given_up(shard))

    def is_given_up(self, shard: int) -> bool:
        """Return whether the last `TRIES` attempts of a shard died at the same place.

        An attempt that came further than the one before does not count: something else ended it.
        """
        marks = self._marks(shard)[-TRIES:]
        return len(marks) == TRIES and len({self._place(mark) for mark in marks}) == 1

    def _marks(self, shard: int) -> list[str]:
        """Return the files of a shard's attempts, the first one first."""
        marks = [name for name in self.files.names("tried") if name.startswith(f"{shard:06}.")]
        return [f"tried/{name}" for name in sorted(marks, key=lambda name: (len(name), name))]

    def _place(self, mark: str) -> bytes:
        """Return the content of an attempt's file; nothing if another process removed it."""
        return self.files.read(mark) if self.files.exists(mark) else b""

    def progress(self) -> JobProgress:
        """Return the progress of the job."""
        outcomes = [self.outcome(shard) for shard in self.shards()]
        total = self._total()
        finished = sum(outcome.sources for outcome in outcomes)
        busy = _busy_seconds(outcomes)
        rate = finished / busy if busy else 0.0
        shards = total["shards"] if total else len(self.planned())
        sources = total["sources"] if total else max(finished, shards * self.description.shard)
        left = (sources - finished) / rate if total and rate else None
        return JobProgress(
            shards,
            len(outcomes),
            total is not None,
            sources,
            sum(outcome.rows for outcome in outcomes),
            sum(outcome.failed for outcome in outcomes),
            rate,
            0.0 if total and finished >= sources else left,
            self.abandoned(),
        )

    def _total(self) -> dict[str, int] | None:
        """Return the number of shards and sources, or None while the planner works."""
        if not self.files.exists(PLANNED):
            return None
        try:
            total = load_json(self.files.read(PLANNED).decode())
            return {name: int(total[name]) for name in ("shards", "sources")}
        except (ValueError, TypeError, KeyError) as error:
            raise BackendError(f"{self.files.title}: {PLANNED} is damaged.") from error

    def _numbers(self, folder: str) -> list[int]:
        matches = map(_NUMBER.fullmatch, self.files.names(folder))
        return sorted(int(match[1]) for match in matches if match)

    def _rows(self, name: str, names: Sequence[str] | None, batch: int) -> Iterator[pa.RecordBatch]:
        with self.files.reading(name) as file:
            source = pq.ParquetFile(file)
            columns = None if names is None else list(names)
            yield from source.iter_batches(batch, columns=columns, use_threads=False)


def _busy_seconds(outcomes: Sequence[ShardOutcome]) -> float:
    """Return the length of the times in which at least one shard ran."""
    busy, until = 0.0, 0.0
    for outcome in sorted(outcomes, key=lambda outcome: outcome.started):
        start, end = outcome.started, outcome.started + outcome.seconds
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy
