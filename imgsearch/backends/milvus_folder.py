"""The folder of an embedded Milvus: which collections in it are whole. No driver here.

milvus-lite 3.2.2 makes ``collections/NAME/`` before it writes the schema there. A process that is
killed in between, or a full disk, leaves a folder that is no collection and blocks its name. And
lite lists no collection at all while the files of one are damaged.
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
"""The file that lite holds a lock on."""

ASIDE: Final = "set-aside"
"""Where data without a schema is moved, beside the collections."""

_SCHEMA: Final = "schema.json"
_MANIFEST: Final = "manifest.json"
# replaced whole when an alias or a property is set; without content they hold nothing
_PLAIN: Final = ("aliases.json", "database_properties.json")
_END: Final = b"PAR1"
_UNUSED: Final = (ASIDE, ".database-staging")
_log = logging.getLogger(__name__)


def names(path: Path) -> list[str]:
    """Return the names of the collections that are whole, sorted."""
    return sorted(folder.name for folder in _folders(path) if not fault(folder))


def faults(path: Path) -> dict[str, str]:
    """Return what is wrong with each collection that is not whole, by name."""
    found = {folder.name: fault(folder) for folder in _folders(path)}
    return {name: text for name, text in sorted(found.items()) if text}


def is_whole(path: Path, name: str, *, shown: Path | None = None) -> bool:
    """Return whether a collection can be used, False for the remains of an interrupted `create`.

    A name without a folder may be an alias, and counts as whole. `shown` is the store's path in
    messages.

    Raises:
        SchemaMismatch: its files are damaged, and hold data.
    """
    folder = path / "collections" / name
    text = fault(folder) if folder.exists() else ""
    if text and (folder / _SCHEMA).exists() and _holds_data(folder):
        raise SchemaMismatch(
            f"collection {name!r} of {shown or path} is damaged: {text}. Restore its folder from a "
            "backup, or move it out of the store and add the images again."
        )
    return not text


def make_way(path: Path, name: str) -> None:
    """Free a collection's name: delete what holds no data, set aside what does."""
    folder = path / "collections" / name
    if not folder.exists():
        return
    if folder.is_dir() and not _holds_data(folder):
        shutil.rmtree(folder)
        return
    (path / ASIDE).mkdir(exist_ok=True)
    taken = {place.name for place in (path / ASIDE).iterdir()}
    number = next(number for number in range(1, len(taken) + 2) if f"{name}.{number}" not in taken)
    place = folder.rename(path / ASIDE / f"{name}.{number}")
    _log.warning("%s was no collection and held data: it is %s now", folder, place)


def check_plain(path: Path) -> None:
    """Delete the store's small files that a crash left empty: lite would open nothing with them.

    Raises:
        BackendError: one is damaged otherwise.
    """
    for file in (path / name for name in _PLAIN):
        if file.exists() and not file.read_bytes().strip(b"\0 \n"):
            file.unlink()
        if file.exists() and _json(file) is None:
            raise BackendError(
                f"{path} cannot be opened: {file.name} is damaged. Restore it from a backup, or "
                "delete it: it holds no vectors."
            )


def is_writable(path: Path) -> bool:
    """Return whether this process may write to a store that is there."""
    places = [place for place in (path, path / "collections", path / LOCK) if place.exists()]
    return all(os.access(place, os.W_OK, effective_ids=True) for place in places)


def link(path: Path, folder: Path) -> None:
    """Have `folder` hold what a store holds: descriptions copied, data as links to its files.

    Lite writes descriptions through a link, and puts all else into new files.

    Raises:
        OSError: it cannot be read, or `folder` not written.
    """
    for place, folders, files in os.walk(path, onerror=_refuse):
        into = folder / Path(place).relative_to(path)
        if place == str(path):
            folders[:] = [name for name in folders if name not in _UNUSED]
        for name in folders:
            (into / name).mkdir()
        for name in files:
            source = Path(place) / name
            if name.startswith((_SCHEMA, _MANIFEST, *_PLAIN)):
                shutil.copyfile(source, into / name)
            elif name != LOCK:
                (into / name).symlink_to(source)


def identity(path: Path, name: str) -> object:
    """Return what tells a collection from a later one, None where there is none.

    The file of the manifest is a new one after each flush, too; that of the schema is not.
    """
    folder = path / "collections" / name
    try:
        stats = [(folder / file).stat() for file in (_SCHEMA, _MANIFEST)]
    except OSError:
        return None
    return [(stat.st_ino, stat.st_mtime_ns) for stat in stats]


def fault(folder: Path) -> str:
    """Return what is wrong with a collection's folder, "" for nothing."""
    if not folder.is_dir():
        return "it is a file"
    schema, manifest = folder / _SCHEMA, folder / _MANIFEST
    if not schema.exists():
        held = "it holds data" if _holds_data(folder) else "it is empty"
        return f"its {_SCHEMA} is missing, and {held}"
    if (_json(schema) or {}).get("fields") is None:
        return f"its {_SCHEMA} is damaged"
    if not manifest.exists():  # lite would begin anew, and delete all that is there
        return f"its {_MANIFEST} is missing" if any(folder.rglob("*.parquet")) else ""
    listed = _json(manifest)
    if listed is None:
        return f"its {_MANIFEST} is damaged"
    torn = sum(not _is_complete(file) for file in _data(folder, listed))
    return f"{torn} of its data files are missing or cut off" if torn else ""


def _folders(path: Path) -> list[Path]:
    place = path / "collections"
    return list(place.iterdir()) if place.is_dir() else []


def _holds_data(folder: Path) -> bool:
    """Return whether there is anything but descriptions; not counting empty files."""
    files = [folder] if folder.is_file() else (each for each in folder.rglob("*") if each.is_file())
    plain = (_SCHEMA, _MANIFEST)
    return any(file.stat().st_size for file in files if not file.name.startswith(plain))


def _data(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Path]:
    partitions = manifest.get("partitions")
    for name, files in (partitions if isinstance(partitions, dict) else {}).items():
        for kind in ("data_files", "delta_files"):
            yield from (folder / "partitions" / name / file for file in files.get(kind, ()))


def _is_complete(file: Path) -> bool:
    """Return whether a Parquet file is there up to the mark at its end."""
    try:
        with file.open("rb") as opened:
            opened.seek(-len(_END), os.SEEK_END)
            return opened.read() == _END
    except OSError:  # also of a file that is shorter than that
        return False


def _json(file: Path) -> dict[str, Any] | None:
    """Return a file's JSON object, None where it holds none."""
    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _refuse(error: OSError) -> None:
    raise error
