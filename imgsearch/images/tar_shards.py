"""Images in tar files, as WebDataset has them: ``shard.tar#file=000.jpg`` is a path.

Nothing is unpacked: a member is read at its place in the tar. Files of a sample have one name up to
the first dot: ``000.cls`` is the label of ``000.jpg``, and ``000.txt`` its caption.

Source: https://github.com/webdataset/webdataset (the format of samples)
"""

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os.path import lexists
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, cast

from imgsearch.errors import SourceError
from imgsearch.fields import FieldType
from imgsearch.images.files import label_text, open_regular, printable, unreadable
from imgsearch.images.forward_stream import HEADER, ForwardStream
from imgsearch.images.references import Reference
from imgsearch.images.suffixes import PHOTOS

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")
CAPTION: Final = "caption"
"""The field of a sample's text, if it is declared."""

_PATH: Final = re.compile(r"(?s)(.+?\.(?:tar|tar\.gz|tgz))#file=(.+)", re.IGNORECASE)
_TEXT: Final = 65_535  # bytes of a label or caption, the limit of a field
_MOST: Final = 1_000_000  # members of a tar, 200 MB of names
_DAMAGED: Final = "damaged or cut off. Download the tar again; whole files in it were read"
_IMAGE: Final = 256 * 2**20  # bytes of an image that a stream keeps
_HELD: Final = 64 * 2**20  # bytes of a sample's images in memory
_BROKEN: Final = (tarfile.TarError, OSError, ValueError, OverflowError, EOFError, zlib.error)


def is_tar(path: str) -> bool:
    """Return whether a path has the suffix of a tar file, which may be compressed by gzip."""
    return path.lower().endswith(SUFFIXES)


def is_compressed(tar: str) -> bool:
    """Return whether a tar's suffix is one of a compressed tar."""
    return not tar.lower().endswith(".tar")


def tar_of(path: str) -> str | None:
    """Return the tar of an image's path or URL, or None for other paths.

    >>> tar_of("https://example.org/0.tar?a=b#file=1.jpg"), tar_of("1.jpg")
    ('https://example.org/0.tar?a=b', None)
    """
    tar, mark, _ = path.partition("#file=")
    return tar if mark and is_tar(tar.partition("?")[0]) else None


def member_of(path: str) -> tuple[str, str] | None:
    """Return the tar and the member of an image's path. Returns None for other paths.

    >>> member_of("a/shard.tar#file=000.jpg"), member_of("cat.jpg")
    (('a/shard.tar', '000.jpg'), None)
    """
    match = _PATH.fullmatch(path)
    if match is None or lexists(path):
        return None
    return match[1], match[2]


