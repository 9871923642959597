"""Files of a job folder, on this machine or in S3.

A file appears when it is complete.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import fs

from imgsearch.backends.vectors.place import SCHEME, canonical
from imgsearch.errors import BackendError, BackendUnavailable
from imgsearch.images.buckets import file_system
from imgsearch.s3_url import S3Url


class JobFiles:
    """The files below a job folder. Thread-safe.

    `token` is ``KEY:SECRET`` of S3; without it, the usual variables and files of AWS are read.
    """

    def __init__(self, url: str | os.PathLike[str], *, token: str | None = None) -> None:
        self.url = canonical(url)
        place = self.url.removeprefix(SCHEME)
        self.is_local = not place.startswith("s3://")
        self.title = place.removeprefix("//")
        if self.is_local:
            self._system, self._root = fs.LocalFileSystem(), place.removeprefix("//")
        else:
            parsed = S3Url.parse(place)
            self._system = file_system("s3", parsed.endpoint, parsed.region, token=token or "")
            self._root = f"{parsed.bucket}/{parsed.prefix}".rstrip("/")

    def exists(self, name: str) -> bool:
        """Return whether a file exists."""
        with self._errors("read", name):
            info = self._system.get_file_info(self._path(name))
        return bool(info.type == fs.FileType.File)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted. Empty if it does not exist."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        with self._errors("read", folder):
            infos = self._system.get_file_info(selector)
        return sorted(info.base_name for info in infos if info.type == fs.FileType.File)

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """Open a file for reading at any position."""
        with self._errors("read", name), self._system.open_input_file(self._path(name)) as file:
            yield file

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            BackendError: it does not exist, or cannot be read.
        """
        with self.reading(name) as file:
            content: bytes = file.read()
        return content

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a file, which appears as a whole.

        Raises:
            BackendError: it cannot be written.
        """
        with self._errors("write", name):
            if not self.is_local:
                with self._system.open_output_stream(self._path(name)) as stream:
                    stream.write(data)
                return
            target = Path(self._path(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)

    def put(self, name: str, file: Path) -> None:
        """Move a local file to a name, which appears as a whole.

        Raises:
            BackendError: it cannot be written.
        """
        with self._errors("write", name):
            if self.is_local and file.stat().st_dev == _device(Path(self._root)):
                with file.open("rb") as written:
                    os.fsync(written.fileno())
                target = Path(self._path(name))
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
                return
            draft = f"{name}.{secrets.token_hex(4)}" if self.is_local else name
            if self.is_local:
                Path(self._path(name)).parent.mkdir(parents=True, exist_ok=True)
            with (
                file.open("rb") as source,
                self._system.open_output_stream(self._path(draft)) as stream,
            ):
                while piece := source.read(1 << 20):
                    stream.write(piece)
            if draft != name:
                self._system.move(self._path(draft), self._path(name))
            file.unlink()

    def delete(self, name: str) -> None:
        """Delete a file, if it exists.

        Raises:
            BackendError: it cannot be deleted.
        """
        if self.exists(name):
            with self._errors("write", name):
                self._system.delete_file(self._path(name))

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield the path of a file to be written and `put`, in the folder itself if it is local.

        Raises:
            BackendError: it cannot be written.
        """
        root = self.local("drafts")
        try:
            if root is not None:
                root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root, prefix="imgsearch-") as folder:
                yield Path(folder) / "file"
        except OSError as error:
            raise BackendError(f"{self.title} cannot be written: {error}") from error

    def local(self, name: str) -> Path | None:
        """Return the path of a file on this machine, or None if it is elsewhere."""
        return Path(self._path(name)) if self.is_local else None

    def key(self, name: str) -> str:
        """Return the path of a file on this machine, or its key in the bucket."""
        path = self._path(name)
        return path if self.is_local else path.partition("/")[2]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _errors(self, action: str, name: str) -> Iterator[None]:
        """Turn errors of pyarrow and the system into errors of stores."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            why = getattr(error, "strerror", None) or str(error).partition("\n")[0][:300]
            raised = BackendError if self.is_local else BackendUnavailable
            if isinstance(error, FileNotFoundError):
                raised, why = BackendError, "it does not exist"
            raise raised(f"{self.title}: {name} cannot be {_DONE[action]}: {why}") from error


_DONE: Final = {"read": "read", "write": "written"}


def _device(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.stat().st_dev
