"""Sources of images: folders, globs, lists and files. The only module that reads image files.

Paths are as the caller wrote them (``~`` expanded, paths in a csv joined to its folder). Bytes of
a file name that are not UTF-8 are surrogate escapes, so the file can be opened; `printable` returns
the form for stores, logs and pages. Labels are printable and in composed Unicode form (NFC).
"""

import glob
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import Final, TypeAlias

from imgsearch.errors import ConfigError, SourceError
from imgsearch.images import (
    HEAD,
    MAX_PIXELS,
    globs,
    image_lists,
    list_files,
    sniff,
    tar_shards,
    videos,
)
from imgsearch.images.exclusions import IGNORE_FILE, Exclusions
from imgsearch.images.files import (
    content_id,
    expand,
    is_content_id,
    is_remote,
    is_web_url,
    label_text,
    missing,
    open_regular,
    printable,
    unprintable,
    unreadable,
)
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.list_files import ANY_COLUMNS
from imgsearch.images.moments import moment_of
from imgsearch.images.references import Reference
from imgsearch.images.splits import is_split
from imgsearch.images.suffixes import OTHERS, PHOTOS

__all__ = [
    "MAX_BYTES", "Fetch", "Source", "content_id", "count", "is_content_id", "is_remote",
    "is_web_url", "label_text", "printable", "read", "references", "spread", "unprintable",
]  # fmt: skip

Source: TypeAlias = (
    "str | os.PathLike[str] | Reference | Iterable[str | os.PathLike[str] | Reference]"
)
"""A folder, a glob, a list or tar file, an image file, an http or https URL, or several of them."""

MAX_BYTES: Final = 256 * 1024**2
"""Limit for one file in bytes; 50 megapixels of uncompressed 32-bit TIFF take 200 MB."""

_LIST: Final = "a list of images, not an image. Add it, or evaluate it"
_VIDEO: Final = "a video, not an image. Add it to a library"
_OTHER_FILES: Final = {
    **dict.fromkeys(image_lists.SUFFIXES, _LIST),
    **dict.fromkeys(videos.SUFFIXES, _VIDEO),
    **OTHERS,
}
_log = logging.getLogger(__name__)
Fetch: TypeAlias = Callable[[str], bytes]
"""A function that returns the bytes at a URL, or raises `SourceError`."""
_Accept: TypeAlias = Callable[[str], bool]
_OnText: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Walk:
    """Callbacks of a walk: whether to accept a file, and reports of ignored files and notes."""

    accept: _Accept
    ignored: _OnText
    note: _OnText
    columns: ListColumns
    unlisted: _OnText
    exclude: Sequence[str] = ()


def references(
    source: Source,
    *,
    columns: ListColumns = ANY_COLUMNS,
    on_ignored: _OnText | None = None,
    on_note: _OnText | None = None,
    on_unlisted: _OnText | None = None,
    exclude: Sequence[str] = (),
    with_videos: bool = False,
) -> Iterator[Reference]:
    """Yield the images that `source` names, in a stable order.

    A folder is walked in the order of names, files before subfolders, without following links to
    folders. Regular files with the suffix or signature of an image are yielded. `on_ignored` is
    called for hidden names, other files, unreadable folders and list rows without a path. Matches
    of a glob are filtered in the same way; an existing name is never read as a pattern. Files and
    URLs in a list or an iterable are yielded unchecked: `read` raises for invalid ones. `columns`
    names the columns of lists. `on_note` is called with a sentence about a list, for example if a
    csv is not UTF-8, and `on_unlisted` with each subfolder that cannot be listed. In folders and
    globs, `exclude` are patterns of files and folders to pass over; see `images.exclusions`.
    With `with_videos` videos in folders and globs are yielded, too.

    Raises:
        ConfigError: a pattern of `exclude` is invalid.
        SourceError: at the call if `source` does not exist, matches nothing, or is a list without
            a column of paths; during iteration if a list is invalid, or an item of an iterable is
            not a path.
    """
    walk = _Walk(
        _is_image_or_video if with_videos else _is_candidate,
        on_ignored or _ignore,
        on_note or _ignore,
        columns,
        on_unlisted or _ignore,
        exclude,
    )
    return _references(source, walk)


def count(
    source: Source, *, columns: ListColumns = ANY_COLUMNS, exclude: Sequence[str] = ()
) -> int:
    """Return an upper bound of the number of files in `source`, without opening images.

    It includes files that `references` ignores. Returns 0 for an iterator, to not consume it.

    Raises:
        SourceError: see `references`.
    """
    if isinstance(source, Iterator):
        return 0
    ignored: list[int] = []
    walk = _Walk(
        lambda _path: True, lambda _path: ignored.append(1), _ignore, columns, _ignore, exclude
    )
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
    fetch: Fetch | None = None,
) -> bytes:
    """Return the content of a file, of an image in memory, or of a URL if `fetch` is given.

    For images in memory see `objects.encoded`. A path such as ``clip.mp4#t=12`` is the frame of a
    video, which is returned as binary PPM.

    Raises:
        ImageTooLarge: an image in memory or a frame has more than `max_pixels` pixels.
        ImageCorrupt, FormatRefused, MissingExtra: a video cannot be decoded.
        SourceError: the file does not exist, is a folder, pipe or device, may not be read, has
            more than `max_bytes`, or has no image signature and the suffix of a table or document;
            or the URL is not allowed, or its download failed.
    """
    if isinstance(reference, Reference) and reference.content is not None:
        return _encoded(reference, max_pixels)
    path = reference.path if isinstance(reference, Reference) else os.fsdecode(reference)
    if fetch is not None and is_remote(path):
        return fetch(path)
    if not path or image_lists.URL.match(path):
        raise missing(path)
    path = expand(path)
    if (member := tar_shards.member_of(path)) is not None:
        return tar_shards.read_member(*member, max_bytes=max_bytes)
    return (
        videos.read_moment(path, max_pixels=max_pixels)
        if moment_of(path)
        else _read_file(path, max_bytes)
    )


