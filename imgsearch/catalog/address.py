"""Where a catalogue lies: a file, or a database of a server."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import URL

from imgsearch.errors import ConfigError, MissingExtra

PORT: Final = 3306
_FORMS: Final = "a file, sqlite:///abs/catalog.db or mysql://user@host:3306/name"


def address(url: str) -> URL:
    """Return where the catalogue lies, as SQLAlchemy has it; a password is no part of it.

    Raises:
        ConfigError: `url` is none of the forms that `Catalog` takes, or holds a password.
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
    raise ConfigError(f"a catalogue's URL is {_FORMS}, not one of {scheme!r}")


def _file(path: str) -> URL:
    if not path or path == ":memory:" or "\0" in path:
        raise ConfigError(f"a catalogue needs a place: {_FORMS}")
    return URL.create("sqlite", database=str(Path(path).absolute()))


def _server(url: str) -> URL:
    parts = _parts(url)
    name = parts.path.strip("/")
    if parts.password is not None:  # never shown: an error may end in a log
        raise ConfigError("a catalogue's URL holds no password: set IMGSEARCH_CATALOG_PASSWORD")
    if not (parts.username and parts.hostname and name) or parts.query or parts.fragment:
        raise ConfigError(f"a catalogue's URL is {_FORMS}")
    if find_spec("pymysql") is None:
        raise MissingExtra("a catalogue in MySQL needs pymysql", extra="mysql", name="pymysql")
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
        _ = parts.port  # read here: a port that is none is told by reading it
    except ValueError:
        raise ConfigError(f"a catalogue's URL is {_FORMS}") from None
    return parts
