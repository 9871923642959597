"""The catalog: image metadata, jobs and API keys."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from typing_extensions import override

from imgsearch.catalog import entries as rows
from imgsearch.catalog import jobs, keys, pages
from imgsearch.catalog.database import Database
from imgsearch.catalog.entry import (
    Deletion,
    Entry,
    Page,
    Place,
    State,
    Video,
    check_changes,
    check_entry,
    check_id,
    check_time,
    checked_update,
    now,
    plain,
)
from imgsearch.catalog.job import (
    Job,
    JobFailurePage,
    JobPage,
    JobStateName,
    check_failure,
    check_job,
    check_job_state,
)
from imgsearch.catalog.keys import KeyRow, check_key
from imgsearch.filters import Filter
from imgsearch.order import Order as SortOrder
from imgsearch.types import Closeable, Failure, Value


class Catalog(Closeable):
    """An open catalog. Thread-safe. Several processes can use the same database.

    `url` is a file path, ``sqlite:///abs/catalog.db`` or ``mysql://user@host:3306/name``. A missing
    file and its folder are created; a server database must exist. `password` is the database user's
    password. `timeout` limits the wait for a server or another writer, in seconds. Opening a
    catalog migrates its tables to the newest version.

    Raises:
        ConfigError: `url` has another form or contains a password.
        MissingExtra: the database's driver is not installed.
        CatalogOutdated: a newer version of imgsearch wrote the catalog.
        CatalogError: the database failed. All methods can raise this error.
    """

    def __init__(self, url: str, *, password: str | None = None, timeout: float = 10.0) -> None:
        self._database = Database(url, password=password, timeout=timeout)
        try:
            self._database.upgrade()
        except BaseException:
            self._database.close()
            raise

    def begin(self, entries: Sequence[Entry]) -> list[Entry]:
        """Create "pending" entries, all or none. Returns all entries with their current values.

        An existing entry with the same id is not changed, except that "failed" becomes "pending".
        The catalog sets `state`, `error` and `updated`.

        Raises:
            ConfigError: a value is invalid; see `Entry`.
            ImageExists: an existing entry with the same id has another content or collection.
            ImageBusy: an image with the same content is being deleted, in any collection.
        """
        for entry in entries:
            check_entry(entry)
        return self._database.write(partial(rows.begin, entries=entries)) if entries else []

    def ready(
        self, ids: Sequence[str], *, changes: Mapping[str, Mapping[str, Value]] | None = None
    ) -> list[str]:
        """Set "pending" and "failed" entries to "ready", and return their ids.

        Other entries are not changed. If several writers set an entry, only one gets its id.
        `changes` maps ids to new `size`, `width`, `height`, `format`, `encoder` and `stored`.

        Raises:
            ConfigError: `changes` contains another field or an invalid value.
        """
        for values in (changes or {}).values():
            check_changes(values)
        return self._database.write(partial(rows.ready, ids=ids, changes=changes or {}))

    def failed(self, errors: Mapping[str, str]) -> None:
        """Set "pending" entries to "failed". `errors` maps ids to error texts."""
        clean = {id_: plain(error) for id_, error in errors.items()}
        self._database.write(partial(rows.failed, errors=clean))

    def update(
        self,
        id_: str,
        *,
        label: str | None = None,
        fields: Mapping[str, Value] | None = None,
        name: str | None = None,
    ) -> Entry:
        """Change the values that are not None, and return the entry. `fields` replaces all fields.

        Raises:
            ConfigError: a value is invalid; see `Entry`.
            ImageNotFound: no image has this id.
            ImageBusy: the image is being deleted.
        """
        values = checked_update(label, fields, name)
        return self._database.write(partial(rows.update, id_=id_, values=values))

    def mark_deleting(self, ids: Sequence[str]) -> list[Deletion]:
        """Set entries to "deleting", all or none. Each `Deletion` says what else to delete.

        Unknown ids are skipped. Entries that are already "deleting" are returned, too, so an
        interrupted deletion can be repeated.
        """
        return self._database.write(partial(rows.mark_deleting, ids=ids))

    def forget(self, ids: Sequence[str]) -> None:
        """Delete entries whose state is "deleting". Other entries are kept."""
        self._database.write(partial(rows.forget, ids=ids))

    def get(self, id_: str) -> Entry:
        """Return an entry.

        Raises:
            ImageNotFound: no image has this id.
        """
        return self._database.read(partial(rows.one, id_=id_))

    def find(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Return entries by id. Unknown ids are omitted."""
        return self._database.read(partial(rows.find, ids=ids))

    def of_contents(
        self, collection: str, contents: Sequence[str], *, states: Sequence[State] = ("ready",)
    ) -> dict[str, list[Entry]]:
        """Return a collection's entries by content hash. Lists are sorted by `created` and id."""
        work = partial(rows.of_contents, collection=collection, contents=contents, states=states)
        return self._database.read(work)

    def page(
        self,
        collection: str | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        skip: int = 0,
        order: str = "created",
        descending: bool = False,
        declared: Collection[str] = (),
        state: State | None = None,
        label: str | None = None,
        text: str | None = None,
        content: str | None = None,
        source: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        where: Filter | None = None,
        collections: Collection[str] | None = None,
    ) -> Page:
        """Return at most `limit` entries, from the start or after the cursor `after`.

        `skip` leaves out that many entries at the start, at most 100,000; a page by a cursor is
        faster, and does not move while entries are added.

        Entries are sorted by `order`, then by id: "created", "name", "size", "label", or a field.
        A field's missing values are last, and all entries are read. `declared` are names of fields
        that no entry needs to have. `text` is a substring of the name, case-insensitive.
        `created_after` is inclusive, `created_before` is exclusive. `where` filters on the user's
        fields, and on label, name, path, size, width, height, format, source and created (ISO
        8601); it reads all entries that the other filters accept. `collections` limits the page to
        the entries of these collections.

        Raises:
            ConfigError: `limit` is not in 1 to 1,000, or `skip` not in 0 to 100,000; `order` or
                `state` is unknown; a time has no time zone; or `after` is damaged or belongs to
                another order.
        """
        pages.check_limit(limit)
        pages.check_skip(skip, after)
        by = replace(SortOrder.parse(order), descending=descending)
        filters = pages.Filters(
            collection=collection,
            state=state,
            label=label,
            text=text,
            content=content,
            source=source,
            created_after=created_after,
            created_before=created_before,
            collections=collections,
        )
        work = partial(
            pages.page,
            filters=filters,
            where=where,
            limit=limit,
            after=after,
            skip=skip,
            order=by,
            declared=declared,
        )
        return self._database.read(work)

    def count(self, collection: str | None = None, state: State | None = None) -> int:
        """Return the number of entries.

        Raises:
            ConfigError: `state` is unknown.
        """
        filters = pages.Filters(collection=collection, state=state)
        return self._database.read(partial(pages.count, filters=filters))

    def count_matching(self, collection: str, where: Filter) -> tuple[int, int]:
        """Return the numbers of "ready" entries that match a filter, and of their contents."""
        filters = pages.Filters(collection=collection, state="ready")
        return self._database.read(partial(pages.count_matching, filters=filters, where=where))

    def contents(self, collection: str | None = None) -> int:
        """Return the number of distinct content hashes."""
        return self._database.read(partial(pages.contents, collection=collection))

    def labels(self, collection: str) -> dict[str, int]:
        """Return a collection's number of "ready" entries for each nonempty label, sorted."""
        return self._database.read(partial(pages.labels, collection=collection))

    def collections(self) -> dict[str, int]:
        """Return the number of entries for each collection, sorted by name."""
        return self._database.read(pages.collections)

    def unfinished(self, *, older_than: float = 0.0) -> Iterator[list[Entry]]:
        """Yield "pending", then "deleting" entries, unchanged for at least `older_than` seconds.

        Entries come in lists of at most 500, least recently updated first. The caller may change
        them during the iteration.
        """
        before = now() - timedelta(seconds=older_than)
        for state in ("pending", "deleting"):
            last: Entry | None = None
            work = partial(rows.unfinished, state=state, before=before)
            while entries := self._database.read(partial(work, after=last)):
                last = entries[-1]
                yield entries

    def places(self, collection: str, source: str) -> list[Place]:
        """Return the places of a collection's entries with this source, oldest first."""
        return self._database.read(partial(rows.places, collection=collection, source=source))

    def named(self, collection: str, name: str) -> list[Entry]:
        """Return at most 1,000 entries of a collection with this name."""
        return self._database.read(partial(rows.named, collection=collection, name=name))

    def of_videos(self, videos: Sequence[str]) -> list[str]:
        """Return the ids of all frames of these videos. Unknown videos are skipped."""
        return self._database.read(partial(rows.of_videos, videos=videos))

    def videos(self, collection: str, *, limit: int = 50, after: str = "") -> list[Video]:
        """Return at most `limit` videos with "ready" frames, sorted by id, after the id `after`.

        Raises:
            ConfigError: `limit` is not in 1 to 1,000, or `after` is not an id.
        """
        pages.check_limit(limit)
        if after:
            check_id(after)
        work = partial(rows.videos, collection=collection, limit=limit, after=after)
        return self._database.read(work)

    def referenced(self, contents: Sequence[str]) -> set[str]:
        """Return the hashes of originals that have a `stored` entry."""
        return self._database.read(partial(rows.referenced, contents=contents))

    def save_job(self, job: Job) -> None:
        """Create or replace a job.

        Raises:
            ConfigError: a value is invalid; see `Job`.
        """
        check_job(job)
        self._database.write(partial(jobs.save, job=job))

    def job(self, id_: str) -> Job:
        """Return a job.

        Raises:
            JobNotFound: no job has this id.
        """
        return self._database.read(partial(jobs.one, id_=id_))

    def jobs(
        self,
        state: JobStateName | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        collections: Collection[str] | None = None,
    ) -> JobPage:
        """Return at most `limit` jobs, newest first; see `page`.

        Raises:
            ConfigError: as for `page`.
        """
        pages.check_limit(limit)
        if state is not None:
            check_job_state(state)
        work = partial(jobs.page, state=state, limit=limit, after=after, collections=collections)
        return self._database.read(work)

    def delete_job(self, id_: str) -> None:
        """Delete a job and its failures.

        Raises:
            JobNotFound: no job has this id.
        """
        self._database.write(partial(jobs.delete, id_=id_))

    def trim_jobs(self, keep: int) -> None:
        """Delete old finished jobs, at most 500 in one call. The newest `keep` jobs are kept."""
        self._database.write(partial(jobs.trim, keep=keep))

    def clear_job_failures(self, id_: str) -> None:
        """Delete the failures of a job."""
        self._database.write(partial(jobs.clear_failures, id_=id_))

    def add_job_failures(self, id_: str, failures: Sequence[Failure]) -> None:
        """Append failures to a job.

        Raises:
            ConfigError: a failure's `stage` or `error` is too long.
            JobNotFound: no job has this id.
        """
        for failure in failures:
            check_failure(failure)
        self._database.write(partial(jobs.add_failures, id_=id_, failures=failures))

    def job_failures(
        self, id_: str, *, limit: int = 50, after: str | None = None
    ) -> JobFailurePage:
        """Return at most `limit` failures in order, from the start or after the cursor `after`.

        Raises:
            ConfigError: `limit` is not in 1 to 1,000, or `after` is damaged.
            JobNotFound: no job has this id.
        """
        pages.check_limit(limit)
        return self._database.read(partial(jobs.failures, id_=id_, limit=limit, after=after))

    def save_key(self, row: KeyRow) -> None:
        """Create or replace the row of an API key. Raises ConfigError for an invalid value."""
        check_key(row)
        self._database.write(partial(keys.save, row=row))

    def key_used(self, id_: str, time: datetime) -> None:
        """Save the time at which a key was used. Deleted keys are ignored.

        Raises:
            ConfigError: `time` has no time zone.
        """
        check_time("time", time)
        self._database.write(partial(keys.used, id_=id_, time=time))

    def key(self, id_: str) -> KeyRow:
        """Return the row of an API key.

        Raises:
            AccessDenied: no key has this id.
        """
        return self._database.read(partial(keys.one, id_=id_))

    def keys(self) -> list[KeyRow]:
        """Return the rows of all API keys, oldest first."""
        return self._database.read(keys.every)

    def delete_key(self, id_: str) -> None:
        """Delete the row of an API key.

        Raises:
            AccessDenied: no key has this id.
        """
        self._database.write(partial(keys.delete, id_=id_))

    def ping(self) -> None:
        """Check that the database responds."""
        self._database.read(lambda connection: connection.execute(sa.select(1)).scalar_one())

    @override
    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._database.close()

    def __repr__(self) -> str:
        return f"Catalog({self._database.name!r})"
