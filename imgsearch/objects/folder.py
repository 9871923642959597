"""Originals in a local folder that only its owner reads.

``originals/ab/HASH``, ``thumbnails/EDGE/ab/HASH``, and ``unfinished/`` for what is being written.
Folders have mode 0700 and files 0600. Every step down is taken from an open folder and through no
symbolic link, so that nothing outside is read, written or removed.
"""

# ruff: noqa: PTH208  # pathlib knows no open folders
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
_LEFT: Final = 3600.0  # seconds; no write takes an hour, so such a file's writer is gone
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_ORIGINALS, _THUMBNAILS, _UNFINISHED = "originals", "thumbnails", "unfinished"


class FolderStore(ObjectStore):
    """Originals below `folder`, which is made where it is not there (its parents are not).

    Raises:
        ObjectStoreError: it is no folder, or cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder.expanduser().resolve()
        self.url = self._root.as_uri()
        with self._errors("open"):
            with suppress(FileExistsError):
                self._root.mkdir(mode=0o700)
            self._furnish()
            self._tidy()

    @override
    def ping(self) -> None:
        with self._errors("open"):
            for name in (_ORIGINALS, _THUMBNAILS, _UNFINISHED):
                with self._opened(name):
                    pass

    @override
    def _put(self, content: str, data: bytes, media_type: str) -> None:
        with self._errors("write"), self._opened(_ORIGINALS, content[:2], create=True) as place:
            with suppress(FileNotFoundError):
                found = os.stat(content, dir_fd=place, follow_symlinks=False)
                # one of another length was damaged from outside: it is written anew
                if stat.S_ISREG(found.st_mode) and found.st_size == len(data):
                    os.utime(content, dir_fd=place, follow_symlinks=False)
                    return
            self._write(place, content, data)

    @override
    def _stream(self, content: str) -> Iterator[bytes]:
        with self._errors("read"):
            try:
                with self._opened(_ORIGINALS, content[:2]) as place:
                    descriptor = os.open(content, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
            except FileNotFoundError as error:
                raise ObjectNotFound(f"no original of content {content} in {self._root}") from error
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                while piece := file.read(_PIECE):
                    yield piece

    @override
    def _exists(self, content: str) -> bool:
        with (
            self._errors("read"),
            suppress(FileNotFoundError),
            self._opened(_ORIGINALS, content[:2]) as place,
        ):
            return stat.S_ISREG(os.stat(content, dir_fd=place, follow_symlinks=False).st_mode)
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
        with self._errors("write"), self._opened(*shard, create=True) as place:
            self._write(place, content, data)

    @override
    def _thumbnail(self, content: str, edge: int) -> bytes | None:
        with (
            self._errors("read"),
            suppress(FileNotFoundError),
            self._opened(_THUMBNAILS, str(edge), content[:2]) as place,
        ):
            descriptor = os.open(content, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
            with os.fdopen(descriptor, "rb") as file:
                return file.read()
        return None

    def _ages(self, shard: str) -> list[tuple[str, float]]:
        """Return the originals of a shard and their ages in seconds."""
        found = []
        with self._opened(_ORIGINALS, shard) as place:
            for name in filter(CONTENT.fullmatch, os.listdir(place)):
                with suppress(FileNotFoundError):  # deleted by another
                    told = os.stat(name, dir_fd=place, follow_symlinks=False)
                    if stat.S_ISREG(told.st_mode):
                        found.append((name, max(0.0, time.time() - told.st_mtime)))
        return found

    def _write(self, place: int, name: str, data: bytes) -> None:
        """Have a file in the open folder `place`, on the disk when this returns."""
        draft = f"{name}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with self._opened(_UNFINISHED) as desk:
            descriptor = os.open(draft, flags, 0o600, dir_fd=desk)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(draft, name, src_dir_fd=desk, dst_dir_fd=place)
            except OSError:
                os.unlink(draft, dir_fd=desk)
                raise
        os.fsync(place)  # the name as well

    def _remove(self, name: str, *folders: str) -> None:
        with suppress(FileNotFoundError), self._opened(*folders) as place:
            os.unlink(name, dir_fd=place)
            os.fsync(place)

    def _furnish(self) -> None:
        with self._opened() as root:
            for name in (_ORIGINALS, _THUMBNAILS, _UNFINISHED):
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=root)
            os.fsync(root)

    def _tidy(self) -> None:
        """Remove what writers left that were killed."""
        with self._opened(_UNFINISHED) as desk:
            for draft in os.listdir(desk):
                with suppress(FileNotFoundError):  # finished, or removed by another process
                    written = os.stat(draft, dir_fd=desk, follow_symlinks=False).st_mtime
                    if time.time() - written > _LEFT:
                        os.unlink(draft, dir_fd=desk)

    @contextmanager
    def _opened(self, *folders: str, create: bool = False) -> Iterator[int]:
        """Give the descriptor of a folder below the root.

        `create` makes the lower ones. The upper ones were there when the store was opened: if they
        are not, a disk is gone, which must pass neither for an empty store nor for a fresh one.

        Raises:
            FileNotFoundError: a lower folder is not there.
            ObjectStoreError: an upper one is not.
        """
        place = self._gone_or_open(self._root, None)
        try:
            for depth, name in enumerate(folders):
                if depth and create:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=place)
                        os.fsync(place)
                inner = (
                    os.open(name, _FOLDER, dir_fd=place)
                    if depth
                    else self._gone_or_open(name, place)
                )
                os.close(place)
                place = inner
            yield place
        finally:
            os.close(place)

    def _gone_or_open(self, folder: Path | str, place: int | None) -> int:
        try:
            return os.open(folder, _FOLDER, dir_fd=place)
        except FileNotFoundError as error:
            raise ObjectStoreError(f"the originals in {self._root} are gone: no folder") from error

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                why = "something other than a file or folder of ours lies in its place"
            raise ObjectStoreError(f"cannot {verb} originals in {self._root}: {why}") from error
