"""An archive and its parts, opened together: in one folder, or wherever a team keeps them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from imgsearch import objects
from imgsearch.archive.access import Keys
from imgsearch.archive.archive import Archive
from imgsearch.catalog import Catalog
from imgsearch.errors import ConfigError
from imgsearch.library.collection_handle import ARGUMENTS, check_arguments

_CATALOG: Final = "catalog.db"  # its name in the folder of an archive


@contextmanager
def opened(
    data: Path,
    *,
    db: str | None = None,
    token: str | None = None,
    timeout: float = 10.0,
    catalog: str | None = None,
    catalog_password: str | None = None,
    originals: str | None = None,
    s3_key: str | None = None,
    s3_secret: str | None = None,
    roots: Sequence[Path] = (),
    **making: Any,
) -> Iterator[Archive]:
    """Yield the archive in the folder `data`, which is created for its owner alone.

    By default `db` is ``vectors.db`` in that folder, `catalog` is ``catalog.db`` and `originals` is
    ``originals/``. `making` are further arguments of `Archive`.

    Raises:
        ConfigError, BackendError, CatalogError, ObjectStoreError: a part cannot be opened.
        EncoderError: `model` or its `weights` do not exist.
    """
    check_arguments(**{name: making[name] for name in ARGUMENTS if name in making})
    if None in (db, catalog, originals):
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    where = originals or str(data / "originals")
    with (
        Catalog(
            catalog or str(data / _CATALOG), password=catalog_password, timeout=timeout
        ) as rows,
        objects.connect(where, key=s3_key, secret=s3_secret, timeout=timeout) as store,
        Archive(
            db or str(data / "vectors.db"),
            catalog=rows,
            originals=store,
            token=token,
            timeout=timeout,
            roots=roots,
            **making,
        ) as archive,
    ):
        yield archive


@contextmanager
def opened_keys(
    data: Path,
    *,
    catalog: str | None = None,
    catalog_password: str | None = None,
    timeout: float = 10.0,
    new: bool = False,
) -> Iterator[Keys]:
    """Yield the API keys of the archive in the folder `data`, or of the database `catalog`.

    With `new` the folder and the database are created if they do not exist.

    Raises:
        ConfigError: the folder holds no archive.
        CatalogError: the database cannot be opened.
    """
    file = data / _CATALOG
    if not (new or catalog or file.is_file()):
        raise ConfigError(f"there is no service in {data}; --data names its folder")
    if not catalog:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Catalog(catalog or str(file), password=catalog_password, timeout=timeout) as rows:
        yield Keys(rows)
