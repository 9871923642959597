"""Folder, glob, list, file → references to images: the only place that reads image files.

Paths are as the caller wrote them (``~`` expanded, those in a csv joined to its folder). A file
name that is not UTF-8 keeps Python's surrogates, so that it can be opened; `printable` is the form
for stores, logs and pages. Labels are printable, and in Unicode's composed form (NFC).
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

from imgsearch import image_lists
from imgsearch.errors import SourceError
from imgsearch.filters import composed
from imgsearch.images import HEAD, sniff
from imgsearch.splits import is_half

Source: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A folder, a glob, a csv, tsv or parquet, an image file, or an iterable of these."""

SUFFIXES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp",
    ".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".heic", ".heif",
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".iiq", ".mrw", ".nef", ".nrw", ".orf", ".pef",
    ".raf", ".rw2", ".srw", ".x3f",
})  # fmt: skip
"""What claims to be a photo, readable or not: such a file is reported rather than passed over."""

MAX_BYTES: Final = 256 * 1024**2
"""Bytes of one file; 50 megapixels of uncompressed 32-bit TIFF take 200 MB."""

_LIST: Final = "a list of images, not an image. Add it, or evaluate it"
_SPREADSHEET: Final = "a spreadsheet, not an image. Save it as csv with a column path"
_JSON_LIST: Final = "JSON, not an image. Write a csv with a column path"
_PACKED: Final = "an archive, not an image. Unpack it and name the folder"
_DOCUMENT: Final = "a document, not an image. Export its pages as images"
_TABLE: Final = "a table, not an image. Save it as parquet or csv with a column path"
_OTHERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(image_lists.SUFFIXES, _LIST),
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods", ".numbers"), _SPREADSHEET),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _JSON_LIST),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z", ".rar"), _PACKED),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".html"), _DOCUMENT),
    **dict.fromkeys((".feather", ".arrow", ".orc", ".h5"), _TABLE),
    ".txt": "a text file, not an image. Name a list .csv and give it the header path",
}
"""What files are that users name in place of images, by their suffixes."""

_CONTENT_ID: Final = re.compile(r"[0-9a-f]{64}(?:#\d+)?")
_LISTED: Final = ("path", "label", "id")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# O_NONBLOCK: opening a named pipe returns at once instead of waiting for a writer
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_log = logging.getLogger(__name__)
_Accept: TypeAlias = Callable[[str], bool]
_Told: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reference:
    """Where one image lies, and what its source says of it.

    `label`: the list's column, "" for an empty cell. For a walked folder and a glob the name of
    the folder that holds the file. None where the source states nothing: for files directly in
    the walked folder or in the split of a dataset (``train``, ``val`` …), and lists without the
    column. `id`: the list's column, "" for none.
    """

    path: str
    label: str | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class _Walk:
    """How files are chosen, and who is told of the others and of a list's encoding."""

    accept: _Accept
    ignored: _Told
    note: _Told


def references(
    source: Source, *, on_ignored: _Told | None = None, on_note: _Told | None = None
) -> Iterator[Reference]:
    """Yield the images that `source` names, in a stable order.

    A folder is walked without following links to folders, sorted by name, a folder's files before
    its subfolders. Taken are regular files whose suffix or first bytes are an image's; hidden
    names, other files and folders that cannot be listed are passed over and told to `on_ignored`,
    and so are rows of a list without a path. A glob is filtered likewise; a name that exists is
    never taken for a pattern. Files named one by one, in a csv or list, are not looked at: `read`
    tells what is wrong with them. `on_note` gets the encoding of a csv that is not UTF-8.

    Raises:
        SourceError: at the call where `source` is a URL, missing, matches nothing, or is a csv,
            tsv or parquet without a column ``path``; while iterating where one breaks off or an
            item of a list is no path. An item of a list that is not there is yielded and fails in
            `read`.
    """
    return _references(source, _Walk(_is_candidate, on_ignored or _nobody, on_note or _nobody))


def count(source: Source) -> int:
    """Return how many files `source` holds at most, without opening any.

    Files that `references` passes over are included. 0 for an iterator, which counting would use
    up.

    Raises:
        SourceError: as for `references`.
    """
    if isinstance(source, Iterator):
        return 0
    ignored: list[int] = []
    walk = _Walk(lambda _path: True, lambda _path: ignored.append(1), _nobody)
    return sum(1 for _ in _references(source, walk)) + len(ignored)


