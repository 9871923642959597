"""An object store in a local folder that only its owner can read.

Files are ``originals/ab/HASH`` and ``thumbnails/EDGE/ab/HASH``, and are first written to
``unfinished/``. Folders have mode 0700 and files have mode 0600. Each path component is opened
relative to its open parent folder, without following symbolic links. So no file outside the folder
is read, written or deleted.
"""

# ruff: noqa: PTH208  # pathlib does not support folder descriptors
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from typing_extensions import override

from imgsearch.errors import ObjectNotFound, ObjectStoreError
from imgsearch.objects.base import CONTENT, ObjectStore

_PIECE: Final = 1 << 20  # bytes
_STALE: Final = (
    3600.0  # seconds; no write takes an hour, so an older file is left over from a killed writer
)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_ORIGINALS, _THUMBNAILS, _UNFINISHED = "originals", "thumbnails", "unfinished"


class FolderStore(ObjectStore):
    """An object store in `folder`.

    With `create`, a missing folder is created, but not its parents, and files that killed writers
    left are deleted.

    Raises:
        ObjectStoreError: `folder` is not a folder, or cannot be created or written.
    """

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self._root = folder.expanduser().resolve()
        self.url = self._root.as_uri()
        if not create:
            self.ping()
            return
        with self._errors("open"):
            with suppress(FileExistsError):
                self._root.mkdir(mode=0o700)
            self._create_folders()
            self._delete_stale()

    @override
    def ping(self) -> None:
        with self._errors("open"):
            for name in (_ORIGINALS, _THUMBNAILS, _UNFINISHED):
                with self._opened(name):
                    pass

    @override
    def _put(self, content: str, data: bytes, media_type: str) -> None:
        with self._errors("write"), self._opened(_ORIGINALS, content[:2], create=True) as folder:
            with suppress(FileNotFoundError):
                known = os.stat(content, dir_fd=folder, follow_symlinks=False)
                # a file of another size was damaged by another program, and is written again
                if stat.S_ISREG(known.st_mode) and known.st_size == len(data):
                    os.utime(content, dir_fd=folder, follow_symlinks=False)
                    return
            self._write(folder, content, data)

    @override
    def _stream(self, content: str) -> Iterator[bytes]:
        with self._errors("read"):
            try:
                with self._opened(_ORIGINALS, content[:2]) as folder:
                    descriptor = os.open(content, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            except FileNotFoundError as error:
                raise ObjectNotFound(
                    f"original {content} does not exist in {self._root}"
                ) from error
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                while piece := file.read(_PIECE):
                    yield piece

    @override
    def _exists(self, content: str) -> bool:
        with (
            self._errors("read"),
            suppress(FileNotFoundError),
            self._opened(_ORIGINALS, content[:2]) as folder,
        ):
            return stat.S_ISREG(os.stat(content, dir_fd=folder, follow_symlinks=False).st_mode)
        return False

    @override
    def _delete(self, content: str) -> None:
        with self._errors("delete"):
            with self._opened(_THUMBNAILS) as thumbnails:
                edges = [name for name in os.listdir(thumbnails) if name.isdecimal()]
            for edge in edges:
                self._remove(content, _THUMBNAILS, edge, content[:2])
            self._remove(content, _ORIGINALS, content[:2])

    @override
    def contents(self) -> Iterator[tuple[str, float]]:
        with self._errors("list"):
            with self._opened(_ORIGINALS) as originals:
                shards = [name for name in os.listdir(originals) if _SHARD.fullmatch(name)]
            for shard in shards:
                yield from self._ages(shard)

    @override
    def _link(self, content: str, seconds: int, name: str, media_type: str) -> str | None:
        return None

    @override
    def _put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        shard = _THUMBNAILS, str(edge), content[:2]
        with self._errors("write"), self._opened(*shard, create=True) as folder:
            self._write(folder, content, data)

    @override
    def _thumbnail(self, content: str, edge: int) -> bytes | None:
        with (
            self._errors("read"),
            suppress(FileNotFoundError),
            self._opened(_THUMBNAILS, str(edge), content[:2]) as folder,
        ):
            descriptor = os.open(content, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                return file.read()
        return None

    def _ages(self, shard: str) -> list[tuple[str, float]]:
        """Return the hashes and the ages in seconds of the originals in a shard."""
        ages = []
        with self._opened(_ORIGINALS, shard) as folder:
            for name in filter(CONTENT.fullmatch, os.listdir(folder)):
                with suppress(FileNotFoundError):  # another process deleted it
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        ages.append((name, max(0.0, time.time() - status.st_mtime)))
        return ages

    def _write(self, folder: int, name: str, data: bytes) -> None:
        """Write a file to an open folder atomically and durably."""
        draft = f"{name}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with self._opened(_UNFINISHED) as unfinished:
            descriptor = os.open(draft, flags, 0o600, dir_fd=unfinished)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(draft, name, src_dir_fd=unfinished, dst_dir_fd=folder)
            except OSError:
                os.unlink(draft, dir_fd=unfinished)
                raise
        os.fsync(folder)  # makes the new name durable

    def _remove(self, name: str, *folders: str) -> None:
        with suppress(FileNotFoundError), self._opened(*folders) as folder:
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def _create_folders(self) -> None:
        with self._opened() as root:
            for name in (_ORIGINALS, _THUMBNAILS, _UNFINISHED):
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=root)
            os.fsync(root)

    def _delete_stale(self) -> None:
        """Delete unfinished files that killed writers left."""
        with self._opened(_UNFINISHED) as unfinished:
            for draft in os.listdir(unfinished):
                with suppress(FileNotFoundError):  # another process finished or deleted it
                    written = os.stat(draft, dir_fd=unfinished, follow_symlinks=False).st_mtime
                    if time.time() - written > _STALE:
                        os.unlink(draft, dir_fd=unfinished)

    @contextmanager
    def _opened(self, *folders: str, create: bool = False) -> Iterator[int]:
        """Return a context manager that yields the file descriptor of a folder below the root.

        If `create` is True, missing folders below the first are created. The root and the first
        folder existed when the store was opened. If one of them is missing, the disk may be
        unmounted, which must not look like an empty store.

        Raises:
            FileNotFoundError: a folder below the first is missing.
            ObjectStoreError: the root or the first folder is missing.
        """
        descriptor = self._open_existing(self._root, None)
        try:
            for depth, name in enumerate(folders):
                if depth and create:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=descriptor)
                        os.fsync(descriptor)
                inner = (
                    os.open(name, _FOLDER, dir_fd=descriptor)
                    if depth
                    else self._open_existing(name, descriptor)
                )
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_existing(self, folder: Path | str, parent: int | None) -> int:
        try:
            return os.open(folder, _FOLDER, dir_fd=parent)
        except FileNotFoundError as error:
            raise ObjectStoreError(
                f"the originals in {self._root} are missing: the folder was deleted or its disk "
                "is not mounted. Mount or restore it."
            ) from error

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                reason = "a symbolic link or another file is in its place. Delete it."
            raise ObjectStoreError(f"cannot {verb} originals in {self._root}: {reason}") from error
