"""The state of an import of files: ``import.json``.

It is written whole after each change, so an import that was killed goes on where it ended.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Final, Literal

from imgsearch.backends.vectors.files import JobFiles
from imgsearch.errors import BackendError, SchemaMismatch
from imgsearch.text import load_json

FORMAT: Final = 1


@dataclass(slots=True)
class ImportFile:
    """A file of an import.

    `sha256` is of the file in the job, and `rows` the rows that are imported. `path` is the path
    that the server reads. A file is "waiting" before it is checked or sent, "sending" while the
    request may have reached the server, "sent" if `task` imports it, and "done".
    """

    shard: int
    sha256: str
    rows: int = 0
    path: str = ""
    state: Literal["waiting", "sending", "sent", "done"] = "waiting"
    task: str = ""
    attempts: int = 0


@dataclass(slots=True)
class ImportState:
    """An import into one collection of one store.

    `files` are those of the job when it began. `doubled` counts rows that repeat an id. `checked`
    says that all files were checked and are where the server reads them, and `complete` that the
    copy was verified and readers use it.
    """

    target: str
    name: str
    collection: str = ""
    files: list[ImportFile] = field(default_factory=list)
    doubled: int = 0
    checked: bool = False
    complete: bool = False

    @property
    def rows(self) -> int:
        """The number of rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def done(self) -> int:
        """The number of rows that the server has imported."""
        return sum(file.rows for file in self.files if file.state == "done")

    def of_job(self, files: Iterable[ImportFile]) -> bool:
        """Return whether the job still has the files with which the import began."""
        mine = Counter((file.shard, file.sha256) for file in self.files)
        return mine == Counter((file.shard, file.sha256) for file in files)


class ImportFolder:
    """The folder of an import in a job's folder: ``import/KEY``, one for each store and name."""

    def __init__(self, files: JobFiles, target: str, name: str) -> None:
        self.files = files
        key = blake2b(f"{target}\n{name}".encode(), digest_size=8).hexdigest()
        self.path = f"import/{key}"
        self._name = f"{self.path}/import.json"
        self._new = ImportState(target, name)

    def read(self) -> ImportState:
        """Return the state; a new one if no import has begun.

        Raises:
            SchemaMismatch: a newer imgsearch wrote it.
            BackendError: it is damaged.
        """
        if not self.files.exists(self._name):
            return self._new
        try:
            data = load_json(self.files.read(self._name).decode())
            if data.pop("format") != FORMAT:
                raise SchemaMismatch("a newer imgsearch began this import. Upgrade imgsearch.")
            files = [ImportFile(**file) for file in data.pop("files")]
            return ImportState(files=files, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, SchemaMismatch):
                raise
            raise BackendError(
                f"{self.files.title}: {self._name} is damaged. Delete it, and the collection that "
                "it filled."
            ) from error

    def write(self, state: ImportState) -> None:
        """Write the state.

        Raises:
            BackendError: the folder cannot be written.
        """
        text = json.dumps({"format": FORMAT, **asdict(state)}, ensure_ascii=False)
        self.files.write(self._name, text.encode())

    def reset(self) -> ImportState:
        """Return the state of an import that has not begun, and write it."""
        state = type(self._new)(self._new.target, self._new.name)
        self.write(state)
        return state
