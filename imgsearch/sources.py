"""Folder, glob, csv, file, list of these → references to images: the only place that reads them.

Paths are as the caller wrote them (``~`` expanded, those in a csv joined to its folder). A file
name that is not UTF-8 keeps Python's surrogates, so that it can be opened; `printable` is the form
for stores, logs and pages. Labels are printable already.
"""

import csv
import glob
import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from imgsearch.errors import SourceError
from imgsearch.images import HEAD, sniff

Source: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A folder, a glob, a csv, an image file, or an iterable of these."""

SUFFIXES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp",
    ".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".heic", ".heif",
})  # fmt: skip
"""What claims to be a photo, readable or not: such a file is reported rather than passed over."""

MAX_BYTES: Final = 256 * 1024**2
"""Bytes of one file; 50 megapixels of uncompressed 32-bit TIFF take 200 MB."""

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# O_NONBLOCK: opening a named pipe returns at once instead of waiting for a writer
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_log = logging.getLogger(__name__)
_Accept: TypeAlias = Callable[[str], bool]
_Ignored: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reference:
    """Where one image lies, and what its source says of it ("" for nothing).

    `label`: the csv's column, or for a walked folder and a glob the name of the folder that holds
    the file; files directly in the walked folder have none. `id`: the csv's column.
    """

    path: str
    label: str = ""
    id: str = ""


def references(
    source: Source, *, on_ignored: Callable[[str], None] | None = None
) -> Iterator[Reference]:
    """Yield the images that `source` names, in a stable order.

    A folder is walked without following links to folders, sorted by name, a folder's files before
    its subfolders. Taken are regular files whose suffix or first bytes are an image's; hidden
    names, other files and folders that cannot be listed are passed over and told to `on_ignored`,
    and so are rows of a csv without a path. A glob is filtered likewise; a name that exists is
    never taken for a pattern. Files named one by one, in a csv or list, are not looked at: `read`
    tells what is wrong with them.

    Raises:
        SourceError: at the call where `source` is a URL, missing, matches nothing, or is a csv
            without a column ``path``; while iterating where a csv breaks off or an item of a list
            is no path. An item of a list that is not there is yielded and fails in `read`.
    """
    ignored = on_ignored or (lambda _path: None)
    return _references(source, _is_candidate, ignored)


def count(source: Source) -> int:
    """Return how many images `source` holds at most, without opening any.

    0 for an iterator, which counting would use up.

    Raises:
        SourceError: as for `references`.
    """
    if isinstance(source, Iterator):
        return 0
    return sum(1 for _ in _references(source, lambda _path: True, lambda _path: None))


def spread(paths: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the paths, evenly, so that no folder is left out for another."""
    number = min(most, len(paths))
    return [paths[place * len(paths) // number] for place in range(number)]


def read(reference: Reference | str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return a file's whole content.

    Raises:
        SourceError: there is no such file, it is a folder, pipe or device, may not be read, or has
            more than `max_bytes`.
    """
    path = reference.path if isinstance(reference, Reference) else os.fsdecode(reference)
    if not path or _URL.match(path):
        raise _missing(path)
    path = _expanded(path)
    try:
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size
            # one more than told, as a file that is being written may have grown
            data = file.read(min(size, max_bytes) + 1)
            if size < len(data) <= max_bytes:
                data += file.read(max_bytes + 1 - len(data))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(data) > max_bytes:
        most = f"{max(size, len(data)):,} bytes, at most {max_bytes:,} are read"
        raise SourceError(f"{printable(path)}: too large: {most}", path=path)
    return data


def content_id(data: bytes) -> str:
    """Return the id of a content: its sha256 in hex, 64 letters."""
    return hashlib.sha256(data).hexdigest()


def printable(path: str) -> str:
    r"""Return `path` as valid UTF-8: itself, or with bytes that are none as ``\udcXX``."""
    return path.encode("utf-8", "backslashreplace").decode()


def _references(source: Source, accept: _Accept, ignored: _Ignored) -> Iterator[Reference]:
    if not isinstance(source, (str, os.PathLike)):
        return _each(source, accept, ignored)
    found = _found(os.fsdecode(source), accept, ignored)
    if found is None:
        raise _missing(os.fsdecode(source))
    return found


def _each(
    sources: Iterable[str | os.PathLike[str]], accept: _Accept, ignored: _Ignored
) -> Iterator[Reference]:
    for source in sources:
        if not isinstance(source, (str, os.PathLike)):
            raise SourceError(f"a list of sources holds {source!r}, which is no path")
        text = os.fsdecode(source)
        found = _found(text, accept, ignored)
        yield from [Reference(text)] if found is None else found


def _found(text: str, accept: _Accept, ignored: _Ignored) -> Iterator[Reference] | None:
    """Return what one path names, or None where nothing is there."""
    if not text or _URL.match(text):
        return None
    path = Path(_expanded(text))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        matched = _glob(path) if glob.has_magic(str(path)) else []
        return _filtered(matched, accept, ignored) if matched else None
    if stat.S_ISDIR(mode):
        try:
            os.scandir(path).close()  # tells now, rather than while iterating
        except OSError as error:
            raise _unreadable(str(path), error) from error
        return _folder(path, accept, ignored)
    if stat.S_ISREG(mode) and path.suffix.lower() == ".csv":
        return _csv(path, _columns(path), ignored)
    return iter([Reference(str(path))])


def _folder(root: Path, accept: _Accept, ignored: _Ignored) -> Iterator[Reference]:
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            _log.warning("passed over: %s", _unreadable(str(folder), error))
            ignored(str(folder))
            continue
        label = "" if folder is root else printable(folder.name)
        subfolders = []
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                ignored(str(path))
            elif entry.is_dir(follow_symlinks=False):
                subfolders.append(path)
            elif accept(str(path)):
                yield Reference(str(path), label)
            else:
                ignored(str(path))
        stack.extend(reversed(subfolders))


def _glob(pattern: Path) -> list[Path]:
    """Return the files that match, sorted. ``**`` does not follow links, unlike glob's."""
    base, parts = Path(), list(pattern.parts)
    while parts and (not glob.has_magic(parts[0]) or (base / parts[0]).exists()):
        base /= parts.pop(0)
    if not parts:
        return []
    if parts[-1] == "**":  # alone it means folders only, before Python 3.13
        parts.append("*")
    hidden = any(part.startswith(".") for part in parts)
    try:
        return sorted(
            path
            for path in base.glob(str(Path(*parts)))
            if (hidden or not any(part.startswith(".") for part in path.relative_to(base).parts))
            and not path.is_dir()
        )
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(str(pattern), error) from error


def _filtered(paths: list[Path], accept: _Accept, ignored: _Ignored) -> Iterator[Reference]:
    for path in paths:
        if accept(str(path)):
            yield Reference(str(path), printable(path.parent.name))
        else:
            ignored(str(path))


def _columns(path: Path) -> dict[str, int]:
    _, names = next(_rows(path), (0, []))
    columns = {name.strip(): column for column, name in enumerate(names)}
    if "path" in columns:
        return columns
    has = ", ".join(columns) or "no header"
    shown = printable(f'{path}: no column "path" in its first line, but: {has}')
    raise SourceError(shown, path=str(path))


def _csv(path: Path, columns: dict[str, int], ignored: _Ignored) -> Iterator[Reference]:
    rows = _rows(path)
    next(rows, None)
    for line, row in rows:
        cells = {name: row[column] for name, column in columns.items() if column < len(row)}
        file = cells.get("path", "")
        if not file.strip():
            ignored(f"{path}: line {line}")
            continue
        file = file if _URL.match(file) else str(path.parent / _expanded(file))
        yield Reference(file, printable(cells.get("label", "")), printable(cells.get("id", "")))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield a csv's rows that are not empty, each with the number of its last line."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (OSError, csv.Error) as error:
        raise _unreadable(str(path), error) from error


def _is_candidate(path: str) -> bool:
    """Tell whether a file of a folder is an image, or claims to be one."""
    if Path(path).suffix.lower() in SUFFIXES:
        try:
            return stat.S_ISREG(Path(path).stat().st_mode)
        except OSError:
            return True  # vanished, or a link to nowhere: `read` tells
    try:
        with _open(path) as file:
            return sniff(file.read(HEAD)) is not None
    except OSError:
        return False


def _open(path: str) -> BinaryIO:
    """Return a regular file, opened; nothing else can make this wait.

    Raises:
        OSError: it cannot be opened, or is something else.
        ValueError: `path` cannot be a file's name.
    """
    descriptor = os.open(path, _FLAGS)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError("is a folder" if stat.S_ISDIR(mode) else "is a pipe, socket or device")


def _expanded(path: str) -> str:
    # Path.expanduser raises for a file that merely begins with ~
    return os.path.expanduser(path)  # noqa: PTH111


def _missing(path: str) -> SourceError:
    if not path:
        return SourceError("an empty path names no file")
    shown = printable(path)
    if _URL.match(path):
        advice = "download the images into a folder first, and name that"
        return SourceError(f"{shown}: URLs are not fetched yet: {advice}", path=path)
    what = "no file matches" if glob.has_magic(path) else "no such file or folder"
    return SourceError(f"{shown}: {what}", path=path)


def _unreadable(path: str, error: Exception) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return _missing(path)
    why = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{printable(path)}: cannot be read: {printable(why)}", path=path)
