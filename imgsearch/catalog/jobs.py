"""Jobs written and read, in a transaction that is given."""

from collections.abc import Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from imgsearch.catalog.cursor import packed, position
from imgsearch.catalog.entry import plain, possible_id
from imgsearch.catalog.job import OVER, Job, JobFailure, JobFailurePage, JobPage
from imgsearch.catalog.tables import CHUNK, JOB_FAILURES, JOBS, put
from imgsearch.errors import JobNotFound

_NAMES: Final = tuple(each.name for each in fields_of(Job))
_FAILURE_NAMES: Final = tuple(each.name for each in fields_of(JobFailure))


def save(connection: Connection, job: Job) -> None:
    """See `Catalog.save_job`."""
    clean = replace(job, error=plain(job.error))
    put(connection, JOBS, {name: getattr(clean, name) for name in _NAMES})


def one(connection: Connection, id_: str) -> Job:
    """See `Catalog.job`."""
    statement = sa.select(JOBS).where(JOBS.c.id == id_)
    row = connection.execute(statement).mappings().one_or_none() if possible_id(id_) else None
    if row is None:
        raise JobNotFound(f"there is no job {id_!r}")
    return _job_of(row)


def page(connection: Connection, state: str | None, *, limit: int, after: str | None) -> JobPage:
    """See `Catalog.jobs`."""
    created, id_ = JOBS.c.created, JOBS.c.id
    mine = [] if state is None else [JOBS.c.state == state]
    statement = sa.select(JOBS).where(*mine)
    if after is not None:
        time, last = position(after, ("jobs", datetime, str))
        statement = statement.where(created <= time, (created < time) | (id_ < last))
    ordered = statement.order_by(created.desc(), id_.desc()).limit(limit + 1)
    rows = connection.execute(ordered).mappings().all()
    jobs = [_job_of(row) for row in rows[:limit]]
    total = sa.select(sa.func.count()).select_from(JOBS).where(*mine)
    more = len(rows) > limit
    following = packed("jobs", jobs[-1].created, jobs[-1].id) if more else None
    return JobPage(jobs, int(connection.execute(total).scalar_one()), following)


def add_failures(connection: Connection, id_: str, failures: Sequence[JobFailure]) -> None:
    """See `Catalog.add_job_failures`."""
    one(connection, id_)
    rows = [{name: plain(getattr(each, name)) for name in _FAILURE_NAMES} for each in failures]
    if rows:
        connection.execute(JOB_FAILURES.insert(), [row | {"job": id_} for row in rows])


def failures(connection: Connection, id_: str, *, limit: int, after: str | None) -> JobFailurePage:
    """See `Catalog.job_failures`."""
    one(connection, id_)
    serial, mine = JOB_FAILURES.c.serial, JOB_FAILURES.c.job == id_
    statement = sa.select(JOB_FAILURES).where(mine)
    if after is not None:
        (last,) = position(after, ("failures", int))
        statement = statement.where(serial > last)
    rows = connection.execute(statement.order_by(serial).limit(limit + 1)).mappings().all()
    found = [JobFailure(**{name: row[name] for name in _FAILURE_NAMES}) for row in rows[:limit]]
    total = sa.select(sa.func.count()).select_from(JOB_FAILURES).where(mine)
    following = packed("failures", rows[limit - 1]["serial"]) if len(rows) > limit else None
    return JobFailurePage(found, int(connection.execute(total).scalar_one()), following)


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
    # some may be gone by now: in a server others trim, too
    if ids := connection.execute(newest.offset(keep).limit(CHUNK)).scalars().all():
        connection.execute(JOB_FAILURES.delete().where(JOB_FAILURES.c.job.in_(ids)))
        connection.execute(JOBS.delete().where(JOBS.c.id.in_(ids)))


def _job_of(row: RowMapping) -> Job:
    return Job(**{name: row[name] for name in _NAMES})
