"""Parses and checks catalog URLs: a SQLite file or a server database."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import URL

from imgsearch.errors import ConfigError, MissingExtra

PORT: Final = 3306
_FORMS: Final = "a file, sqlite:///abs/catalog.db or mysql://user@host:3306/name"
_INVALID: Final = f"the catalog's URL is invalid. Use {_FORMS}."


def address(url: str) -> URL:
    """Convert a catalog's path or URL to a SQLAlchemy URL without a password.

    Raises:
        ConfigError: `url` is not in a form that `Catalog` accepts, or contains a password.
        MissingExtra: the database's driver is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _file(url)
    match scheme:
        case "sqlite":
            return _file("/" + rest.lstrip("/") if rest.startswith("/") else rest)
        case "mysql":
            return _server(url)
    raise ConfigError(f"the catalog's URL has an unknown scheme: {scheme!r}. Use {_FORMS}.")


def _file(path: str) -> URL:
    if not path or path == ":memory:" or "\0" in path:
        raise ConfigError(f"the catalog's path is invalid: {path!r}. Use {_FORMS}.")
    return URL.create("sqlite", database=str(Path(path).absolute()))


def _server(url: str) -> URL:
    parts = _parts(url)
    name = parts.path.strip("/")
    if parts.password is not None:  # not shown, because errors may be logged
        raise ConfigError(
            "the catalog's URL contains a password. Set IMGSEARCH_CATALOG_PASSWORD instead."
        )
    if not (parts.username and parts.hostname and name) or parts.query or parts.fragment:
        raise ConfigError(_INVALID)
    if find_spec("pymysql") is None:
        raise MissingExtra("a catalog in MySQL needs pymysql", extra="mysql", name="pymysql")
    return URL.create(
        "mysql+pymysql",
        username=parts.username,
        host=parts.hostname,
        port=parts.port or PORT,
        database=name,
    )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is invalid
    except ValueError:
        raise ConfigError(_INVALID) from None
    return parts
