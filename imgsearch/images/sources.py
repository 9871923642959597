"""Sources of images: folders, globs, lists and files. The only module that reads image files.

Paths are as the caller wrote them (``~`` expanded, paths in a csv joined to its folder). Bytes of
a file name that are not UTF-8 are surrogate escapes, so the file can be opened; `printable` returns
the form for stores, logs and pages. Labels are printable and in composed Unicode form (NFC).
"""

import glob
import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from imgsearch.errors import ConfigError, SourceError
from imgsearch.filters import composed
from imgsearch.images import HEAD, MAX_PIXELS, image_lists, sniff
from imgsearch.images.references import Reference
from imgsearch.images.splits import is_split
from imgsearch.images.suffixes import OTHERS, PHOTOS

Source: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A folder, a glob, a csv, tsv or parquet file, an image file, or an iterable of these."""

MAX_BYTES: Final = 256 * 1024**2
"""Limit for one file in bytes; 50 megapixels of uncompressed 32-bit TIFF take 200 MB."""

_LIST: Final = "a list of images, not an image. Add it, or evaluate it"
_OTHER_FILES: Final = {**dict.fromkeys(image_lists.SUFFIXES, _LIST), **OTHERS}
_CONTENT_ID: Final = re.compile(r"[0-9a-f]{64}(?:#\d+)?")
_LISTED: Final = ("path", "label", "id")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# O_NONBLOCK: opening a named pipe returns at once instead of waiting for a writer
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_log = logging.getLogger(__name__)
_Accept: TypeAlias = Callable[[str], bool]
_OnText: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Walk:
    """Callbacks of a walk: whether to accept a file, and reports of ignored files and notes."""

    accept: _Accept
    ignored: _OnText
    note: _OnText


def references(
    source: Source, *, on_ignored: _OnText | None = None, on_note: _OnText | None = None
) -> Iterator[Reference]:
    """Yield the images that `source` names, in a stable order.

    A folder is walked in the order of names, files before subfolders, without following links to
    folders. Regular files with the suffix or signature of an image are yielded. `on_ignored` is
    called for hidden names, other files, unreadable folders and list rows without a path. Matches
    of a glob are filtered in the same way; an existing name is never read as a pattern. Files in a
    list or an iterable are yielded unchecked: `read` raises for invalid ones. `on_note` is called
    with a sentence if a csv is not UTF-8.

    Raises:
        SourceError: at the call if `source` is a URL, does not exist, matches nothing, or is a
            list without a column ``path``; during iteration if a list is invalid, or an item of
            an iterable is not a path.
    """
    return _references(source, _Walk(_is_candidate, on_ignored or _ignore, on_note or _ignore))


def count(source: Source) -> int:
    """Return an upper bound of the number of files in `source`, without opening images.

    It includes files that `references` ignores. Returns 0 for an iterator, to not consume it.

    Raises:
        SourceError: see `references`.
    """
    if isinstance(source, Iterator):
        return 0
    ignored: list[int] = []
    walk = _Walk(lambda _path: True, lambda _path: ignored.append(1), _ignore)
    return sum(1 for _ in _references(source, walk)) + len(ignored)


def spread(paths: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of the paths, taken at equal intervals."""
    number = min(most, len(paths))
    return [paths[index * len(paths) // number] for index in range(number)]


def read(
    reference: Reference | str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Return the content of a file, or the bytes of an image in memory; see `objects.encoded`.

    Raises:
        ImageTooLarge: an image in memory has more than `max_pixels` pixels.
        SourceError: the file does not exist, is a folder, pipe or device, may not be read, has
            more than `max_bytes`, or has no image signature and the suffix of a table or document.
    """
    if isinstance(reference, Reference) and reference.content is not None:
        return _encoded(reference, max_pixels)
    path = reference.path if isinstance(reference, Reference) else os.fsdecode(reference)
    if not path or _URL.match(path):
        raise _missing(path)
    path = _expand(path)
    try:
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size
            # one byte more than its size, because a file that is being written may have grown
            data = file.read(min(size, max_bytes) + 1)
            if size < len(data) <= max_bytes:
                data += file.read(max_bytes + 1 - len(data))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(data) > max_bytes:
        most = f"{max(size, len(data)):,} bytes, at most {max_bytes:,} are read"
        raise SourceError(f"{printable(path)}: too large: {most}", path=path)
    other = _OTHER_FILES.get(Path(path).suffix.lower())
    if other and sniff(data[:HEAD]) is None:
        raise SourceError(f"{printable(path)}: this is {other}", path=path)
    return data


def _encoded(reference: Reference, max_pixels: int) -> bytes:
    from imgsearch.images.objects import encoded

    try:
        return encoded(reference.content, max_pixels=max_pixels)
    except (ConfigError, SourceError) as error:
        raise SourceError(f"{reference.title}: {error}", path=reference.path) from error


def content_id(data: bytes) -> str:
    """Return the id of a file's content: the sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_content_id(id_: str) -> bool:
    """Return whether an id is a content id, or a region's id that begins with one."""
    return _CONTENT_ID.fullmatch(id_) is not None


def printable(path: str) -> str:
    r"""Return `path` as valid UTF-8, with ``\udcXX`` for invalid bytes."""
    return path.encode("utf-8", "backslashreplace").decode()


def label_text(text: str) -> str:
    """Return a label in its stored form: printable and in composed Unicode form (NFC)."""
    return composed(printable(text))


def _references(source: Source, walk: _Walk) -> Iterator[Reference]:
    if not isinstance(source, (str, os.PathLike)):
        return _references_of_all(source, walk)
    images = _find(os.fsdecode(source), walk)
    if images is None:
        raise _missing(os.fsdecode(source))
    return images


def _references_of_all(
    sources: Iterable[str | os.PathLike[str]], walk: _Walk
) -> Iterator[Reference]:
    for source in sources:
        if not isinstance(source, (str, os.PathLike)):
            raise SourceError(f"a list of sources holds {source!r}, which is not a path")
        text = os.fsdecode(source)
        images = _find(text, walk)
        yield from [Reference(text)] if images is None else images


def _find(text: str, walk: _Walk) -> Iterator[Reference] | None:
    """Return the images that one path names, or None if it does not exist."""
    if not text or _URL.match(text):
        return None
    path = Path(_expand(text))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        matched = _glob(path) if glob.has_magic(str(path)) else []
        return _filter(matched, walk) if matched else None
    if stat.S_ISDIR(mode):
        try:
            os.scandir(path).close()  # raises now rather than while iterating
        except OSError as error:
            raise _unreadable(str(path), error) from error
        return _walk_folder(path, walk)
    if stat.S_ISREG(mode) and path.suffix.lower() in image_lists.SUFFIXES:
        return _read_list(path, _columns(path), walk)
    return iter([Reference(str(path))])


def _walk_folder(root: Path, walk: _Walk) -> Iterator[Reference]:
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            _log.warning("skipped: %s", _unreadable(str(folder), error))
            walk.ignored(str(folder))
            continue
        label = None if folder is root else _label(folder)
        subfolders = []
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                walk.ignored(str(path))
            elif entry.is_dir(follow_symlinks=False):
                subfolders.append(path)
            elif walk.accept(str(path)):
                yield Reference(str(path), label)
            else:
                walk.ignored(str(path))
        stack.extend(reversed(subfolders))


def _label(folder: Path) -> str | None:
    """Return a folder's name as a label, or None for a split of a dataset."""
    return None if is_split(folder) else label_text(folder.name)


def _glob(pattern: Path) -> list[Path]:
    """Return the matching files, sorted. Unlike in `glob.glob`, ``**`` does not follow links."""
    base, parts = Path(), list(pattern.parts)
    while parts and (not glob.has_magic(parts[0]) or (base / parts[0]).exists()):
        base /= parts.pop(0)
    if not parts:
        return []
    if parts[-1] == "**":  # before Python 3.13, a final ** matches only folders
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


def _filter(paths: list[Path], walk: _Walk) -> Iterator[Reference]:
    labels: dict[Path, str | None] = {}
    for path in paths:
        if not walk.accept(str(path)):
            walk.ignored(str(path))
            continue
        if path.parent not in labels:
            labels[path.parent] = _label(path.parent)
        yield Reference(str(path), labels[path.parent])


def _columns(path: Path) -> list[str]:
    """Return the names of a list's columns.

    Raises:
        SourceError: no column is called "path".
    """
    try:
        names = image_lists.columns(path)
    except (OSError, SourceError) as error:
        raise _unreadable(str(path), error) from error
    if "path" in names:
        return names
    message = f'{path}: no column "path" in its first line, but: {", ".join(names) or "no header"}'
    raise SourceError(printable(message), path=str(path))


def _read_list(file: Path, columns: Sequence[str], walk: _Walk) -> Iterator[Reference]:
    indices = {name: index for index, name in enumerate(columns) if name in _LISTED}
    try:
        for row in image_lists.rows(file, list(indices.values()), on_note=walk.note):
            cells = dict(zip(indices, row.cells, strict=True))
            if (cells["path"] or "").strip():
                yield _reference(file.parent, cells)
            else:
                walk.ignored(f"{file}: {row.place}")
    except (OSError, SourceError) as error:
        raise _unreadable(str(file), error) from error


def _reference(folder: Path, cells: Mapping[str, str | None]) -> Reference:
    path, label, id_ = cells["path"] or "", cells.get("label"), cells.get("id")
    file = path if _URL.match(path) else image_lists.file_in(folder, _expand(path))
    text = None if label is None else label_text(image_lists.text(label))
    return Reference(file, text, printable(image_lists.text(id_ or "")))


def _is_candidate(path: str) -> bool:
    """Return whether a path is a regular file with the suffix or signature of an image."""
    if Path(path).suffix.lower() in PHOTOS:
        try:
            return stat.S_ISREG(Path(path).stat().st_mode)
        except OSError:
            return True  # deleted meanwhile, or a broken link: `read` raises
    try:
        with _open(path) as file:
            return sniff(file.read(HEAD)) is not None
    except OSError:
        return False


def _open(path: str) -> BinaryIO:
    """Open a regular file; do not wait for the writer of a pipe.

    Raises:
        OSError: the file cannot be opened, or is not a regular file.
        ValueError: `path` cannot be a file's name.
    """
    descriptor = os.open(path, _FLAGS)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError("is a folder" if stat.S_ISDIR(mode) else "is a pipe, socket or device")


def _expand(path: str) -> str:
    # Path.expanduser raises for a file that merely begins with ~
    return os.path.expanduser(path)  # noqa: PTH111


def _missing(path: str) -> SourceError:
    if not path:
        return SourceError("an empty path names no file")
    name = printable(path)
    if _URL.match(path):
        advice = "Download the images into a folder, and name the folder."
        return SourceError(f"{name}: URLs are not fetched yet. {advice}", path=path)
    problem = "no file matches" if glob.has_magic(path) else "no such file or folder"
    return SourceError(f"{name}: {problem}", path=path)


def _ignore(_text: str) -> None:
    return None


def _unreadable(path: str, error: Exception) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return _missing(path)
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{printable(path)}: cannot be read: {printable(reason)}", path=path)