def references(
    tar: str, fields: Mapping[str, FieldType], on_ignored: Callable[[str], None]
) -> Iterator[Reference]:
    """Yield the images in a tar file, in its order, with labels and declared captions.

    A member with an unsafe name, and the rest of a damaged tar, are images that cannot be read.
    `on_ignored` is called with other members that are files. A compressed tar is read once, so its
    images are in memory, one sample at a time.

    Raises:
        SourceError: the file is not a tar; raised during iteration.
    """
    if not is_compressed(tar):
        yield from _samples(_members(tar), _Samples(tar, fields, on_ignored))
        return
    try:
        with open_regular(tar) as file:
            yield from streamed(file, tar, fields, on_ignored)
    except (OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise unreadable(tar, error) from error


def streamed(
    file: BinaryIO,
    title: str,
    fields: Mapping[str, FieldType],
    on_ignored: Callable[[str], None],
    *,
    compressed: bool | None = None,
) -> Iterator[Reference]:
    """Yield the images in a tar that is read from its start to its end, as `references` does.

    `title` is the tar's path or URL. The bytes of an image are its content.

    Raises:
        SourceError: the file is not a tar; raised during iteration.
    """
    if compressed is None:
        compressed = is_compressed(title)
    forward = ForwardStream(file, title, compressed=compressed)
    yield from _samples(
        _headers(forward, title), _Samples(title, fields, on_ignored, in_memory=True)
    )


@dataclass(frozen=True, slots=True)
class _Samples:
    """How the samples of a tar are read. With `in_memory`, the images hold their bytes."""

    tar: str
    fields: Mapping[str, FieldType]
    ignored: Callable[[str], None]
    in_memory: bool = False


def _samples(
    members: Iterable[tuple[tarfile.TarInfo, Any]], samples: _Samples
) -> Iterator[Reference]:
    tar, fields = samples.tar, samples.fields
    sample, images, texts, held = "", list[Reference](), dict[str, str](), 0
    for member, file in members:
        if file is None:
            yield from (_labeled(image, texts, fields) for image in images)
            yield Reference(tar, content=SourceError(_DAMAGED, path=tar))
            return
        name = _plain(member.name)
        path = f"{tar}#file={name}"
        stem, suffix = _split(name)
        if stem != sample or held > _HELD:
            yield from (_labeled(image, texts, fields) for image in images)
            sample, images, texts, held = stem, [], {}, 0
        if suffix in (".cls", ".txt") and member.size <= _TEXT:
            file.seek(member.offset_data)
            texts[suffix] = file.read(member.size).decode("utf-8", "replace").replace("\0", "")
        elif PurePosixPath(name).suffix.lower() not in PHOTOS:
            samples.ignored(path)
        elif not _is_safe(name):
            reason = f"the name of a member is unsafe: {printable(name)[:200]!r}"
            images.append(Reference(tar, content=SourceError(reason, path=tar)))
        else:
            content = _content(member, file, path) if samples.in_memory else None
            held += member.size if isinstance(content, bytes) else 0
            images.append(Reference(path, content=content))
    yield from (_labeled(image, texts, fields) for image in images)


def _content(member: tarfile.TarInfo, file: ForwardStream, path: str) -> bytes | SourceError:
    """Return the bytes of a member that is passed now, or an error if it is too large."""
    if member.size > _IMAGE:
        most = f"{member.size:,} bytes, at most {_IMAGE:,} are read"
        return SourceError(f"{printable(path)}: too large: {most}", path=path)
    file.seek(member.offset_data)
    data = file.content(member.size)
    if len(data) < member.size:
        return SourceError(f"{printable(path)}: {_DAMAGED}", path=path)
    return data


def read_member(tar: str, name: str, *, max_bytes: int) -> bytes:
    """Return the bytes of a member.

    Raises:
        SourceError: the tar cannot be read, has no such member, or the member is cut off or has
            more than `max_bytes`.
    """
    title = printable(f"{tar}#file={name}")
    if is_compressed(tar):
        return _read_compressed(tar, name)
    try:
        stat = os.stat(tar)  # noqa: PTH116 - a path of bytes that are not UTF-8
        place = _index(tar, stat.st_mtime_ns, stat.st_size).get(name)
        if place is None:
            raise SourceError(f"{title}: no such file in the tar", path=tar)
        offset, size = place
        if size > max_bytes:
            raise SourceError(
                f"{title}: too large: {size:,} bytes, at most {max_bytes:,} are read", path=tar
            )
        with open_regular(tar) as file:
            file.seek(offset)
            data = file.read(size)
    except (OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise unreadable(tar, error) from error
    if len(data) < size:
        raise SourceError(f"{title}: {_DAMAGED}", path=tar)
    return data


def _read_compressed(tar: str, name: str) -> bytes:
    """Return the bytes of a member; the tar is read up to it."""
    path = f"{tar}#file={name}"
    for image in references(tar, {}, lambda _path: None):
        if image.path == path:
            if isinstance(image.content, SourceError):
                raise image.content
            content: bytes = image.content
            return content
    raise SourceError(f"{printable(path)}: no such file in the tar", path=tar)


@lru_cache(maxsize=4)
def _index(tar: str, _changed: int, _size: int) -> dict[str, tuple[int, int]]:
    """Return the offset and size of each member by name."""
    places: dict[str, tuple[int, int]] = {}
    for member, file in _members(tar):
        if file is not None:
            places[_plain(member.name)] = (member.offset_data, member.size)
        if len(places) > _MOST:
            raise SourceError(f"{printable(tar)}: it has more than {_MOST:,} files", path=tar)
    return places


def _members(tar: str) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    """Yield the members of an uncompressed tar; see `_headers`."""
    try:
        with open_regular(tar) as file:
            for member, headers in _headers(_Headers(file), tar):
                yield member, None if headers is None else file
    except (OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise unreadable(tar, error) from error


def _headers(file: Any, tar: str) -> Iterator[tuple[tarfile.TarInfo, Any]]:
    """Yield the members that are files with the tar, then None for it if it is damaged.

    Links and sparse files are left out: their content lies elsewhere, or is nowhere.

    Raises:
        SourceError: the file is not a tar, or cannot be read.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as opened:
            member = tarfile.TarInfo()
            try:
                while (following := opened.next()) is not None:
                    member = following
                    cast(Any, opened).members.clear()  # or all headers are kept
                    if member.isreg() and not member.issparse():
                        yield member, file
            except _BROKEN as error:
                if isinstance(error, SourceError):
                    raise
                yield member, None
    except _BROKEN as error:
        if isinstance(error, SourceError):
            raise
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise unreadable(tar, error) from error
        kind = "a" if is_compressed(tar) else "an uncompressed"
        raise SourceError(f"{printable(tar)}: not {kind} tar file: {error}", path=tar) from error


class _Headers:
    """A file of which tarfile reads headers only; it would read one of any size into memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes.

        Raises:
            tarfile.ReadError: `size` is more than a header may have.
        """
        if not 0 <= size <= HEADER:
            raise tarfile.ReadError(f"a header of more than {HEADER:,} bytes")
        return self._file.read(size)


def _labeled(
    image: Reference, texts: Mapping[str, str], fields: Mapping[str, FieldType]
) -> Reference:
    label = label_text(texts[".cls"].strip()) if ".cls" in texts else None
    captions = {CAPTION: texts[".txt"]} if ".txt" in texts and fields.get(CAPTION) == "str" else {}
    return Reference(image.path, label, fields=captions, content=image.content)


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _split(name: str) -> tuple[str, str]:
    """Return the name of a member's sample, with its folder, and its lower-case suffix."""
    folder, _, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return f"{folder}/{stem}", f"{dot}{suffix}".lower()


def _is_safe(name: str) -> bool:
    r"""Return whether a name stays below its tar when a path with it is made absolute.

    >>> _is_safe("a/000.jpg"), _is_safe("../a.jpg"), _is_safe("/a.jpg"), _is_safe("a\n.jpg")
    (True, False, False, False)
    """
    parts = name.split("/")
    return not ({"", ".", ".."} & set(parts) or re.search(r"[\x00-\x1f\x7f]", name))
