"""Reads and writes jobs in an open transaction."""

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from imgsearch.catalog.cursor import decode, encode
from imgsearch.catalog.entry import plain, possible_id
from imgsearch.catalog.job import OVER, Job, JobFailurePage, JobPage
from imgsearch.catalog.tables import CHUNK, JOB_FAILURES, JOBS, upsert
from imgsearch.errors import JobNotFound
from imgsearch.types import Failure

_NAMES: Final = tuple(field.name for field in fields(Job))
_FAILURE_NAMES: Final = tuple(field.name for field in fields(Failure))


def save(connection: Connection, job: Job) -> None:
    """See `Catalog.save_job`."""
    clean = replace(job, error=plain(job.error))
    upsert(connection, JOBS, {name: getattr(clean, name) for name in _NAMES})


def one(connection: Connection, id_: str) -> Job:
    """See `Catalog.job`."""
    statement = sa.select(JOBS).where(JOBS.c.id == id_)
    row = connection.execute(statement).mappings().one_or_none() if possible_id(id_) else None
    if row is None:
        raise JobNotFound(f"job {id_!r} does not exist")
    return _job_of(row)


def page(
    connection: Connection,
    state: str | None,
    *,
    limit: int,
    after: str | None,
    collections: Collection[str] | None,
) -> JobPage:
    """See `Catalog.jobs`."""
    created, id_ = JOBS.c.created, JOBS.c.id
    conditions = [] if state is None else [JOBS.c.state == state]
    if collections is not None:
        conditions.append(JOBS.c.collection.in_(sorted(collections)))
    statement = sa.select(JOBS).where(*conditions)
    if after is not None:
        time, last = decode(after, ("jobs", datetime, str))
        statement = statement.where(created <= time, (created < time) | (id_ < last))
    ordered = statement.order_by(created.desc(), id_.desc()).limit(limit + 1)
    rows = connection.execute(ordered).mappings().all()
    jobs = [_job_of(row) for row in rows[:limit]]
    total = sa.select(sa.func.count()).select_from(JOBS).where(*conditions)
    more = len(rows) > limit
    cursor = encode("jobs", jobs[-1].created, jobs[-1].id) if more else None
    return JobPage(jobs, int(connection.execute(total).scalar_one()), cursor)


def add_failures(connection: Connection, id_: str, failures: Sequence[Failure]) -> None:
    """See `Catalog.add_job_failures`."""
    one(connection, id_)
    rows = [
        {name: plain(getattr(failure, name)) for name in _FAILURE_NAMES} for failure in failures
    ]
    if rows:
        connection.execute(JOB_FAILURES.insert(), [row | {"job": id_} for row in rows])


def failures(connection: Connection, id_: str, *, limit: int, after: str | None) -> JobFailurePage:
    """See `Catalog.job_failures`."""
    one(connection, id_)
    serial, of_job = JOB_FAILURES.c.serial, JOB_FAILURES.c.job == id_
    statement = sa.select(JOB_FAILURES).where(of_job)
    if after is not None:
        (last,) = decode(after, ("failures", int))
        statement = statement.where(serial > last)
    rows = connection.execute(statement.order_by(serial).limit(limit + 1)).mappings().all()
    listed = [
        Failure(**{name: row[JOB_FAILURES.c[name]] for name in _FAILURE_NAMES})
        for row in rows[:limit]
    ]
    total = sa.select(sa.func.count()).select_from(JOB_FAILURES).where(of_job)
    cursor = encode("failures", rows[limit - 1]["serial"]) if len(rows) > limit else None
    return JobFailurePage(listed, int(connection.execute(total).scalar_one()), cursor)


def clear_failures(connection: Connection, id_: str) -> None:
    """See `Catalog.clear_job_failures`."""
    connection.execute(JOB_FAILURES.delete().where(JOB_FAILURES.c.job == id_))


def delete(connection: Connection, id_: str) -> None:
    """See `Catalog.delete_job`."""
    one(connection, id_)
    clear_failures(connection, id_)
    connection.execute(JOBS.delete().where(JOBS.c.id == id_))


def trim(connection: Connection, keep: int) -> None:
    """See `Catalog.trim_jobs`."""
    newest = sa.select(JOBS.c.id).where(JOBS.c.state.in_(OVER))
    newest = newest.order_by(JOBS.c.created.desc(), JOBS.c.id.desc())
    # selected first, because other processes may delete jobs at the same time
    if ids := connection.execute(newest.offset(keep).limit(CHUNK)).scalars().all():
        connection.execute(JOB_FAILURES.delete().where(JOB_FAILURES.c.job.in_(ids)))
        connection.execute(JOBS.delete().where(JOBS.c.id.in_(ids)))


def _job_of(row: RowMapping) -> Job:
    return Job(**{name: row[name] for name in _NAMES})
