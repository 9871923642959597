"""The catalogue: what is known of every image."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from typing_extensions import override

from imgsearch.catalog import entries as rows
from imgsearch.catalog import jobs, keys, pages
from imgsearch.catalog.database import Database
from imgsearch.catalog.entry import (
    MAX_LABEL,
    MAX_NAME,
    Deletion,
    Entry,
    Order,
    Page,
    State,
    check_changes,
    check_entry,
    check_fields,
    check_text,
    check_time,
    now,
    plain,
)
from imgsearch.catalog.job import (
    Job,
    JobFailure,
    JobFailurePage,
    JobPage,
    JobState,
    check_failure,
    check_job,
    check_job_state,
)
from imgsearch.catalog.keys import KeyRow, check_key
from imgsearch.closeable import Closeable
from imgsearch.types import Value


class Catalog(Closeable):
    """One catalogue, open; thread-safe, and several processes may have it open.

    `url` is a file's path, ``sqlite:///abs/catalog.db`` or ``mysql://user@host:3306/name``; a file
    is made where there is none (its folder too, but no further up), a server's database has to be
    there. `password` is that of the user. `timeout` is in seconds: how long a server may take to
    answer, or another writer to let go. Tables are brought up to date when it is opened.

    Raises:
        ConfigError: `url` is none of these, or holds a password.
        MissingExtra: the database's driver is not installed.
        CatalogOutdated: a newer version of the code wrote it.
        CatalogError: the database refused or failed; so for every method.
    """

    def __init__(self, url: str, *, password: str | None = None, timeout: float = 10.0) -> None:
        self._database = Database(url, password=password, timeout=timeout)
        try:
            self._database.upgrade()
        except BaseException:
            self._database.close()
            raise

    def begin(self, entries: Sequence[Entry]) -> list[Entry]:
        """Enter references as "pending"; return each as it is now in the catalogue.

        All or none. One that is there already, by id, stays as it is, but a "failed" one becomes
        "pending" again. `state`, `error` and `updated` are the catalogue's, whatever is given.

        Raises:
            ConfigError: an entry is not what `Entry` says.
            ImageExists: an id is there with another content or collection.
            ImageBusy: an image of the same content is being deleted, in any collection.
        """
        for entry in entries:
            check_entry(entry)
        return self._database.write(partial(rows.begin, entries=entries)) if entries else []

    def ready(
        self, ids: Sequence[str], *, changes: Mapping[str, Mapping[str, Value]] | None = None
    ) -> list[str]:
        """Make "pending" and "failed" entries "ready"; return the ids of these.

        Other entries do not change. If several writers make an entry ready, only one gets its id.

        `changes` holds for some of the ids what became known: `size`, `width`, `height`, `format`,
        `encoder`, `stored`.

        Raises:
            ConfigError: `changes` holds something else.
        """
        for values in (changes or {}).values():
            check_changes(values)
        return self._database.write(partial(rows.ready, ids=ids, changes=changes or {}))

    def failed(self, errors: Mapping[str, str]) -> None:
        """Make "pending" entries "failed", each with its error; the others stay as they are."""
        told = {id_: plain(error) for id_, error in errors.items()}
        self._database.write(partial(rows.failed, errors=told))

    def update(
        self,
        id_: str,
        *,
        label: str | None = None,
        fields: Mapping[str, Value] | None = None,
        name: str | None = None,
    ) -> Entry:
        """Change what is not None; return the entry as it is then. `fields` are replaced whole.

        Raises:
            ConfigError: a value is not what `Entry` says.
            ImageNotFound: there is no such image.
            ImageBusy: it is being deleted.
        """
        values: dict[str, object] = {}
        if label is not None:
            check_text("label", label, most=MAX_LABEL)
            values["label"] = label
        if name is not None:
            check_text("name", name, most=MAX_NAME)
            values["name"] = name
        if fields is not None:
            check_fields(fields)
            values["fields"] = fields
        return self._database.write(partial(rows.update, id_=id_, values=values))

    def mark_deleting(self, ids: Sequence[str]) -> list[Deletion]:
        """Make entries "deleting", all or none; return what goes with each.

        Unknown ids are left out.
        An entry that was so already is told again, so that a deletion that was cut off can go on.
        """
        return self._database.write(partial(rows.mark_deleting, ids=ids))

    def forget(self, ids: Sequence[str]) -> None:
        """Remove those of the entries that are "deleting"."""
        self._database.write(partial(rows.forget, ids=ids))

    def get(self, id_: str) -> Entry:
        """Return an entry.

        Raises:
            ImageNotFound: there is no such image.
        """
        return self._database.read(partial(rows.one, id_=id_))

    def find(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those ids that there are, by id."""
        return self._database.read(partial(rows.find, ids=ids))

    def of_contents(
        self, collection: str, contents: Sequence[str], *, states: Sequence[State] = ("ready",)
    ) -> dict[str, list[Entry]]:
        """Return a collection's entries by content, those of each ordered by `created` and id."""
        work = partial(rows.of_contents, collection=collection, contents=contents, states=states)
        return self._database.read(work)

    def page(
        self,
        collection: str | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        order: Order = "created",
        descending: bool = False,
        state: State | None = None,
        label: str | None = None,
        text: str | None = None,
        content: str | None = None,
        source: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> Page:
        """Return at most `limit` entries of a listing, past the page whose `next` is `after`.

        Entries that are alike in `order` come by id. `text` is part of the name, in whatever case.
        `created_after` itself is in the listing, `created_before` is not.

        Raises:
            ConfigError: `limit` is not in 1 to 1,000, `order` or `state` is unknown, a time has no
                zone, or `after` is damaged or of a listing in another order.
        """
        pages.check_limit(limit)
        pages.check_order(order)
        filters = pages.Filters(
            collection=collection,
            state=state,
            label=label,
            text=text,
            content=content,
            source=source,
            created_after=created_after,
            created_before=created_before,
        )
        work = partial(
            pages.page,
            filters=filters,
            limit=limit,
            after=after,
            order=order,
            descending=descending,
        )
        return self._database.read(work)

    def count(self, collection: str | None = None, state: State | None = None) -> int:
        """Return how many entries there are.

        Raises:
            ConfigError: `state` is unknown.
        """
        filters = pages.Filters(collection=collection, state=state)
        return self._database.read(partial(pages.count, filters=filters))

    def contents(self, collection: str | None = None) -> int:
        """Return how many distinct contents the entries have."""
        return self._database.read(partial(pages.contents, collection=collection))

    def labels(self, collection: str) -> dict[str, int]:
        """Return the labels of a collection's "ready" entries in order, with how many have each."""
        return self._database.read(partial(pages.labels, collection=collection))

    def collections(self) -> dict[str, int]:
        """Return the collections that have entries, in order, with how many."""
        return self._database.read(pages.collections)

    def unfinished(self, *, older_than: float = 0.0) -> Iterator[list[Entry]]:
        """Yield "pending", then "deleting" entries that nothing happened to for so many seconds.

        Some hundreds at a time, the longest waiting first; what is done about them meanwhile does
        not matter to the ones that follow.
        """
        before = now() - timedelta(seconds=older_than)
        for state in ("pending", "deleting"):
            last: Entry | None = None
            work = partial(rows.unfinished, state=state, before=before)
            while found := self._database.read(partial(work, after=last)):
                last = found[-1]
                yield found

    def referenced(self, contents: Sequence[str]) -> set[str]:
        """Return those contents whose original is in the object store, by any entry's account."""
        return self._database.read(partial(rows.referenced, contents=contents))

    def save_job(self, job: Job) -> None:
        """Write a job, in place of what was known of it.

        Raises:
            ConfigError: a part of it is not what `Job` says.
        """
        check_job(job)
        self._database.write(partial(jobs.save, job=job))

    def job(self, id_: str) -> Job:
        """Return a job.

        Raises:
            JobNotFound: there is no such job.
        """
        return self._database.read(partial(jobs.one, id_=id_))

    def jobs(
        self, state: JobState | None = None, *, limit: int = 50, after: str | None = None
    ) -> JobPage:
        """Return at most `limit` jobs, the newest first, past the page whose `next` is `after`.

        Raises:
            ConfigError: `limit` is not in 1 to 1,000, `state` is unknown or `after` damaged.
        """
        pages.check_limit(limit)
        if state is not None:
            check_job_state(state)
        return self._database.read(partial(jobs.page, state=state, limit=limit, after=after))

    def delete_job(self, id_: str) -> None:
        """Delete a job, with what failed in it.

        Raises:
            JobNotFound: there is no such job.
        """
        self._database.write(partial(jobs.delete, id_=id_))

    def trim_jobs(self, keep: int) -> None:
        """Delete jobs that are over, all but the newest `keep`, some hundreds at a time."""
        self._database.write(partial(jobs.trim, keep=keep))

    def clear_job_failures(self, id_: str) -> None:
        """Forget what failed in a job, which begins anew."""
        self._database.write(partial(jobs.clear_failures, id_=id_))

    def add_job_failures(self, id_: str, failures: Sequence[JobFailure]) -> None:
        """Note what failed in a job.

        Raises:
            ConfigError: a failure is not what `JobFailure` says.
            JobNotFound: there is no such job.
        """
        for failure in failures:
            check_failure(failure)
        self._database.write(partial(jobs.add_failures, id_=id_, failures=failures))

    def job_failures(
        self, id_: str, *, limit: int = 50, after: str | None = None
    ) -> JobFailurePage:
        """Return at most `limit` failures as they came, past the page whose `next` is `after`.

        Raises:
            ConfigError: `limit` is not in 1 to 1,000, or `after` is damaged.
            JobNotFound: there is no such job.
        """
        pages.check_limit(limit)
        return self._database.read(partial(jobs.failures, id_=id_, limit=limit, after=after))

    def save_key(self, row: KeyRow) -> None:
        """Write an API key's row, in place of what was known of it.

        Raises:
            ConfigError: a part of it is not what `KeyRow` says.
        """
        check_key(row)
        self._database.write(partial(keys.save, row=row))

    def key_used(self, id_: str, time: datetime) -> None:
        """Note when a key was used. One that was deleted meanwhile stays so.

        Raises:
            ConfigError: `time` has no zone.
        """
        check_time("time", time)
        self._database.write(partial(keys.used, id_=id_, time=time))

    def key(self, id_: str) -> KeyRow:
        """Return an API key's row.

        Raises:
            AccessDenied: there is no such key.
        """
        return self._database.read(partial(keys.one, id_=id_))

    def keys(self) -> list[KeyRow]:
        """Return every API key's row, the oldest first."""
        return self._database.read(keys.every)

    def delete_key(self, id_: str) -> None:
        """Remove an API key's row.

        Raises:
            AccessDenied: there is no such key.
        """
        self._database.write(partial(keys.delete, id_=id_))

    def ping(self) -> None:
        """Ask the database for nothing, to see that it answers."""
        self._database.read(lambda connection: connection.execute(sa.select(1)).scalar_one())

    @override
    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._database.close()

    def __repr__(self) -> str:
        return f"Catalog({self._database.name!r})"
