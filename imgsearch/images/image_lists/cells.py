"""Cells of lists: their text, and the file that a cell names."""

import math
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from imgsearch.errors import SourceError
from imgsearch.images.suffixes import PHOTOS

Cell: TypeAlias = object
"""A value: text in a csv, any type in parquet and JSON. None is a cell that the row lacks."""

URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_FILE: Final = "file://"


def text(cell: Cell) -> str:
    """Return a cell as text, "" for None. Bytes of a csv that are not UTF-8 are read as cp1252.

    Raises:
        SourceError: the bytes are not cp1252 either, or the cell holds a list or an object.
    """
    match cell:
        case None:
            return ""
        case str():
            return _decoded(cell)
        case float() if math.isnan(cell):
            return ""
        case float() if cell.is_integer():  # pandas stores integers with gaps as floats
            return str(int(cell))
        case bytes() | list() | tuple() | dict():
            raise SourceError(f"a cell holds a {type(cell).__name__}, not a text or a number")
    return str(cell)


def file_in(folder: Path, cell: str) -> str:
    r"""Return the path in a cell, joined to `folder`.

    If no file has exactly this name, other spellings are tried: without surrounding blanks, decoded
    as cp1252, in another Unicode form, with ``/`` for ``\``, and as a ``file://`` URL.

    Raises:
        SourceError: as for `text`.
    """
    path = _joined(folder, cell)
    if _is_plain(cell) or os.path.lexists(path):
        return path
    spellings = [_joined(folder, spelling) for spelling in _spellings(cell)]
    return next(filter(os.path.lexists, spellings), spellings[0])


def names_image(cell: Cell) -> bool:
    """Return whether a cell is a URL, or ends in the suffix of an image."""
    if not isinstance(cell, str):
        return False
    name = cell.strip()
    return bool(URL.match(name)) or os.path.splitext(name)[1].lower() in PHOTOS  # noqa: PTH122


def _decoded(cell: str) -> str:
    try:
        raw = cell.encode()
    except UnicodeEncodeError:
        raw = cell.encode(errors="surrogateescape")
    else:
        return cell
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"neither UTF-8 nor cp1252: {raw[:40]!r}. Save the list as UTF-8"
        ) from error


def _is_plain(cell: str) -> bool:
    """Return whether a cell can be spelled in only one way, so no file is looked up."""
    return cell.isascii() and "\\" not in cell and cell == cell.strip() and not _is_file_url(cell)


def _spellings(cell: str) -> Iterator[str]:
    name = text(cell).strip()
    yield _local(name) if _is_file_url(name) else name
    yield text(cell)
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, name)
    yield name.replace("\\", "/")


def _is_file_url(cell: str) -> bool:
    return cell[: len(_FILE)].lower() == _FILE


def _local(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path, errors="surrogateescape")
    return path if parts.netloc in ("", "localhost") else f"//{parts.netloc}{path}"


def _joined(folder: Path, cell: str) -> str:
    if PureWindowsPath(cell).is_absolute() and os.sep == "/" and not cell.startswith("/"):
        return cell  # of another machine; an error names it as it is written
    return str(folder / cell)
