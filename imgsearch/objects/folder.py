"""An object store in a local folder that only its owner can read.

Files are ``originals/ab/HASH`` and ``thumbnails/EDGE/ab/HASH``, and are first written to
``unfinished/``. Folders have mode 0700 and files have mode 0600. Each path component is opened
relative to its open parent folder, without following symbolic links. So no file outside the folder
is read, written or deleted. `open_folder` lists the weaker points on Windows.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from typing_extensions import override

from imgsearch.errors import ImgSearchError, ObjectNotFound, ObjectStoreError
from imgsearch.objects.base import CONTENT, PIECE, ObjectStore, other_hash
from imgsearch.objects.open_folder import OpenFolder, open_folder

_STALE: Final = (
    3600.0  # seconds; no write takes an hour, so an older file is left over from a killed writer
)
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
            if not self._is_known(folder, content, len(data)):
                self._write(folder, content, [data])

    @override
    def _put_file(
        self, content: str, opener: Callable[[], BinaryIO], size: int, media_type: str
    ) -> None:
        with self._errors("write"), self._opened(_ORIGINALS, content[:2], create=True) as folder:
            if not self._is_known(folder, content, size):
                with opener() as file:
                    self._write(folder, content, _checked(file, content))

    def _is_known(self, folder: OpenFolder, content: str, size: int) -> bool:
        """Return whether an original is stored, which is marked as new then."""
        with suppress(FileNotFoundError):
            known = folder.status(content)
            # a file of another size was damaged by another program, and is written again
            if stat.S_ISREG(known.st_mode) and known.st_size == size:
                folder.touch(content)
                return True
        return False

    @override
    def _stream(self, content: str) -> Iterator[bytes]:
        with self._errors("read"), self._open(content) as file:
            while piece := file.read(PIECE):
                yield piece

    @override
    def _open(self, content: str) -> BinaryIO:
        with self._errors("read"):
            try:
                with self._opened(_ORIGINALS, content[:2]) as folder:
                    return folder.read(content)
            except FileNotFoundError as error:
                raise ObjectNotFound(
                    f"original {content} does not exist in {self._root}"
                ) from error

    @override
    def _exists(self, content: str) -> bool:
        with (
            self._errors("read"),
            suppress(FileNotFoundError),
            self._opened(_ORIGINALS, content[:2]) as folder,
        ):
            return stat.S_ISREG(folder.status(content).st_mode)
        return False

    @override
    def _delete(self, content: str) -> None:
        with self._errors("delete"):
            with self._opened(_THUMBNAILS) as thumbnails:
                edges = [name for name in thumbnails.names() if name.isdecimal()]
            for edge in edges:
                self._remove(content, _THUMBNAILS, edge, content[:2])
            self._remove(content, _ORIGINALS, content[:2])

    @override
    def contents(self) -> Iterator[tuple[str, float]]:
        with self._errors("list"):
            with self._opened(_ORIGINALS) as originals:
                shards = [name for name in originals.names() if _SHARD.fullmatch(name)]
            for shard in shards:
                yield from self._ages(shard)

    @override
    def _link(self, content: str, seconds: int, name: str, media_type: str) -> str | None:
        return None

    @override
    def _put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        shard = _THUMBNAILS, str(edge), content[:2]
        with self._errors("write"), self._opened(*shard, create=True) as folder:
            self._write(folder, content, [data])

    @override
    def _thumbnail(self, content: str, edge: int) -> bytes | None:
        with (
            self._errors("read"),
            suppress(FileNotFoundError),
            self._opened(_THUMBNAILS, str(edge), content[:2]) as folder,
            folder.read(content) as file,
        ):
            return file.read()
        return None

    def _ages(self, shard: str) -> list[tuple[str, float]]:
        """Return the hashes and the ages in seconds of the originals in a shard."""
        ages = []
        with self._opened(_ORIGINALS, shard) as folder:
            for name in filter(CONTENT.fullmatch, folder.names()):
                with suppress(FileNotFoundError):  # another process deleted it
                    status = folder.status(name)
                    if stat.S_ISREG(status.st_mode):
                        ages.append((name, max(0.0, time.time() - status.st_mtime)))
        return ages

    def _write(self, folder: OpenFolder, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file to an open folder atomically and durably."""
        draft = f"{name}.{secrets.token_hex(8)}"
        with self._opened(_UNFINISHED) as unfinished:
            new = unfinished.create(draft)
            try:
                with new as file:
                    for piece in pieces:
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.move(draft, folder, name)
            except (OSError, ImgSearchError):
                unfinished.delete(draft)
                raise
        folder.sync()  # makes the new name durable

    def _remove(self, name: str, *folders: str) -> None:
        with suppress(FileNotFoundError), self._opened(*folders) as folder:
            folder.delete(name)
            folder.sync()

    def _create_folders(self) -> None:
        with self._opened() as root:
            for name in (_ORIGINALS, _THUMBNAILS, _UNFINISHED):
                with suppress(FileExistsError):
                    root.create_folder(name)
            root.sync()

    def _delete_stale(self) -> None:
        """Delete unfinished files that killed writers left."""
        with self._opened(_UNFINISHED) as unfinished:
            for draft in unfinished.names():
                with suppress(FileNotFoundError):  # another process finished or deleted it
                    written = unfinished.status(draft).st_mtime
                    if time.time() - written > _STALE:
                        unfinished.delete(draft)

    @contextmanager
    def _opened(self, *folders: str, create: bool = False) -> Iterator[OpenFolder]:
        """Return a context manager that yields an open folder below the root.

        If `create` is True, missing folders below the first are created. The root and the first
        folder existed when the store was opened. If one of them is missing, the disk may be
        unmounted, which must not look like an empty store.

        Raises:
            FileNotFoundError: a folder below the first is missing.
            ObjectStoreError: the root or the first folder is missing.
        """
        folder = self._open_existing(lambda: open_folder(self._root))
        try:
            for depth, name in enumerate(folders):
                if depth and create:
                    with suppress(FileExistsError):
                        folder.create_folder(name)
                        folder.sync()
                inner = (
                    folder.folder(name)
                    if depth
                    else self._open_existing(partial(folder.folder, name))
                )
                folder.close()
                folder = inner
            yield folder
        finally:
            folder.close()

    def _open_existing(self, open_it: Callable[[], OpenFolder]) -> OpenFolder:
        try:
            return open_it()
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


def _checked(file: BinaryIO, content: str) -> Iterator[bytes]:
    """Yield a file in pieces, and check its hash at the end.

    Raises:
        ConfigError: the file has another hash.
    """
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != content:
        raise other_hash(content)
