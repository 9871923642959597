"""What a published dataset consists of: the path, the size and the sha256 of each of its files.

A manifest is a text in UTF-8. Its first line is ``path<TAB>size<TAB>sha256``, and so is every
other one: a path relative to the dataset's folder, bytes, and 64 letters of hex, sorted by path.
"""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final, Self, TypeAlias

from imgsearch.errors import DatasetError

HEADER: Final = "path\tsize\tsha256"
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_PLACES: Final = (_PACKAGE / "_data", _PACKAGE.parent / "data")  # wheel, then checkout

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Is told a stage, and how many bytes of how many are done."""


def untold(_stage: str, _done: int, _total: int) -> None:
    """Tell nobody of the progress."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a dataset; `path` is relative, with slashes, in Unicode's composed form (NFC)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a folder holds of a manifest's files: paths, sorted. `extra` are not in the manifest.

    Hidden files are never extra.
    """

    good: tuple[str, ...]
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every file is there, and is the one that was promised."""
        return not (self.missing or self.wrong)


@dataclass(frozen=True)  # no slots: the total is kept once it is known
class Manifest:
    """The files of a dataset by their paths."""

    files: Mapping[str, File]

    @cached_property
    def total(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files.values())

    @classmethod
    def published(cls, name: str) -> Self:
        """Return the manifest that comes with the package.

        Raises:
            DatasetError: there is none of that name.
        """
        for place in _PLACES:
            file = place / f"manifest.{name}.tsv"
            if file.is_file():
                return cls.read(file)
        raise DatasetError(f"no manifest of {name!r} comes with this installation")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the manifest in a file.

        Raises:
            DatasetError: it cannot be read, or is no manifest.
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path} cannot be read: {error}") from error
        except DatasetError as error:
            raise DatasetError(f"{path} is no manifest: {error}") from error

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the manifest that `text` is.

        Raises:
            DatasetError: it is none; or a path leads out of the folder, or two paths are one where
                case or the form of Unicode makes no difference.
        """
        header, *lines = text.removesuffix("\n").split("\n")
        if header.rstrip("\r") != HEADER or not lines:
            raise DatasetError(
                f"its first line is {header[:80]!r}, expected {HEADER!r}, then files"
            )
        files: dict[str, File] = {}
        for number, line in enumerate(lines, 2):
            file = _file(line.rstrip("\r"))
            if file is None:
                raise DatasetError(f"line {number} is not a safe path, a size and a sha256")
            if file.path in files:
                raise DatasetError(f"line {number} repeats {file.path}")
            files[file.path] = file
        _check_collisions(files)
        return cls(files)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the manifest of what lies in a folder, hidden names left out.

        Raises:
            DatasetError: a file cannot be read, has a name that not every system can keep, or
                there is none.
        """
        files = {}
        for path in found(folder):
            if not is_safe(path):
                raise DatasetError(f"the name {path!r} is not safe on every system; rename it")
            name = unicodedata.normalize("NFC", path)
            files[name] = File(name, *_measured(folder / path))
        if not files:
            raise DatasetError(f"{folder} holds no files")
        _check_collisions(files)
        return cls(files)

    def text(self) -> str:
        """Return what `parse` takes."""
        files = sorted(self.files.values(), key=lambda file: file.path)
        lines = (f"{file.path}\t{file.size}\t{file.sha256}" for file in files)
        return "\n".join((HEADER, *lines, ""))

    def check(self, folder: Path, on_progress: OnProgress = untold) -> Verdict:
        """Return how a folder compares; every file that is there and of its size is read.

        1,101 files of 126 MB took 0.2 s (files cached by the system, 2-core virtual machine,
        Python 3.11).

        Raises:
            DatasetError: a file cannot be read.
        """
        good: list[str] = []
        missing: list[str] = []
        wrong: list[str] = []
        done = 0
        for path, file in sorted(self.files.items()):
            try:
                same = matches(folder / path, file)
            except (FileNotFoundError, NotADirectoryError):
                missing.append(path)
            except OSError as error:
                raise DatasetError(f"{folder / path} cannot be read: {error.strerror}") from error
            else:
                (good if same else wrong).append(path)
            done += file.size
            on_progress("checking", done, self.total)
        there = {unicodedata.normalize("NFC", path): path for path in found(folder)}
        extra = sorted(there[name] for name in there.keys() - self.files.keys())
        return Verdict(tuple(good), tuple(missing), tuple(wrong), tuple(extra))


def is_safe(path: str) -> bool:
    """Tell whether a relative path stays in its folder, and means one place on every system."""
    parts = path.split("/")
    return not (
        any(part in ("", ".", "..") or part[-1] in ". " for part in parts)
        or any(letter in '\\:*?"<>|' for letter in path)
        or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path)
    )


def matches(path: Path, file: File) -> bool:
    """Tell whether the file at `path` is the one that is meant.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    told = path.stat()
    if not stat.S_ISREG(told.st_mode) or told.st_size != file.size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def found(folder: Path) -> Iterator[str]:
    """Yield the paths of all that is no folder, relative to `folder`; hidden names are left out.

    Raises:
        DatasetError: a folder cannot be listed.
    """

    def fail(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be listed: {error.strerror}") from error

    if not folder.exists():
        return
    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield (Path(place) / name).relative_to(folder).as_posix()


def _file(line: str) -> File | None:
    path, *rest = line.split("\t")
    size, digest = rest if len(rest) == 2 else ("", "")
    if not (re.fullmatch("[0-9]{1,15}", size) and re.fullmatch("[0-9a-f]{64}", digest)):
        return None
    if not is_safe(path) or path != unicodedata.normalize("NFC", path):
        return None
    return File(path, int(size), digest)


def _check_collisions(files: Mapping[str, File]) -> None:
    """Refuse paths that are one file on some systems, or of which one is the other's folder."""
    seen: dict[str, str] = {}
    for path in files:
        other = seen.setdefault(unicodedata.normalize("NFC", path.casefold()), path)
        if other != path:
            raise DatasetError(f"{other} and {path} are one file where case makes no difference")
    for folded, path in seen.items():
        for parent in PurePosixPath(folded).parents:
            if str(parent) in seen:
                raise DatasetError(f"{seen[str(parent)]} is a file, and the folder of {path}")


def _measured(path: Path) -> tuple[int, str]:
    """Return the size and the sha256 of a regular file."""
    try:
        if not path.is_file():
            raise DatasetError(f"{path} is no regular file")
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return stream.tell(), digest
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
