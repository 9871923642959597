"""Finds complete and damaged collections in the folder of an embedded Milvus store.

milvus-lite 3.2.2 creates ``collections/NAME/`` before it writes the schema there. A killed process
or a full disk leaves a folder without a schema, which blocks the name. If the files of one
collection are damaged, lite cannot list any collection.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import BackendError, SchemaMismatch

LOCK: Final = "LOCK"
"""The file that lite locks."""

ASIDE: Final = "set-aside"
"""The folder for data without a schema, next to `collections`."""

_SCHEMA: Final = "schema.json"
_MANIFEST: Final = "manifest.json"
# lite rewrites these files when an alias or property is set
_PLAIN: Final = ("aliases.json", "database_properties.json")
_DATA: Final = (".parquet", ".idx")  # files that lite writes once
_END: Final = b"PAR1"  # the magic bytes at the end of a Parquet file
_UNUSED: Final = (ASIDE, ".database-staging")  # folders that lite does not read
_log = logging.getLogger(__name__)


def names(path: Path) -> list[str]:
    """Return the names of complete collections, sorted."""
    return sorted(folder.name for folder in _folders(path) if not fault(folder))


def faults(path: Path) -> dict[str, str]:
    """Return the fault of each incomplete or damaged collection, by name."""
    texts = {folder.name: fault(folder) for folder in _folders(path)}
    return {name: text for name, text in sorted(texts.items()) if text}


def is_whole(path: Path, name: str, *, store: Path | None = None) -> bool:
    """Return whether a collection is usable. False for the remains of an interrupted `create`.

    Returns True if the name has no folder, because it may be an alias. `store` is the path shown in
    messages, `path` by default.

    Raises:
        SchemaMismatch: the files are damaged and contain data.
    """
    folder = path / "collections" / name
    text = fault(folder) if folder.exists() else ""
    if text and (folder / _SCHEMA).exists() and _holds_data(folder):
        raise SchemaMismatch(
            f"collection {name!r} of {store or path} is damaged: {text}. Restore its folder from a "
            "backup, or move it out of the store and add the images again."
        )
    return not text


def free_name(path: Path, name: str) -> None:
    """Delete the folder of an incomplete collection, or move it to `ASIDE` if it contains data."""
    folder = path / "collections" / name
    if not folder.exists():
        return
    if folder.is_dir() and not _holds_data(folder):
        shutil.rmtree(folder)
        return
    (path / ASIDE).mkdir(exist_ok=True)
    names_aside = {moved.name for moved in (path / ASIDE).iterdir()}
    numbers = range(1, len(names_aside) + 2)
    number = next(number for number in numbers if f"{name}.{number}" not in names_aside)
    target = folder.rename(path / ASIDE / f"{name}.{number}")
    _log.warning("%s has data but no schema; moved to %s", folder, target)


def check_plain(path: Path) -> None:
    """Delete alias and property files that a crash left empty, because lite cannot read them.

    Raises:
        BackendError: a file is neither empty nor JSON.
    """
    for file in (path / name for name in _PLAIN):
        if file.exists() and not file.read_bytes().strip(b"\0 \n"):
            file.unlink()
        if file.exists() and _json(file) is None:
            raise BackendError(
                f"{path} cannot be opened: {file.name} is damaged. Restore it from a backup, or "
                "delete it; it contains no vectors."
            )


def is_writable(path: Path) -> bool:
    """Return whether this process may write to an existing store."""
    written = [part for part in (path, path / "collections", path / LOCK) if part.exists()]
    return all(os.access(part, os.W_OK, effective_ids=True) for part in written)


def link(path: Path, folder: Path, *, in_use: bool = False) -> None:
    """Fill `folder` with copies of a store's metadata files and links to its data files.

    Metadata files are copied, because lite would modify them through a link. It writes all other
    data to new files. If a process has the store `in_use`, its logs are copied, too: that process
    appends to them, and a torn last row is left out.

    Raises:
        OSError: the store cannot be read, or `folder` cannot be written.
    """
    for place, folders, files in os.walk(path, onerror=_raise):
        into = folder / Path(place).relative_to(path)
        if place == str(path):
            folders[:] = [name for name in folders if name not in _UNUSED]
        for name in folders:
            (into / name).mkdir()
        for name in files:
            source = Path(place) / name
            metadata = name.startswith((_SCHEMA, _MANIFEST, *_PLAIN))
            if metadata or (in_use and name != LOCK and not name.endswith(_DATA)):
                shutil.copyfile(source, into / name)
            elif name != LOCK:
                _link(into / name, source)


def _link(new: Path, source: Path) -> None:
    """Make a link to a file, or a copy where links need a permission, as on Windows."""
    try:
        new.symlink_to(source)
    except (OSError, NotImplementedError):
        shutil.copyfile(source, new)


def identity(path: Path, name: str) -> object:
    """Return a collection's identity; see `Described`. Returns None if it does not exist.

    A flush also changes the identity, because it writes a new manifest.
    """
    folder = path / "collections" / name
    try:
        stats = [(folder / file).stat() for file in (_SCHEMA, _MANIFEST)]
    except OSError:
        return None
    return [(stat.st_ino, stat.st_mtime_ns) for stat in stats]


def fault(folder: Path) -> str:
    """Return the fault of a collection's folder. Returns "" if the folder is complete."""
    if not folder.is_dir():
        return "it is a file"
    schema, manifest = folder / _SCHEMA, folder / _MANIFEST
    if not schema.exists():
        held = "it holds data" if _holds_data(folder) else "it is empty"
        return f"its {_SCHEMA} is missing, and {held}"
    if (_json(schema) or {}).get("fields") is None:
        return f"its {_SCHEMA} is damaged"
    if not manifest.exists():  # lite would start an empty collection and delete the data
        return f"its {_MANIFEST} is missing" if any(folder.rglob("*.parquet")) else ""
    content = _json(manifest)
    if content is None:
        return f"its {_MANIFEST} is damaged"
    torn = sum(not _is_complete(file) for file in _data(folder, content))
    return f"{torn} of its data files are missing or cut off" if torn else ""


def _folders(path: Path) -> list[Path]:
    collections = path / "collections"
    return list(collections.iterdir()) if collections.is_dir() else []


def _holds_data(folder: Path) -> bool:
    """Return whether a folder contains nonempty files other than schemas and manifests."""
    files = [folder] if folder.is_file() else filter(Path.is_file, folder.rglob("*"))
    plain = (_SCHEMA, _MANIFEST)
    return any(file.stat().st_size for file in files if not file.name.startswith(plain))


def _data(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Path]:
    partitions = manifest.get("partitions")
    for name, files in (partitions if isinstance(partitions, dict) else {}).items():
        for kind in ("data_files", "delta_files"):
            yield from (folder / "partitions" / name / file for file in files.get(kind, ()))


def _is_complete(file: Path) -> bool:
    """Return whether a Parquet file exists and ends with the magic bytes."""
    try:
        with file.open("rb") as opened:
            opened.seek(-len(_END), os.SEEK_END)
            return opened.read() == _END
    except OSError:  # missing, or shorter than the magic bytes
        return False


def _json(file: Path) -> dict[str, Any] | None:
    """Return a file's JSON object. Returns None for other content."""
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _raise(error: OSError) -> None:
    raise error
