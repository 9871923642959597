"""Copies an archive to a folder, in files that do not depend on the kinds of its stores.

The folder has ``catalog/TABLE.jsonl``, ``vectors/N.parquet``, ``vectors/notes.jsonl`` with the
notes about the collections, and ``originals/ab/HASH``, and
``manifest.json`` with the sha256 of each file. An original's name is its sha256.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from imgsearch import objects
from imgsearch.archive.backup_notes import FILE as NOTES
from imgsearch.archive.backup_notes import dump_notes
from imgsearch.backends import StoreOptions, parquet, versions
from imgsearch.catalog.dump import dump, rows
from imgsearch.distribution import VERSION
from imgsearch.errors import ConfigError, ObjectNotFound, SourceError
from imgsearch.settings import TIMEOUT

MANIFEST: Final = "manifest.json"
_FORM: Final = 1  # of the backup; a reader refuses a higher one
_KEYS: Final = ("id", "images", "originals", "missing", "collections", "files")
OnProgress = Callable[[str, int, int], None]
"""Called with "catalog", "vectors" or "originals", the number of parts done, and the total."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of an archive, with their secrets, which are not shown."""

    db: str
    catalog: str
    originals: str
    token: str | None = field(default=None, repr=False)
    catalog_password: str | None = field(default=None, repr=False)
    s3_key: str | None = field(default=None, repr=False)
    s3_secret: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT

    @property
    def vectors(self) -> StoreOptions:
        """The vector store, to be connected."""
        return StoreOptions(self.db, self.token, self.timeout)

    def connect_originals(self, *, create: bool) -> objects.ObjectStore:
        """Open the store of originals; see `objects.connect`."""
        return objects.connect(
            self.originals,
            key=self.s3_key,
            secret=self.s3_secret,
            timeout=self.timeout,
            create=create,
        )


@dataclass(frozen=True, slots=True)
class Backup:
    """The contents of a backup. `missing` originals were deleted or damaged in the archive."""

    id: str
    images: int
    vectors: int
    originals: int
    missing: tuple[str, ...] = ()


def backup(stores: Stores, folder: Path, *, on_progress: OnProgress = lambda *_: None) -> Backup:
    """Write a backup of an archive to `folder`. An interrupted backup can be run again.

    The catalog is read first, in one transaction, so images that are added meanwhile are not part
    of the backup. Originals that were copied before are not copied again.

    Raises:
        ConfigError: the folder has a complete backup, or other files.
        SourceError: a file cannot be written.
        BackendError, CatalogError, ObjectStoreError: a store failed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        manifest = _begin(folder)
        counts = _catalog(stores, folder)
        on_progress("catalog", 1, 1)
        vectors = _vectors(stores, folder, on_progress)
        contents = sorted(
            {file_of(row) for row in rows(folder / "catalog/entries.jsonl") if row["stored"]}
        )
        missing = _originals(stores, folder, contents, on_progress)
        files = {
            path.relative_to(folder).as_posix(): sha256(path)
            for part in ("catalog", "vectors")
            for path in sorted((folder / part).iterdir())
        }
        done = Backup(
            manifest["id"],
            counts["entries"],
            sum(one["rows"] for one in vectors),
            len(contents) - len(missing),
            tuple(missing),
        )
        write_json(
            folder / MANIFEST,
            {
                **manifest,
                "complete": True,
                "images": done.images,
                "originals": done.originals,
                "missing": missing,
                "collections": vectors,
                "files": files,
            },
        )
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"the backup {folder} cannot be written: {error.strerror}") from error
    return done


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a backup.

    Raises:
        ConfigError: the folder has no complete backup, or a newer imgsearch wrote it.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        form, complete = int(manifest["backup"]), bool(manifest.get("complete"))
        if complete:
            _ = [manifest[key] for key in _KEYS]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder} has no backup: {MANIFEST} cannot be read.") from error
    if form > _FORM:
        raise ConfigError(f"a newer imgsearch wrote the backup {folder}. Upgrade imgsearch.")
    if not complete:
        raise ConfigError(f"the backup {folder} is incomplete. Run `imgsearch backup` again.")
    return manifest


def file_of(row: Mapping[str, Any]) -> str:
    """Return the sha256 of an entry's original, which is the video of a frame."""
    return str(row.get("original") or row["content"])


def original_path(folder: Path, content: str) -> Path:
    """Return the path of an original in a backup."""
    return folder / "originals" / content[:2] / content


def sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, which appears when it is complete."""
    _write(path, iter([json.dumps(value, indent=1, ensure_ascii=False).encode()]))


def _begin(folder: Path) -> dict[str, Any]:
    """Return the manifest of an interrupted backup, or begin a new one."""
    file = folder / MANIFEST
    if not file.exists():
        if any(folder.iterdir()):
            raise ConfigError(f"the folder {folder} has other files. Choose an empty one.")
        manifest: dict[str, Any] = {
            "backup": _FORM,
            "id": secrets.token_hex(8),
            "imgsearch": VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(file, manifest)
        return manifest
    manifest = json.loads(file.read_text(encoding="utf-8"))
    if manifest.get("complete"):
        raise ConfigError(f"the folder {folder} has a complete backup. Choose an empty one.")
    return manifest


def _catalog(stores: Stores, folder: Path) -> dict[str, int]:
    target = folder / "catalog"
    target.mkdir(exist_ok=True, mode=0o700)
    password, timeout = stores.catalog_password, stores.timeout
    return dump(stores.catalog, target, password=password, timeout=timeout)


def _vectors(stores: Stores, folder: Path, on_progress: OnProgress) -> list[dict[str, Any]]:
    """Write each collection to a parquet file; return their names, files and numbers of rows."""
    target = folder / "vectors"
    target.mkdir(exist_ok=True, mode=0o700)
    written: list[dict[str, Any]] = []
    with stores.vectors.connect() as store:
        names = versions.collections(store)
        for place, name in enumerate(names):
            collection = versions.open_named(store, name)
            file = target / f"{place}.parquet"
            number = parquet.write(
                file,
                collection.schema,
                lambda *, vectors, of=collection: of.iterate(vectors=vectors),
                name=name,
            )
            written.append({"name": name, "file": f"vectors/{file.name}", "rows": number})
            on_progress("vectors", place + 1, len(names))
        dump_notes(store, names, folder / NOTES)
    kept = {folder / one["file"] for one in written} | {folder / NOTES}
    for stale in set(target.iterdir()) - kept:
        stale.unlink()  # of an interrupted backup, which had more collections
    return written


def _originals(
    stores: Stores, folder: Path, contents: list[str], on_progress: OnProgress
) -> list[str]:
    """Copy the originals that the folder lacks; return the ids of lost originals."""
    missing = []
    with stores.connect_originals(create=False) as store:
        for place, content in enumerate(contents, 1):
            path = original_path(folder, content)
            if not path.exists() or sha256(path) != content:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                try:
                    _write(path, store.stream(content), content)
                except ObjectNotFound:
                    missing.append(content)
            on_progress("originals", place, len(contents))
    return missing


def _write(path: Path, pieces: Iterator[bytes], content: str = "") -> None:
    """Write a file, which appears when it is complete.

    Raises:
        ObjectNotFound: the bytes do not have the hash `content`.
    """
    draft, digest = path.with_name(f".{path.name}.part"), hashlib.sha256()
    with draft.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if content and digest.hexdigest() != content:
        draft.unlink()
        raise ObjectNotFound(f"the original {content} is damaged")
    draft.replace(path)
