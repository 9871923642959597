"""Extracts a dataset's files from a zip archive, or copies them from another folder.

Paths come from the manifest, never from the archive. A file is first written to a temporary file,
which replaces the target only if size and sha256 match the manifest. So an interrupted run leaves
complete files and at most one temporary file, which the next run overwrites.
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

from imgsearch.datasets.manifest import File, Manifest, OnProgress, is_safe, no_progress
from imgsearch.errors import DatasetError

_CHUNK: Final = 1 << 20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # an LZMA stream may ask for 4 GB
_OTHERS: Final = 1_000  # further entries: folders, a license, resource forks from macOS
_ENTRY: Final = 512  # bytes per entry in the central directory: 46, a name, extra fields
_ENCRYPTED: Final = 0x1  # flag of an entry: section 4.4.4 of PKWARE's APPNOTE.TXT
_BROKEN: Final = (  # errors of zipfile for invalid archives
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, OSError, ValueError, RuntimeError),  # NotImplementedError is a RuntimeError
)

_Chunks: TypeAlias = Callable[[File], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The files of a source: written paths, paths with wrong content, and skipped names."""

    written: tuple[str, ...]
    wrong: tuple[str, ...]
    passed: tuple[str, ...] = ()


def unpack(
    archive: Path,
    manifest: Manifest,
    folder: Path,
    *,
    skip: Collection[str] = (),
    on_progress: OnProgress = no_progress,
) -> Unpacked:
    """Extract the manifest's files, except `skip`, from a zip archive into `folder`.

    An entry matches a file if its name ends with the file's path: ``top/train/fox/1.jpg`` matches
    ``train/fox/1.jpg``. Other entries, links, devices and unsafe names are skipped. An entry is
    extracted only up to the size in the manifest.

    Raises:
        DatasetError: the archive is invalid or unreadable, has many more entries than the manifest
            or two for one file, or a file is encrypted or compressed by a method other than
            deflate.
        OSError: `folder` cannot be written.
    """
    with _open(archive, len(manifest.files) + _OTHERS) as zip_file:
        entries, skipped = _match_entries(zip_file, manifest)

        def chunks(file: File) -> Iterator[bytes]:
            try:
                with zip_file.open(entries[file.path]) as stream:
                    while chunk := stream.read(_CHUNK):
                        yield chunk
            except _BROKEN:  # the incomplete file has another sha256 and is reported as wrong
                return

        files = [manifest.files[path] for path in sorted(entries.keys() - set(skip))]
        written, wrong = _write(files, chunks, folder, on_progress)
    return Unpacked(written, wrong, skipped)


def copy(
    source: Path,
    manifest: Manifest,
    folder: Path,
    *,
    skip: Collection[str] = (),
    on_progress: OnProgress = no_progress,
) -> Unpacked:
    """Copy the manifest's files, except `skip`, from the folder `source`.

    Raises:
        DatasetError: a file is unreadable.
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
    # a pipe would block, so only regular files are copied
    present = [file for file in files if (source / file.path).is_file()]
    return Unpacked(*_write(present, chunks, folder, on_progress))


def _write(
    files: Sequence[File], chunks: _Chunks, folder: Path, on_progress: OnProgress
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write files; return the written paths, and the paths with wrong content."""
    written, wrong, done, total = [], [], 0, sum(file.size for file in files)
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
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
            part.replace(path)
            written.append(file.path)
        else:
            part.unlink()
            wrong.append(file.path)
        done += file.size
        on_progress("unpacking", done, total)
    return tuple(written), tuple(wrong)


class _Bounded(FileIO):
    """A file with limited reads, because zipfile reads a central directory of any size at once."""

    most: int | None = None

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise DatasetError(f"{self.name} has many more entries than the manifest")
        return super().read(size) or b""


@contextmanager
def _open(archive: Path, most: int) -> Iterator[zipfile.ZipFile]:
    """Open an archive.

    Raises:
        DatasetError: the archive is invalid, or has more than `most` entries.
    """
    with ExitStack() as opening:
        try:
            file = opening.enter_context(_Bounded(archive))
            file.most = max(most * _ENTRY, 1 << 17)  # the end record, with a comment, is 64 kB
            zip_file = opening.enter_context(zipfile.ZipFile(file))
        except DatasetError:
            raise
        except _BROKEN as error:
            raise DatasetError(f"{archive} is not a complete zip archive: {error}") from error
        file.most = None
        if len(zip_file.infolist()) > most:
            raise DatasetError(f"{archive} has many more entries than the manifest")
        yield zip_file


def _match_entries(
    zip_file: zipfile.ZipFile, manifest: Manifest
) -> tuple[dict[str, zipfile.ZipInfo], tuple[str, ...]]:
    """Return the entries by manifest path, and the names of the skipped entries."""
    depth = max(path.count("/") for path in manifest.files) + 1
    entries: dict[str, zipfile.ZipInfo] = {}
    skipped = []
    for entry in zip_file.infolist():
        path = _path(entry, manifest, depth)
        if path is None:
            if not entry.orig_filename.endswith("/"):  # is_dir() fails for an empty name in 3.11
                skipped.append(entry.orig_filename)
        elif path in entries:
            names = f"{entries[path].filename!r} and {entry.filename!r}"
            raise DatasetError(f"the archive has two entries for {path}: {names}")
        else:
            _check_readable(entry)
            entries[path] = entry
    return entries, tuple(skipped)


def _path(entry: zipfile.ZipInfo, manifest: Manifest, depth: int) -> str | None:
    """Return the manifest path that matches an entry, or None."""
    # 0 if the archive was made on a system without file modes
    kind = S_IFMT(entry.external_attr >> 16)
    name = unicodedata.normalize("NFC", entry.orig_filename.removeprefix("./"))
    if kind not in (0, S_IFREG) or not is_safe(name):  # orig_filename includes the part after a NUL
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
        raise DatasetError(
            f"{entry.filename!r} is compressed by method {entry.compress_type}, not by deflate"
        )
