"""Fills the empty stores of an archive from a backup."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

from imgsearch.archive.backup import (
    Backup,
    OnProgress,
    Stores,
    file_of,
    original_path,
    read_manifest,
    sha256,
    write_json,
)
from imgsearch.archive.backup_notes import FILE as NOTES
from imgsearch.archive.backup_notes import load_notes
from imgsearch.archive.originals import media_type
from imgsearch.backends import connect, is_there
from imgsearch.catalog.dump import load, rows
from imgsearch.catalog.inspection import inspect
from imgsearch.errors import ConfigError, SourceError
from imgsearch.images.files import open_regular
from imgsearch.library.copy import copy
from imgsearch.objects import is_there as has_originals

MARKER: Final = "restoring.json"


def restore(
    folder: Path, data: Path, stores: Stores, *, on_progress: OnProgress = lambda *_: None
) -> Backup:
    """Restore the backup in `folder` to empty stores, which may be of other kinds.

    Files are checked by their sha256 first. Until all is restored, ``restoring.json`` in the folder
    `data` names the backup, so an interrupted restore can be run again.

    Raises:
        ConfigError: the folder has no complete backup, or a store is not empty.
        SourceError: a file of the backup is missing or damaged.
        BackendError, CatalogError, ObjectStoreError: a store failed.
    """
    manifest = read_manifest(folder)
    _verify(folder, manifest, on_progress)
    marker = data / MARKER
    if not _resumes(marker, manifest["id"]):
        _require_empty(stores)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(marker, {"backup": manifest["id"]})
    _originals(folder, manifest, stores, on_progress)
    vectors = _vectors(folder, manifest, stores, on_progress)
    counts = load(
        stores.catalog,
        folder / "catalog",
        password=stores.catalog_password,
        timeout=stores.timeout,
    )
    on_progress("catalog", 1, 1)
    marker.unlink()
    missing = tuple(manifest["missing"])
    return Backup(manifest["id"], counts["entries"], vectors, manifest["originals"], missing)


def _verify(folder: Path, manifest: dict[str, Any], on_progress: OnProgress) -> None:
    """Check each file of the backup by its sha256.

    Raises:
        SourceError: a file is missing, or its bytes differ.
    """
    hashes = {folder / name: digest for name, digest in manifest["files"].items()}
    missing = set(manifest["missing"])
    for row in _entries(folder, hashes):
        if row["stored"] and (content := file_of(row)) not in missing:
            hashes[original_path(folder, content)] = content
    for place, (path, digest) in enumerate(hashes.items(), 1):
        _check(path, digest)
        on_progress("checking", place, len(hashes))


def _entries(folder: Path, hashes: dict[Path, str]) -> list[dict[str, Any]]:
    """Return the entries of a backup, after checking their file."""
    file = folder / "catalog/entries.jsonl"
    if file not in hashes:
        raise SourceError(f"the backup {folder} lists no entries.jsonl. Make another backup.")
    _check(file, hashes[file])
    return list(rows(file))


def _check(path: Path, digest: str) -> None:
    try:
        right = sha256(path) == digest
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if not right:
        raise SourceError(f"{path} is damaged: its sha256 is another. Use another backup.")


def _resumes(marker: Path, id_: str) -> bool:
    """Return whether the restore of the same backup was interrupted."""
    try:
        return bool(json.loads(marker.read_text(encoding="utf-8"))["backup"] == id_)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{marker} cannot be read. Delete it and all stores.") from error


def _require_empty(stores: Stores) -> None:
    facts = inspect(stores.catalog, password=stores.catalog_password, timeout=stores.timeout)
    if facts is not None and (facts.images or facts.keys):
        raise ConfigError(f"the catalog {stores.catalog} is not empty. Restore to another one.")
    if has_originals(stores.originals):
        with stores.connect_originals(create=True) as store:
            if next(iter(store.contents()), None) is not None:
                raise ConfigError(f"{store.url} has originals. Restore to an empty store.")
    if is_there(stores.db):
        with stores.vectors.connect() as store:
            if names := store.names():
                raise ConfigError(
                    f"the store {store.url} has the collection {names[0]!r}. Restore to an empty "
                    "store."
                )


def _originals(
    folder: Path, manifest: dict[str, Any], stores: Stores, on_progress: OnProgress
) -> None:
    missing = set(manifest["missing"])
    formats = {
        file_of(row): row["format"]
        for row in rows(folder / "catalog/entries.jsonl")
        if row["stored"] and file_of(row) not in missing
    }
    with stores.connect_originals(create=True) as store:
        for place, (content, format_) in enumerate(formats.items(), 1):
            if not store.exists(content):
                path = original_path(folder, content)
                opener = partial(open_regular, str(path))
                store.put_file(content, opener, path.stat().st_size, media_type(format_))
            on_progress("originals", place, len(formats))


def _vectors(
    folder: Path, manifest: dict[str, Any], stores: Stores, on_progress: OnProgress
) -> int:
    total = 0
    with stores.vectors.connect() as target:
        for place, one in enumerate(manifest["collections"], 1):
            with connect(str(folder / one["file"])) as source:
                done = copy(source, target, one["name"])
            total += done.copied + done.skipped
            on_progress("vectors", place, len(manifest["collections"]))
        if NOTES in manifest["files"]:  # not in backups of older versions
            load_notes(folder / NOTES, target, [one["name"] for one in manifest["collections"]])
    return total
