"""Open folders whose files are named relative to them, without following links.

On POSIX a folder is a file descriptor, so nothing outside it can be reached, even if another
process replaces a folder by a link meanwhile. Windows has no such calls; see `CheckedFolder`.
"""

# ruff: noqa: PTH208  # pathlib does not support folder descriptors
import errno
import os
import stat
from abc import abstractmethod
from pathlib import Path
from typing import BinaryIO, Final, Self

from typing_extensions import override

from imgsearch.types import Closeable

_RELATIVE: Final = ("open", "stat", "utime", "mkdir", "unlink", "rename")
_HAS_DESCRIPTORS: Final = (
    all(hasattr(os, name) for name in ("O_DIRECTORY", "O_NOFOLLOW"))
    and {getattr(os, name) for name in _RELATIVE} <= os.supports_dir_fd
    and {os.stat, os.utime} <= os.supports_follow_symlinks
)
_REPARSE_POINT: Final = 0x400  # a link or a mount on Windows, which `S_ISLNK` does not always show
# 0 without the flags; then `CheckedFolder` is used
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


class OpenFolder(Closeable):
    """An open folder. All names are of its direct entries. Every method raises OSError."""

    @abstractmethod
    def folder(self, name: str) -> Self:
        """Open a folder in it."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of its entries."""

    @abstractmethod
    def status(self, name: str) -> os.stat_result:
        """Return the status of an entry; of a link, its own."""

    @abstractmethod
    def touch(self, name: str) -> None:
        """Set the times of an entry to the present."""

    @abstractmethod
    def read(self, name: str) -> BinaryIO:
        """Open a file for reading, without a buffer."""

    @abstractmethod
    def create(self, name: str) -> BinaryIO:
        """Create a file that did not exist, for its owner only, and open it for writing."""

    @abstractmethod
    def create_folder(self, name: str) -> None:
        """Create a folder for its owner only."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file."""

    @abstractmethod
    def move(self, name: str, into: Self, new: str) -> None:
        """Move a file into another open folder, and replace a file there."""

    @abstractmethod
    def sync(self) -> None:
        """Make the names of entries durable."""


class DescriptorFolder(OpenFolder):
    """A folder by its file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @override
    def folder(self, name: str) -> "DescriptorFolder":
        return DescriptorFolder(os.open(name, _FOLDER, dir_fd=self._descriptor))

    @override
    def names(self) -> list[str]:
        return os.listdir(self._descriptor)

    @override
    def status(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)

    @override
    def touch(self, name: str) -> None:
        os.utime(name, dir_fd=self._descriptor, follow_symlinks=False)

    @override
    def read(self, name: str) -> BinaryIO:
        descriptor = os.open(name, _FILE, dir_fd=self._descriptor)
        return os.fdopen(descriptor, "rb", buffering=0)

    @override
    def create(self, name: str) -> BinaryIO:
        return os.fdopen(os.open(name, _NEW, 0o600, dir_fd=self._descriptor), "wb")

    @override
    def create_folder(self, name: str) -> None:
        os.mkdir(name, 0o700, dir_fd=self._descriptor)

    @override
    def delete(self, name: str) -> None:
        os.unlink(name, dir_fd=self._descriptor)

    @override
    def move(self, name: str, into: "DescriptorFolder", new: str) -> None:
        os.rename(name, new, src_dir_fd=self._descriptor, dst_dir_fd=into._descriptor)

    @override
    def sync(self) -> None:
        os.fsync(self._descriptor)

    @override
    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


class CheckedFolder(OpenFolder):
    """A folder by its path, for systems that cannot open files relative to a folder.

    This is weaker: each folder and file is checked to be no link before it is used, so a program of
    the same user that replaces it by a link in between is followed. Permissions are those of the
    parent folder (on Windows, its access list), and after a power failure a new name may be lost,
    because folders cannot be synced.
    """

    def __init__(self, path: Path) -> None:
        if not stat.S_ISDIR(_own_status(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        self._path = path

    @override
    def folder(self, name: str) -> "CheckedFolder":
        return CheckedFolder(self._path / name)

    @override
    def names(self) -> list[str]:
        return os.listdir(self._path)

    @override
    def status(self, name: str) -> os.stat_result:
        return os.lstat(self._path / name)

    @override
    def touch(self, name: str) -> None:
        _own_status(self._path / name)
        os.utime(self._path / name)

    @override
    def read(self, name: str) -> BinaryIO:
        _own_status(self._path / name)
        return (self._path / name).open("rb", buffering=0)

    @override
    def create(self, name: str) -> BinaryIO:
        return (self._path / name).open("xb")

    @override
    def create_folder(self, name: str) -> None:
        (self._path / name).mkdir(0o700)

    @override
    def delete(self, name: str) -> None:
        (self._path / name).unlink()

    @override
    def move(self, name: str, into: "CheckedFolder", new: str) -> None:
        (self._path / name).replace(into._path / new)

    @override
    def sync(self) -> None:
        """Do nothing."""

    @override
    def close(self) -> None:
        """Do nothing."""


def open_folder(path: Path) -> OpenFolder:
    """Open a folder that is not a link.

    Raises:
        OSError: there is no folder, or it cannot be opened.
    """
    if _HAS_DESCRIPTORS:
        return DescriptorFolder(os.open(path, _FOLDER))
    return CheckedFolder(path)


def _own_status(path: Path) -> os.stat_result:
    """Return the status of a file or folder that is not a link.

    Raises:
        OSError: it is a link, or does not exist.
    """
    status = os.lstat(path)
    reparse = getattr(status, "st_file_attributes", 0) & _REPARSE_POINT
    if stat.S_ISLNK(status.st_mode) or reparse:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return status
