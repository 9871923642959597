"""The tables that queries use. `migrations` creates them; a test checks that both agree."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql, sqlite
from typing_extensions import override

LONG: Final = Text().with_variant(mysql.LONGTEXT(), "mysql")  # MySQL's TEXT holds 64 KB
CHUNK: Final = 500  # values in an IN clause, below the limits of both databases
TIME: Final = DateTime().with_variant(
    mysql.DATETIME(fsp=6), "mysql"
)  # otherwise MySQL stores whole seconds
SERIAL: Final = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER auto-increments


class Utc(TypeDecorator[datetime]):
    """Aware times, stored in UTC without a zone because neither database has a zoned type."""

    impl = TIME
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """JSON values, stored as text because MySQL's JSON type rounds large numbers."""

    impl = LONG
    cache_ok = True

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        plain = dict(value) if isinstance(value, Mapping) else value
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


METADATA: Final = MetaData()

CONTENTS: Final = Table(  # one row for each content; see `locks`
    "contents",
    METADATA,
    Column("content", String(64), primary_key=True),
)

ENTRIES: Final = Table(
    "entries",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("collection", String(64), nullable=False),
    Column("content", String(64), ForeignKey("contents.content"), nullable=False),
    Column("source", String(16), nullable=False),
    Column("name", String(512), nullable=False),
    Column("folded", LONG, nullable=False),  # the case-folded name, the same in all databases
    Column("place", LONG, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("width", BigInteger, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("format", String(32), nullable=False),
    Column("label", String(512), nullable=False),
    Column("fields", Json, nullable=False),
    Column("encoder", String(512), nullable=False),
    Column("stored", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", LONG, nullable=False),
    Column("created", Utc, nullable=False),
    Column("updated", Utc, nullable=False),
    Column("video", String(64), nullable=False, server_default=""),
    Column("original", String(64), nullable=False, server_default=""),
    Column("seconds", Double(), nullable=False, server_default="0"),
    Index("entries_video", "video", "collection", "id"),
    Index("entries_original", "original", "state"),
    Index("entries_content", "content", "collection", "created", "id"),
    Index("entries_state", "state", "updated", "id"),
    Index("entries_created", "created", "id"),
    Index("entries_collection_created", "collection", "created", "id"),
    Index("entries_collection_name", "collection", "name", "id"),
    Index("entries_collection_size", "collection", "size", "id"),
    Index("entries_collection_label", "collection", "label", "id"),
    Index("entries_collection_label_created", "collection", "label", "created", "id"),
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("collection", String(64), nullable=False),
    Column("request", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("found", BigInteger, nullable=False),
    Column("decoded", BigInteger, nullable=False),
    Column("embedded", BigInteger, nullable=False),
    Column("inserted", BigInteger, nullable=False),
    Column("searchable", BigInteger, nullable=False),
    Column("indexed", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False, server_default="0"),
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Column("renamed", BigInteger, nullable=False, server_default="0"),
    Column("deleted", BigInteger, nullable=False, server_default="0"),
    Column("videos", BigInteger, nullable=False, server_default="0"),
    Column("result", Json),  # null for jobs from before the column
    Column("error", LONG, nullable=False),
    Column("created", Utc, nullable=False),
    Column("started", Utc),
    Column("finished", Utc),
    Index("jobs_created", "created", "id"),
    Index("jobs_state", "state", "created", "id"),
)

JOB_FAILURES: Final = Table(
    "job_failures",
    METADATA,
    Column("serial", SERIAL, primary_key=True),
    Column("job", String(64), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("item", LONG, key="path", nullable=False),  # named before a failure had a `path`
    Column("stage", String(32), nullable=False),
    Column("error", String(64), nullable=False),
    Column("reason", LONG, nullable=False),
    Index("job_failures_job", "job", "serial"),
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("digest", String(255), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("name", String(512), nullable=False),
    Column("created", Utc, nullable=False),
    Column("last_used", Utc),
    Column("expires", Utc),
    Column("collections", Json),  # null for a key without this limit
)


def upsert(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or replace the row with the same `id`."""
    rest = {name: value for name, value in row.items() if name != "id"}
    if connection.dialect.name == "sqlite":
        new = sqlite.insert(table).values(**row)
        connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=rest))
    else:
        connection.execute(mysql.insert(table).values(**row).on_duplicate_key_update(**rest))


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of at most `CHUNK` distinct values, in their order."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), CHUNK):
        yield distinct[start : start + CHUNK]