def _read_file(path: str, max_bytes: int) -> bytes:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            # one byte more than its size, because a file that is being written may have grown
            data = file.read(min(size, max_bytes) + 1)
            if size < len(data) <= max_bytes:
                data += file.read(max_bytes + 1 - len(data))
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
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


def _references(source: Source, walk: _Walk) -> Iterator[Reference]:
    if isinstance(source, Reference):
        return iter([source])
    if not isinstance(source, (str, os.PathLike)):
        return _references_of_all(source, walk)
    images = _find(os.fsdecode(source), walk)
    if images is None:
        raise missing(os.fsdecode(source))
    return images


def _references_of_all(
    sources: Iterable[str | os.PathLike[str] | Reference], walk: _Walk
) -> Iterator[Reference]:
    for source in sources:
        if isinstance(source, Reference):
            yield source
            continue
        if not isinstance(source, (str, os.PathLike)):
            raise SourceError(f"a list of sources holds {source!r}, which is not a path")
        text = os.fsdecode(source)
        images = _find(text, walk)
        yield from [Reference(text)] if images is None else images


def _find(text: str, walk: _Walk) -> Iterator[Reference] | None:
    """Return the images that one path names, or None if it does not exist."""
    if is_web_url(text):
        return iter([Reference(text)])
    if not text or image_lists.URL.match(text):
        return None
    path = Path(expand(text))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        matched = _glob(path) if globs.is_glob(str(path)) else iter(())
        first = next(matched, None)
        return None if first is None else _filter(path, chain([first], matched), walk)
    if stat.S_ISDIR(mode):
        try:
            os.scandir(path).close()  # raises now rather than while iterating
        except OSError as error:
            raise unreadable(str(path), error) from error
        return _walk_folder(path, walk)
    if stat.S_ISREG(mode) and path.suffix.lower() in image_lists.SUFFIXES:
        return list_files.listed(path, walk.columns, on_ignored=walk.ignored, on_note=walk.note)
    if stat.S_ISREG(mode) and tar_shards.is_tar(str(path)):
        return tar_shards.references(str(path), walk.columns.fields, walk.ignored)
    return iter([Reference(str(path))])


def _walk_folder(root: Path, walk: _Walk) -> Iterator[Reference]:
    stack = [(root, Exclusions.of(str(root), walk.exclude))]
    while stack:
        folder, excluded = stack.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
            if any(entry.name == IGNORE_FILE for entry in entries):
                excluded = excluded.at(str(folder))
        except OSError as error:
            _log.warning("skipped: %s", unreadable(str(folder), error))
            walk.ignored(str(folder))
            walk.unlisted(str(folder))
            continue
        label = None if folder is root else _label(folder)
        subfolders = []
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or excluded.cover(entry.path, folder=is_folder):
                walk.ignored(entry.path)
            elif is_folder:
                subfolders.append((folder / entry.name, excluded))
            elif walk.accept(entry.path):
                yield Reference(entry.path, label)
            else:
                walk.ignored(entry.path)
        stack.extend(reversed(subfolders))


def _label(folder: Path) -> str | None:
    """Return a folder's name as a label, or None for a split of a dataset."""
    return None if is_split(folder) else label_text(folder.name)


def _glob(pattern: Path) -> Iterator[Path]:
    try:
        return globs.matches(pattern)
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(str(pattern), error) from error


def _filter(pattern: Path, paths: Iterable[Path], walk: _Walk) -> Iterator[Reference]:
    labels: dict[Path, str | None] = {}
    plain = takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    excluded = Exclusions.of(str(Path(*plain)), walk.exclude)
    tars = tar_shards.is_tar(pattern.name)
    for path in paths:
        if tars and tar_shards.is_tar(str(path)) and not excluded.cover(str(path)):
            yield from tar_shards.references(str(path), walk.columns.fields, walk.ignored)
            continue
        if excluded.cover(str(path)) or not walk.accept(str(path)):
            walk.ignored(str(path))
            continue
        if path.parent not in labels:
            labels[path.parent] = _label(path.parent)
        yield Reference(str(path), labels[path.parent])


def _is_candidate(path: str) -> bool:
    """Return whether a path is a regular file with the suffix or signature of an image."""
    if Path(path).suffix.lower() in PHOTOS:
        try:
            return stat.S_ISREG(Path(path).stat().st_mode)
        except OSError:
            return True  # deleted meanwhile, or a broken link: `read` raises
    try:
        with open_regular(path) as file:
            return sniff(file.read(HEAD)) is not None
    except OSError:
        return False


def _is_image_or_video(path: str) -> bool:
    return _is_candidate(path) or (videos.is_video(path) and Path(path).is_file())


def _ignore(_text: str) -> None:
    return None
