"""Finds the columns of a list by their names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imgsearch.errors import SourceError
from imgsearch.fields import FieldType
from imgsearch.filters import composed
from imgsearch.text import did_you_mean

# names are compared in lower case, without blanks, "_" and "-"
_PATHS: Final = frozenset((
    "path", "file", "filename", "filepath", "fullpath", "image", "imagefile", "imagefilename",
    "imagename", "imagepath", "img", "imgpath", "photo", "photopath", "picture", "sourcefile",
    "url", "fileurl", "imageurl", "uri",
    "bild", "bilddatei", "bildpfad", "datei", "dateiname", "dateipfad", "pfad",
    "chemin", "fichier", "nomdufichier", "archivo", "imagen", "ruta", "arquivo", "caminho",
    "percorso", "immagine", "путь", "файл", "文件", "文件名", "路径", "图片", "ファイル", "画像",
))  # fmt: skip
_LABELS: Final = frozenset((
    "label", "labels", "class", "classname", "category", "labelname",
    "klasse", "kategorie", "etikett", "beschriftung", "classe", "étiquette", "catégorie",
    "clase", "categoría", "etiqueta", "categoria", "etichetta", "метка", "класс",
    "标签", "类别", "ラベル",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListColumns:
    """Names of a list's columns. A column that is not named is found by its usual name.

    ``path`` is the first choice for the image, and ``label`` for its label. Then come names such as
    ``file``, ``filename``, ``image``, ``url`` and ``Datei``, and ``class``, ``category`` and
    ``Klasse``. Case, blanks, ``_`` and ``-`` do not matter.

    Further columns become fields if `fields` declares them, or all do with `all_fields`.
    """

    path: str | None = None
    label: str | None = None
    fields: Mapping[str, FieldType] = field(default_factory=dict, hash=False)
    all_fields: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """The indices of a list's columns. `notes` has a sentence for each uncertain choice."""

    path: int
    label: int | None = None
    id: int | None = None
    notes: tuple[str, ...] = ()


def clean(name: str) -> str:
    """Return a column's name without surrounding blanks and byte order marks, in NFC."""
    return composed(name.strip("\ufeff\u200b \t\r\n\v\f\xa0"))


def find(names: Sequence[str], wanted: ListColumns) -> Places | None:
    """Return the places of the columns among `names`, or None if no column holds paths.

    Raises:
        SourceError: a wanted column does not exist, or several columns may hold the paths.
    """
    paths = path_places(names, wanted)
    if len(paths) > 1:
        raise SourceError(
            f"its columns {_quoted(names, paths)} may all hold the paths. Name one: path_column, "
            "or --path-column on the command line"
        )
    if not paths:
        return None
    path = paths[0]
    label, notes = label_place(names, wanted, path)
    ids = [place for place, name in enumerate(names) if name.casefold() == "id"]
    return Places(path, label, ids[0] if ids else None, notes)


def path_places(names: Sequence[str], wanted: ListColumns) -> list[int]:
    """Return the places of the columns that may hold the paths: the wanted one, or by their names.

    Raises:
        SourceError: the wanted column does not exist.
    """
    place = _named(names, wanted.path, "path")
    return _usual(names, "path", _PATHS) if place is None else [place]


def label_place(
    names: Sequence[str], wanted: ListColumns, path: int | None
) -> tuple[int | None, tuple[str, ...]]:
    """Return the place of the labels' column, or None, and notes about an uncertain choice.

    Raises:
        SourceError: the wanted column does not exist.
    """
    place = _named(names, wanted.label, "label")
    if place is not None:
        return place, ()
    places = [place for place in _usual(names, "label", _LABELS) if place != path]
    if len(places) < 2:
        return (places[0] if places else None), ()
    return None, (
        f"the columns {_quoted(names, places)} may all hold the labels, so none was read: "
        "label_column or --label-column names one",
    )


def has_path(names: Sequence[str], wanted: ListColumns) -> bool:
    """Return whether a column among `names` holds the paths, or several may."""
    try:
        return find(names, ListColumns(wanted.path)) is not None
    except SourceError:
        return wanted.path is None


def _named(names: Sequence[str], wanted: str | None, what: str) -> int | None:
    """Return the place of the column that the caller named.

    Raises:
        SourceError: no column, or more than one, has this name.
    """
    if wanted is None:
        return None
    name = clean(wanted)
    exact = [place for place, other in enumerate(names) if other == name]
    places = exact or [
        place for place, other in enumerate(names) if other.casefold() == name.casefold()
    ]
    if len(places) == 1:
        return places[0]
    problem = f"{len(places)} columns are" if places else "no column is"
    near = did_you_mean(wanted, names)
    raise SourceError(f"{problem} called {wanted!r}, for the {what}. {listed(names)}{near}")


def _usual(names: Sequence[str], first: str, usual: frozenset[str]) -> list[int]:
    """Return the places of the columns with a usual name: those called `first`, if any are."""
    plain = [_plain(name) for name in names]
    firsts = [place for place, name in enumerate(plain) if name == first]
    return firsts or [place for place, name in enumerate(plain) if name in usual]


def listed(names: Sequence[str]) -> str:
    """Return a sentence that names the columns."""
    text = ", ".join(name[:80] for name in names if name)
    return f"Its columns are: {text[:400]}" if text else "It has no header"


def _quoted(names: Sequence[str], places: Sequence[int]) -> str:
    return ", ".join(repr(names[place]) for place in places)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())
