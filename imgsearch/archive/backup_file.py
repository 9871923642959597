"""A backup in one tar file, which is a folder while it is written or restored."""

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imgsearch.archive.backup import Backup, OnProgress, Stores, backup, read_manifest
from imgsearch.datasets.manifest import is_safe
from imgsearch.errors import ConfigError, SourceError

_UNPACKED: Final = "restoring"  # folder in the archive's folder


def backup_to_file(stores: Stores, file: Path, *, on_progress: OnProgress) -> Backup:
    """Write a backup to a tar file, which appears when it is complete; see `backup`.

    Until then the folder ``FILE.unfinished`` beside it has what is copied.

    Raises: as for `backup`.
    """
    if file.exists():
        raise ConfigError(f"the file {file} exists. Choose another name.")
    folder = file.with_name(f"{file.name}.unfinished")
    try:
        done = _from_manifest(read_manifest(folder))
    except ConfigError:  # not complete yet
        done = backup(stores, folder, on_progress=on_progress)
    draft = file.with_name(f".{file.name}.part")
    try:
        with tarfile.open(draft, "w") as tar:
            tar.add(folder, arcname=".")
        draft.replace(file)
        shutil.rmtree(folder)
    except OSError as error:
        raise SourceError(f"the backup {file} cannot be written: {error.strerror}") from error
    return done


@contextmanager
def unpacked(backup_path: Path, data: Path) -> Iterator[Path]:
    """Return a context manager that yields the folder of a backup; a tar file is unpacked.

    It is unpacked in the folder `data`, and the copy is deleted at the end.

    Raises:
        SourceError: the file cannot be read, or is not a tar file.
    """
    if backup_path.is_dir():
        yield backup_path
        return
    folder = data / _UNPACKED
    try:
        with tarfile.open(backup_path) as tar:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            _extract(tar, folder)
    except (OSError, tarfile.TarError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"the backup {backup_path} cannot be read: {why}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Write the files of a backup, readable by this user alone.

    `TarFile.extractall` has its filter from Python 3.11.4 on only; Debian 12 has 3.11.2.

    Raises:
        TarError: a member is neither a file nor a folder, or lies outside.
    """
    folder.mkdir(exist_ok=True, mode=0o700)
    for member in tar:
        name = member.name.removeprefix("./")
        if member.isdir() and name == ".":
            continue
        source = tar.extractfile(member) if member.isreg() else None
        if not is_safe(name) or (source is None and not member.isdir()):
            raise tarfile.TarError(f"it has the member {member.name!r:.100}, which no backup has")
        if source is None:
            (folder / name).mkdir(parents=True, exist_ok=True)
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with source, (folder / name).open("wb") as target:
            shutil.copyfileobj(source, target)


def _from_manifest(manifest: dict[str, object]) -> Backup:
    collections = manifest["collections"]
    rows = sum(one["rows"] for one in collections) if isinstance(collections, list) else 0
    missing = manifest["missing"]
    return Backup(
        str(manifest["id"]),
        int(str(manifest["images"])),
        rows,
        int(str(manifest["originals"])),
        tuple(missing) if isinstance(missing, list) else (),
    )
