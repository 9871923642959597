"""The archive keeps originals, catalog and vectors consistent. The service and the UI use it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsearch import objects
from imgsearch.archive.access import Keys
from imgsearch.archive.analysis import Analysis
from imgsearch.archive.archive import Archive
from imgsearch.archive.job_run import Fetch, progress_of
from imgsearch.archive.jobs import Jobs
from imgsearch.archive.limited import LimitedArchive, LimitedJobs
from imgsearch.archive.migration import MigrationRequest, migration_of
from imgsearch.archive.outcomes import (
    Added,
    Found,
    Original,
    Repaired,
)
from imgsearch.archive.sync import ArchiveSync, SyncOptions
from imgsearch.archive.upload import Incoming
from imgsearch.backends import StoreOptions
from imgsearch.catalog import Catalog, Entry, Job, KeyRow, Order, Page, State, Video
from imgsearch.errors import ConfigError
from imgsearch.images import MAX_PIXELS
from imgsearch.images.sampling import MAX_SECONDS
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.order import Order as SortOrder
from imgsearch.settings import TIMEOUT

if TYPE_CHECKING:
    from imgsearch.encoders.detector import Detection
    from imgsearch.towhee import Pipeline

__all__ = [
    "Added",
    "Analysis",
    "Archive",
    "ArchiveSync",
    "CollectionOptions",
    "Entry",
    "Fetch",
    "Found",
    "Incoming",
    "Job",
    "Jobs",
    "KeyRow",
    "LimitedArchive",
    "LimitedJobs",
    "MigrationRequest",
    "Order",
    "Original",
    "Page",
    "Repaired",
    "SortOrder",
    "State",
    "SyncOptions",
    "Video",
    "migration_of",
    "opened",
    "opened_keys",
    "progress_of",
]

_CATALOG: Final = "catalog.db"  # in the archive's folder


@contextmanager
def opened(
    data: Path,
    *,
    db: str | None = None,
    token: str | None = None,
    timeout: float = TIMEOUT,
    catalog: str | None = None,
    catalog_password: str | None = None,
    originals: str | None = None,
    s3_key: str | None = None,
    s3_secret: str | None = None,
    roots: Sequence[Path] = (),
    creation: CollectionOptions = CollectionOptions(),  # noqa: B008 - frozen
    max_pixels: int = MAX_PIXELS,
    most_collections: int | None = None,
    steps: "Mapping[str, Pipeline] | None" = None,
    regions: "str | PathLike[str] | Detection | None" = None,
    max_video_seconds: float = MAX_SECONDS,
) -> Iterator[Archive]:
    """Open the archive in the folder `data`. A missing folder is created, private to its owner.

    By default `db` is ``vectors.db`` in that folder, `catalog` is ``catalog.db`` and `originals` is
    ``originals/``. `roots`, `creation`, `max_pixels`, `most_collections`, `steps`,
    `regions` and `max_video_seconds` are as for `Archive`.

    Raises:
        ConfigError, BackendError, CatalogError, ObjectStoreError: a store cannot be opened.
        EncoderError: `model` or its `weights` do not exist.
    """
    creation.for_new().check()
    if None in (db, catalog, originals):
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    originals = originals or str(data / "originals")
    catalog = catalog or str(data / _CATALOG)
    with (
        Catalog(catalog, password=catalog_password, timeout=timeout) as open_catalog,
        objects.connect(originals, key=s3_key, secret=s3_secret, timeout=timeout) as store,
        Archive(
            StoreOptions(db or str(data / "vectors.db"), token, timeout),
            catalog=open_catalog,
            originals=store,
            roots=roots,
            creation=creation,
            max_pixels=max_pixels,
            most_collections=most_collections,
            steps=steps,
            regions=regions,
            max_video_seconds=max_video_seconds,
        ) as archive,
    ):
        yield archive


@contextmanager
def opened_keys(
    data: Path,
    *,
    catalog: str | None = None,
    catalog_password: str | None = None,
    timeout: float = TIMEOUT,
    new: bool = False,
) -> Iterator[Keys]:
    """Open the API keys of the archive in the folder `data`, or in the database `catalog`.

    If `new` is True, a missing folder and a missing database file are created.

    Raises:
        ConfigError: the folder contains no archive, and `new` is False.
        CatalogError: the database cannot be opened.
    """
    file = data / _CATALOG
    if not (new or catalog or file.is_file()):
        raise ConfigError(f"no service in {data}. Name its folder with --data.")
    if not catalog:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Catalog(catalog or str(file), password=catalog_password, timeout=timeout) as rows:
        yield Keys(rows)
