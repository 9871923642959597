"""The operations on an archive whose servers fail, and their acknowledgements."""

import random

import imgsearch
from imgsearch import errors
from imgsearch.archive import Jobs
from imgsearch.images import sources
from imgsearch.query import Query, SearchOptions
from tests.archive.place import images, jpeg, state

LOAD = 12  # images of one load
DELETED = 3  # images of one deletion


class Work:
    """Operations on an archive, a library and a copy, and the contents that they acknowledged.

    A method returns a function that does the same at each call, so that it can be retried.
    """

    def __init__(self, archive, folder, running, *, token, timeout, seed=22):
        self.archive, self._folder = archive, folder
        self.stored, self.deleted, self.own = {}, set(), set()  # stored: content → row id
        self._next, self._dice = 0, random.Random(seed)  # noqa: S311
        self._jobs = Jobs(archive)
        running.callback(self._jobs.close)
        options = {"token": token, "timeout": timeout}
        url = archive.url
        self._library = running.enter_context(
            imgsearch.open(url, collection="eigene", model="classic", **options)
        )
        self._store = running.enter_context(imgsearch.connect(url, **options))

    def upload(self):
        return self._adding(1)

    def load(self):
        return self._adding(LOAD)

    def _adding(self, number):
        numbers = self._numbers(number)

        def run():
            added = self.archive.add(images(numbers.start, numbers.stop))
            assert not added.report.failures, added.report.failures
            self.stored |= {entry.content: entry.id for entry in added.entries}
            assert {content(n) for n in numbers} <= self.stored.keys()

        return run

    def job(self):
        """Let a job add a folder."""
        numbers = self._numbers(LOAD)
        folder = self._drawn(numbers)

        def run():
            started = self._jobs.start_folder(str(folder))
            last = list(self._jobs.watch(started.id))[-1]
            if last.state == "failed":
                name, _, reason = last.error.partition(": ")
                raise getattr(errors, name, AssertionError)(reason)
            assert (last.state, last.failed) == ("done", 0), last
            contents = [content(n) for n in numbers]
            rows = self.archive.catalog.of_contents("images", contents)
            self.stored |= {name: rows[name][0].id for name in contents}

        return run

    def delete(self):
        going = self._dice.sample(sorted(self.stored), DELETED)
        ids = [self.stored.pop(name) for name in going]

        def run():
            self.archive.delete(ids)
            self.deleted |= set(going)

        return run

    def search(self):
        number = next(n for n in self._shuffled() if content(n) in self.stored)
        query = Query.image(jpeg(number))

        def run():
            stored = self.archive.search(query, SearchOptions(k=3))
            contents = [one.entry.content for one in stored]
            assert contents[:1] == [content(number)], f"image {number} is not stored: {contents}"

        return run

    def read(self):
        wanted = self._dice.choice(sorted(self.stored))
        id_ = self.stored[wanted]

        def run():
            data = self.archive.picture(id_)
            assert sources.content_id(data) == wanted, "an original is incomplete"

        return run

    def copy(self):
        name, self._next = f"kopie_{self._next}", self._next + 1

        def run():
            imgsearch.copy(self._store, self._store, "images", name=name)
            rows = [row.id for row in self._store.open(name).iterate(vectors=False)]
            assert len(rows) == len(set(rows)), "a row is doubled"
            assert self.stored.keys() <= set(rows), "a row was not copied"

        return run

    def library(self):
        """Add a folder to a library without a catalog."""
        numbers = self._numbers(LOAD)
        folder = self._drawn(numbers)

        def run():
            report = self._library.add(folder, progress=False)
            assert not report.failures, report.failures
            self.own |= {content(n) for n in numbers}

        return run

    def check(self):
        """Repair, and check that all acknowledged work was done, once. Returns the repairs."""
        repaired = self.archive.repair()
        rows, vectors, originals = state(self.archive)
        lost = self.stored.keys() - vectors
        assert not lost, f"{len(lost)} acknowledged images have no vector"
        assert not self.deleted & (vectors | originals), "a deletion did not happen"
        ready = {"pending": 0, "ready": len(vectors), "failed": 0, "deleting": 0}
        assert rows == ready, f"{rows}, but {len(vectors)} vectors"
        assert vectors == originals, f"{len(vectors - originals)} originals are lost"
        assert self.archive.library().count() == len(vectors)
        again = self.archive.repair()
        assert not again.anything, again
        if self.own:
            contents = {row.id for row in self._library.collection.iterate(vectors=False)}
            assert self.own <= contents, f"{len(self.own - contents)} images of the library"
            assert self._library.count() == len(contents)
        return repaired

    def _numbers(self, number):
        first, self._next = self._next, self._next + number
        return range(first, self._next)

    def _shuffled(self):
        return self._dice.sample(range(self._next), self._next)

    def _drawn(self, numbers):
        folder = self._folder / str(numbers.start)
        folder.mkdir(parents=True)
        for number in numbers:
            (folder / f"größe {number}.jpg").write_bytes(jpeg(number))
        return folder


def content(number):
    """Return the content hash of a drawn image."""
    return sources.content_id(jpeg(number))
