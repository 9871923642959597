"""A store in memory that imports files like Milvus: in tasks, by appending, with failures."""

import uuid

import pyarrow.parquet as pq

from imgsearch.backends import connect, register
from imgsearch.backends.base import Capabilities
from imgsearch.backends.bulk import BulkImporter, ImportTask
from imgsearch.backends.memory import Backend, MemoryCollection
from imgsearch.errors import BackendUnavailable
from imgsearch.types import Record


class AppendingCollection(MemoryCollection):
    """Counts each row of a file that was imported, also if its id was imported before."""

    def __init__(self, name, rows, store):
        super().__init__(name, rows)
        self._store = store

    def _count(self, where):
        return super()._count(where) + self._store.doubled.get(self.name, 0)


class ImportingStore(Backend):
    """A store whose tasks end when they are looked at a second time. Tests set its faults.

    Tasks of paths in `failing` fail, as often as it says. A request for a path in `unanswered` is
    accepted once, and one for a path in `unreached` is not, without an answer in both cases.
    """

    def __init__(self, url, *, token, timeout):
        super().__init__("memory://", token=token, timeout=timeout)
        self.url = url
        self.capabilities = Capabilities(
            self.capabilities.indexes, persistent=False, shared=True, imports=True
        )
        self.sent, self.tasks, self.looks, self.doubled = [], {}, {}, {}
        self.failing, self.unanswered, self.unreached = {}, set(), set()

    def create(self, name, schema):
        return self.open(super().create(name, schema).name)

    def drop(self, name):
        super().drop(name)
        self.tasks = {id_: task for id_, task in self.tasks.items() if task[0] != name}
        self.doubled.pop(name, None)

    def open(self, name):
        opened = super().open(name)
        return AppendingCollection(opened.name, opened._all, self)

    def importer(self, collection):
        return TaskImporter(self, collection.name)


class TaskImporter(BulkImporter):
    """Imports the files of one collection, one file in a task."""

    tasks_at_once = 2

    def __init__(self, store, name):
        self._store, self._name = store, name

    def start(self, files):
        (path,) = files
        if path in self._store.unreached:
            self._store.unreached.remove(path)
            raise BackendUnavailable("the server is gone")
        self._store.sent.append(path)
        id_ = str(len(self._store.sent))
        self._store.tasks[id_] = (self._name, path, "running")
        if path in self._store.unanswered:
            self._store.unanswered.remove(path)
            raise BackendUnavailable("no response")
        return id_

    def task(self, id_):
        if id_ not in self._store.tasks:
            return None
        name, path, state = self._store.tasks[id_]
        looks = self._store.looks[id_] = self._store.looks.get(id_, 0) + 1
        if looks == 2 and state == "running":
            state = "failed" if self._store.failing.get(path) else "done"
            if state == "done":
                self._import(name, path)
            else:
                self._store.failing[path] -= 1
            self._store.tasks[id_] = (name, path, state)
        return ImportTask(id_, state, (path,), "out of memory" * (state == "failed"))

    def tasks(self):
        return [
            ImportTask(id_, state, (path,))
            for id_, (name, path, state) in self._store.tasks.items()
            if name == self._name
        ]

    def _import(self, name, path):
        collection = self._store.open(name)
        rows = pq.read_table(path).to_pylist()
        known = collection.get([row["id"] for row in rows])
        self._store.doubled[name] = self._store.doubled.get(name, 0) + len(known)
        collection.upsert([Record(row.pop("id"), row.pop("vector"), row) for row in rows])


def importing_store():
    """Return a new store, open."""
    register("importing", ImportingStore)
    return connect(f"importing://{uuid.uuid4().hex}")
