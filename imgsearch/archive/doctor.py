"""Checks of an archive's catalog and of its store of originals. They change nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from imgsearch import objects
from imgsearch.catalog.inspection import inspect
from imgsearch.errors import ImgSearchError, MissingExtra
from imgsearch.library.doctor import Finding
from imgsearch.settings import TIMEOUT
from imgsearch.text import counted, without_password

_CREATES: Final = "`imgsearch serve` creates it"


def examine(
    data: Path,
    *,
    catalog: str | None = None,
    catalog_password: str | None = None,
    originals: str | None = None,
    s3_key: str | None = None,
    s3_secret: str | None = None,
    timeout: float = TIMEOUT,
) -> Iterator[Finding]:
    """Yield a finding for the catalog and one for the originals of the archive in `data`.

    `catalog` and `originals` are their URLs if they are outside of the folder.
    """
    if not data.is_dir() and None in (catalog, originals):
        yield Finding(f"archive {data}", "absent", "does not exist yet", _CREATES)
    if catalog or data.is_dir():
        yield _catalog(catalog or str(data / "catalog.db"), catalog_password, timeout)
    if originals or data.is_dir():
        yield _originals(originals or str(data / "originals"), s3_key, s3_secret, timeout)


def key_count(
    data: Path, *, catalog: str | None, password: str | None, timeout: float = TIMEOUT
) -> int:
    """Return the number of API keys in a catalog, 0 if it does not exist.

    Raises:
        ConfigError, MissingExtra, CatalogError: the catalog cannot be read.
    """
    facts = inspect(catalog or str(data / "catalog.db"), password=password, timeout=timeout)
    return 0 if facts is None else facts.keys


def _catalog(url: str, password: str | None, timeout: float) -> Finding:
    what = f"catalog {without_password(url)}"
    try:
        facts = inspect(url, password=password, timeout=timeout)
    except ImgSearchError as error:
        advice = _advice(error, "IMGSEARCH_CATALOG_PASSWORD" if "://" in url else "", password)
        return Finding(what, "wrong", str(error), advice)
    if facts is None:
        return Finding(what, "absent", "does not exist yet", _CREATES)
    if facts.outdated:
        return Finding(what, "ok", "of an older version", "`imgsearch serve` migrates it")
    return Finding(
        what, "ok", f"{counted(facts.images, 'image')}, {counted(facts.keys, 'API key')}"
    )


def _originals(url: str, key: str | None, secret: str | None, timeout: float) -> Finding:
    what = f"originals {without_password(url.partition('?')[0])}"
    try:
        if not objects.is_there(url):
            return Finding(what, "absent", "does not exist yet", _CREATES)
        with objects.connect(url, key=key, secret=secret, timeout=timeout, create=False) as store:
            store.ping()
    except ImgSearchError as error:
        variables = "IMGSEARCH_S3_KEY and IMGSEARCH_S3_SECRET" if url.startswith("s3:") else ""
        return Finding(what, "wrong", str(error), _advice(error, variables, key and secret))
    return Finding(what, "ok", "responds")


def _advice(error: ImgSearchError, variables: str, secret: str | None) -> str:
    if isinstance(error, MissingExtra):
        return "install the missing package"
    if variables:
        return f"check the address, and {variables}: {'set' if secret else 'not set'}"
    return "fix the cause that the message names"
