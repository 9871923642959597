"""A dataset's files, taken from a zip archive or from another folder, and nothing but these.

What is written is named by the manifest, never by the archive, and only where size and sha256 are
those promised: into a part file beside its place, which then replaces what lay there. So a killed
run leaves whole files, and at most one part file that the next run writes over.
"""

import hashlib
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from stat import S_IFMT, S_IFREG
from typing import Final, TypeAlias

from typing_extensions import override

from imgsearch.datasets.manifest import File, Manifest, OnProgress, is_safe, untold
from imgsearch.errors import DatasetError

_CHUNK: Final = 1 << 20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # an LZMA stream may ask for 4 GB
_OTHERS: Final = 1_000  # entries beside the manifest's: folders, a licence, macOS's doubles
_ENTRY: Final = 512  # bytes in the archive's directory: 46, a name, extra fields
_ENCRYPTED: Final = 0x1  # of an entry's flags: section 4.4.4 of PKWARE's APPNOTE.TXT
_BROKEN: Final = (  # what zipfile raises for archives that are none
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, OSError, ValueError, RuntimeError),  # NotImplementedError is a RuntimeError
)

_Chunks: TypeAlias = Callable[[File], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What became of a source: paths `written`, those that were `wrong`, names `passed` over."""

    written: tuple[str, ...]
    wrong: tuple[str, ...]
    passed: tuple[str, ...] = ()


def unpack(
    archive: Path,
    manifest: Manifest,
    folder: Path,
    *,
    skip: Collection[str] = (),
    on_progress: OnProgress = untold,
) -> Unpacked:
    """Write the manifest's files that a zip archive holds into `folder`, but for those in `skip`.

    An entry is the file whose path its name ends in: ``top/train/fox/1.jpg`` is the manifest's
    ``train/fox/1.jpg``. All else is passed over, and so are links, devices and names that could
    lead elsewhere. Of an entry no more is unpacked than the manifest says, whatever it claims.

    Raises:
        DatasetError: it is no zip archive, or cannot be read; it has many more entries than the
            manifest, or two for one file; a file is encrypted, or packed other than by deflate.
        OSError: `folder` cannot be written.
    """
    with _opened(archive, len(manifest.files) + _OTHERS) as opened:
        entries, passed = _entries(opened, manifest)

        def chunks(file: File) -> Iterator[bytes]:
            try:
                with opened.open(entries[file.path]) as stream:
                    while chunk := stream.read(_CHUNK):
                        yield chunk
            except _BROKEN:  # what came does not have the promised sha256, which is told
                return

        files = [manifest.files[path] for path in sorted(entries.keys() - set(skip))]
        written, wrong = _write(files, chunks, folder, on_progress)
    return Unpacked(written, wrong, passed)


def copy(
    source: Path,
    manifest: Manifest,
    folder: Path,
    *,
    skip: Collection[str] = (),
    on_progress: OnProgress = untold,
) -> Unpacked:
    """Copy the manifest's files that lie in the folder `source`, but for those in `skip`.

    Raises:
        DatasetError: a file cannot be read.
        OSError: `folder` cannot be written.
    """

    def chunks(file: File) -> Iterator[bytes]:
        try:
            with (source / file.path).open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise DatasetError(f"{error.filename} cannot be read: {error.strerror}") from error

    files = [manifest.files[path] for path in sorted(manifest.files.keys() - set(skip))]
    there = [file for file in files if (source / file.path).is_file()]  # not a pipe: it would wait
    return Unpacked(*_write(there, chunks, folder, on_progress))


def _write(
    files: Sequence[File], chunks: _Chunks, folder: Path, on_progress: OnProgress
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paths that were written, and those whose content is not the promised one."""
    written, wrong, done, total = [], [], 0, sum(file.size for file in files)
    for file in files:
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.part")
        digest, size = hashlib.sha256(), 0
        with part.open("wb") as target:
            for chunk in chunks(file):
                size += len(chunk)
                if size > file.size:
                    break
                digest.update(chunk)
                target.write(chunk)
                on_progress("unpacking", done + size, total)
        if size == file.size and digest.hexdigest() == file.sha256:
            part.replace(place)
            written.append(file.path)
        else:
            part.unlink()
            wrong.append(file.path)
        done += file.size
        on_progress("unpacking", done, total)
    return tuple(written), tuple(wrong)


class _Bounded(FileIO):
    """A file of which zipfile cannot read a directory of any length, as it does at once."""

    most: int | None = None

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise DatasetError(f"{self.name} has many more entries than the manifest")
        return super().read(size) or b""


@contextmanager
def _opened(archive: Path, most: int) -> Iterator[zipfile.ZipFile]:
    """Open an archive of at most so many entries, none of them unpacked yet."""
    with ExitStack() as opening:
        try:
            file = opening.enter_context(_Bounded(archive))
            file.most = max(most * _ENTRY, 1 << 17)  # the file's end, with a comment, is 64 kB
            opened = opening.enter_context(zipfile.ZipFile(file))
        except DatasetError:
            raise
        except _BROKEN as error:
            raise DatasetError(f"{archive} is no whole zip archive: {error}") from error
        file.most = None
        if len(opened.infolist()) > most:
            raise DatasetError(f"{archive} has many more entries than the manifest")
        yield opened


def _entries(
    opened: zipfile.ZipFile, manifest: Manifest
) -> tuple[dict[str, zipfile.ZipInfo], tuple[str, ...]]:
    """Return the entries by the path that each is for, and the names of all others."""
    depth = max(path.count("/") for path in manifest.files) + 1
    entries: dict[str, zipfile.ZipInfo] = {}
    passed = []
    for entry in opened.infolist():
        path = _path(entry, manifest, depth)
        if path is None:
            if not entry.orig_filename.endswith("/"):  # is_dir() fails for an empty name in 3.11
                passed.append(entry.orig_filename)
        elif path in entries:
            names = f"{entries[path].filename!r} and {entry.filename!r}"
            raise DatasetError(f"the archive has two entries for {path}: {names}")
        else:
            _check_readable(entry)
            entries[path] = entry
    return entries, tuple(passed)


def _path(entry: zipfile.ZipInfo, manifest: Manifest, depth: int) -> str | None:
    """Return which of the manifest's files an entry is, None if it is none."""
    kind = S_IFMT(entry.external_attr >> 16)  # 0 where the archive comes from a system without
    name = unicodedata.normalize("NFC", entry.orig_filename.removeprefix("./"))
    if kind not in (0, S_IFREG) or not is_safe(name):  # orig_filename: it has what follows a NUL
        return None
    parts = name.split("/")
    for number in range(min(depth, len(parts)), 0, -1):
        path = "/".join(parts[-number:])
        if path in manifest.files:
            return path
    return None


def _check_readable(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise DatasetError(f"{entry.filename!r} is encrypted")
    if entry.compress_type not in _METHODS:
        raise DatasetError(f"{entry.filename!r} is packed by method {entry.compress_type}")