def spread(paths: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the paths, evenly, so that no folder is left out for another."""
    number = min(most, len(paths))
    return [paths[place * len(paths) // number] for place in range(number)]


def read(reference: Reference | str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return a file's whole content.

    Raises:
        SourceError: there is no such file, it is a folder, pipe or device, may not be read, has
            more than `max_bytes`, or is named and made like a table, archive or document.
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
    other = _OTHERS.get(Path(path).suffix.lower())
    if other and sniff(data[:HEAD]) is None:
        raise SourceError(f"{printable(path)}: this is {other}", path=path)
    return data


def content_id(data: bytes) -> str:
    """Return the id of a content: its sha256 in hex, 64 letters."""
    return hashlib.sha256(data).hexdigest()


def is_content_id(id_: str) -> bool:
    """Return whether an id is that of a content, or of a region of it."""
    return _CONTENT_ID.fullmatch(id_) is not None


def printable(path: str) -> str:
    r"""Return `path` as valid UTF-8: itself, or with bytes that are none as ``\udcXX``."""
    return path.encode("utf-8", "backslashreplace").decode()


def label_text(text: str) -> str:
    """Return a label as it is stored: printable, in Unicode's composed form (NFC)."""
    return composed(printable(text))


def _references(source: Source, walk: _Walk) -> Iterator[Reference]:
    if not isinstance(source, (str, os.PathLike)):
        return _each(source, walk)
    found = _found(os.fsdecode(source), walk)
    if found is None:
        raise _missing(os.fsdecode(source))
    return found


def _each(sources: Iterable[str | os.PathLike[str]], walk: _Walk) -> Iterator[Reference]:
    for source in sources:
        if not isinstance(source, (str, os.PathLike)):
            raise SourceError(f"a list of sources holds {source!r}, which is no path")
        text = os.fsdecode(source)
        found = _found(text, walk)
        yield from [Reference(text)] if found is None else found


def _found(text: str, walk: _Walk) -> Iterator[Reference] | None:
    """Return what one path names, or None where nothing is there."""
    if not text or _URL.match(text):
        return None
    path = Path(_expanded(text))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        matched = _glob(path) if glob.has_magic(str(path)) else []
        return _filtered(matched, walk) if matched else None
    if stat.S_ISDIR(mode):
        try:
            os.scandir(path).close()  # tells now, rather than while iterating
        except OSError as error:
            raise _unreadable(str(path), error) from error
        return _folder(path, walk)
    if stat.S_ISREG(mode) and path.suffix.lower() in image_lists.SUFFIXES:
        return _listed(path, _columns(path), walk)
    return iter([Reference(str(path))])


def _folder(root: Path, walk: _Walk) -> Iterator[Reference]:
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            _log.warning("passed over: %s", _unreadable(str(folder), error))
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
    """Return the label that a folder's name states; the name of a dataset's split states none."""
    return None if is_half(folder) else label_text(folder.name)


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


def _filtered(paths: list[Path], walk: _Walk) -> Iterator[Reference]:
    labels: dict[Path, str | None] = {}
    for path in paths:
        if not walk.accept(str(path)):
            walk.ignored(str(path))
            continue
        if path.parent not in labels:
            labels[path.parent] = _label(path.parent)
        yield Reference(str(path), labels[path.parent])


def _columns(path: Path) -> list[str]:
    """Return the names of a list's columns, one of which is "path"."""
    try:
        names = image_lists.columns(path)
    except (OSError, SourceError) as error:
        raise _unreadable(str(path), error) from error
    if "path" in names:
        return names
    has = ", ".join(names) or "no header"
    shown = printable(f'{path}: no column "path" in its first line, but: {has}')
    raise SourceError(shown, path=str(path))


def _listed(file: Path, columns: Sequence[str], walk: _Walk) -> Iterator[Reference]:
    places = {name: place for place, name in enumerate(columns) if name in _LISTED}
    try:
        for row in image_lists.rows(file, list(places.values()), on_note=walk.note):
            cells = dict(zip(places, row.cells, strict=True))
            if (cells["path"] or "").strip():
                yield _reference(file.parent, cells)
            else:
                walk.ignored(f"{file}: {row.place}")
    except (OSError, SourceError) as error:
        raise _unreadable(str(file), error) from error


def _reference(folder: Path, cells: Mapping[str, str | None]) -> Reference:
    path, label, id_ = cells["path"] or "", cells.get("label"), cells.get("id")
    file = path if _URL.match(path) else image_lists.file_in(folder, _expanded(path))
    stated = None if label is None else label_text(image_lists.text(label))
    return Reference(file, stated, printable(image_lists.text(id_ or "")))


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


def _nobody(_told: str) -> None:
    return None


def _unreadable(path: str, error: Exception) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return _missing(path)
    why = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{printable(path)}: cannot be read: {printable(why)}", path=path)
