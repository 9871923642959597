"""Labelled images to evaluate on: folders of classes, or a list of paths and labels.

    shop/train/<class>/*    shop/test/<class>/*     held out: test is searched for in train
    shop/gallery/<class>/*  shop/query/<class>/*    the same by other names
    shop/train/<class>/*    shop/val/<class>/*      the same; also valid and validation
    shop/<class>/*                                  leave-one-out: each image looks for the others
    shop.csv: id,path,label                         leave-one-out; paths are relative to the csv
    shop.tsv, shop.parquet                          separated by tabs, and as columns

What makes the figures wrong is an error; what they can live with is a line of `Dataset.notes`.
"""

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Final

from imgsearch.datasets.table import rows
from imgsearch.errors import DatasetError
from imgsearch.filters import composed
from imgsearch.images import FORMATS, HEAD, image_lists, sniff, splits

SUFFIXES: Final = frozenset(  # in lower case; a file of another name is told by its first bytes
    (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
)
_NAMED: Final = 5  # how many of a long list a note names


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled image; `path` is absolute, `label` in Unicode's composed form (NFC)."""

    path: Path
    label: str


@dataclass(frozen=True)  # no slots: the hash is kept once it is known
class Dataset:
    """Images to search in and images to search for.

    `held_out`: the queries are no part of the gallery; else they are the gallery, and each is to
    be taken out of it while it is searched for. `notes` are sentences for the report.
    """

    name: str
    root: Path
    gallery: tuple[Item, ...]
    queries: tuple[Item, ...]
    held_out: bool
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def manifest_hash(self) -> str:
        """The sha256, in hex, of what was measured: every image's content, label and role.

        One line an image, a JSON array of role ("gallery" or "query"; with leave-one-out only
        the former), label and the file's sha256; the lines sorted, each ending in a newline.
        Paths are no part of it: the same images in another folder are the same dataset.

        It reads every file: 1,100 JPEGs of 126 MB took 0.2 s (files cached by the system, 2-core
        virtual machine, Python 3.11).

        Raises:
            DatasetError: a file cannot be read.
        """
        queries = self.queries if self.held_out else ()
        roles = chain((("gallery", i) for i in self.gallery), (("query", i) for i in queries))
        lines = sorted(json.dumps([role, item.label, _sha256(item.path)]) for role, item in roles)
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def load(
    path: str | os.PathLike[str], *, path_column: str = "path", label_column: str = "label"
) -> Dataset:
    """Return the labelled dataset at `path`, a folder or list of one of the shapes above.

    Images are recognised by their names, or by their first bytes where the name is unknown. Hidden
    names are skipped. `path_column` and `label_column` name the columns of a list, in any case. Of
    several splits the first pair with queries in class folders is used; other folders are noted.

    Raises:
        DatasetError: the path does not exist or cannot be read, no image has a label, there are
            fewer than two images to search in, labels differ only by case, or a list lacks a
            column, a cell or a file.
    """
    try:
        root = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link loop, no such user, a NUL
        raise DatasetError(f"{os.fspath(path)!r} is no path: {error}") from error
    try:
        if root.is_dir():
            return _folder(root)
        if root.is_file():
            return _listed(root, path_column, label_column)
    except OSError as error:
        raise DatasetError(f"{error.filename or root} cannot be read: {error.strerror}") from error
    raise DatasetError(
        f"{root} does not exist; a dataset is a folder of class folders, a csv, tsv or parquet"
    )


def _folder(root: Path) -> Dataset:
    notes = _Notes()
    halves = _halves(root)
    if halves is None:
        return _checked(root.name, root, gallery=_classes(root, notes), queries=None, notes=notes)
    notes.beside += [
        entry.name for entry in _visible(root) if entry.is_dir() and entry not in halves
    ]
    gallery, queries = (_classes(half, notes) for half in halves)
    return _checked(root.name, root, gallery=gallery, queries=queries, notes=notes)


def _halves(root: Path) -> tuple[Path, Path] | None:
    """Return the folders of gallery and queries, preferably with queries in class folders."""
    found = list(splits.pairs(root))
    return next((pair for pair in found if splits.has_folders(pair[1])), next(iter(found), None))


def _classes(folder: Path, notes: "_Notes") -> list[Item]:
    """Return the images of a folder of class folders, sorted by class and name."""
    items: list[Item] = []
    for entry in _visible(folder):
        if not entry.is_dir():
            if _is_image(entry):
                notes.passed.append(entry.name)
            continue
        label = _label(entry.name)
        before = len(items)
        for file in _visible(entry):
            if _is_image(file):
                items.append(Item(file, label))
            else:
                notes.passed.append(f"{entry.name}/{file.name}")
        if len(items) == before:
            notes.empty.append(f"{folder.name}/{entry.name}")
    if not items:
        raise DatasetError(
            f"{folder} holds no class folder with an image; expected <class>/<image>, or these "
            f"under train and test, or train and val, in one of {' '.join(FORMATS)}"
        )
    return items


def _listed(file: Path, path: str, label: str) -> Dataset:
    notes = _Notes()
    labels: dict[Path, str] = {}
    for row in rows(file, path=path, label=label, on_note=notes.add):
        image = Path(os.path.normpath(image_lists.file_in(file.parent, row.path)))
        name = _label(row.label)
        if labels.setdefault(image, name) != name:
            raise DatasetError(
                f"{file.name} {row.place}: {row.path} is {labels[image]!r} on one line and "
                f"{name!r} on another"
            )
        notes.rows += 1
    missing = [image for image in labels if not image.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(labels)} files of {file.name} are missing, first "
            f"{missing[0]}; its paths are relative to {file.name} itself"
        )
    notes.rows -= len(labels)
    items = [Item(image, name) for image, name in labels.items()]
    return _checked(file.stem, file.parent, gallery=items, queries=None, notes=notes)


class _Notes:
    """What was passed over while reading."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.empty: list[str] = []
        self.beside: list[str] = []
        self.rows = 0
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        """Add a sentence, once."""
        self._sentences[sentence] = None

    def lines(self) -> Iterator[str]:
        yield from self._sentences
        if self.beside:
            yield f"folders beside the two splits, not used: {_some(self.beside)}"
        if self.empty:
            yield f"class folders without an image: {_some(self.empty)}"
        if self.passed:
            yield f"entries that are no image in a class folder: {_some(self.passed)}"
        if self.rows:
            yield f"rows that repeat another row, counted once: {self.rows}"


def _checked(
    name: str, root: Path, *, gallery: list[Item], queries: list[Item] | None, notes: _Notes
) -> Dataset:
    searched = gallery if queries is None else queries
    check_labels(item.label for item in chain(gallery, searched))
    if len(gallery) < 2:
        raise DatasetError(f"{root} holds {len(gallery)} image to search in; a ranking needs two")
    return Dataset(
        name=name,
        root=root,
        gallery=tuple(gallery),
        queries=tuple(searched),
        held_out=queries is not None,
        notes=(*notes.lines(), *_balance(gallery, queries)),
    )


def check_labels(labels: Iterable[str]) -> None:
    """Refuse labels that somebody meant to be one.

    Raises:
        DatasetError: two differ only by case or blanks.
    """
    seen: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        other = seen.setdefault(label.casefold().strip(), label)
        if other != label:
            raise DatasetError(
                f"the labels {other!r} and {label!r} differ only by case or blanks; rename one, "
                "or their images count as wrong answers to each other"
            )


def _balance(gallery: Sequence[Item], queries: Sequence[Item] | None) -> Iterator[str]:
    """Yield what the labels say of the figures to come.

    Raises:
        DatasetError: no query has anything to find.
    """
    sizes = Counter(item.label for item in gallery)
    least = 1 if queries is None else 0  # with leave-one-out the query itself is one of its class
    barren = sorted({i.label for i in queries or gallery if sizes[i.label] <= least})
    if len(barren) == len({item.label for item in queries or gallery}):
        raise DatasetError("no query's label occurs in the rest of the gallery: nothing to find")
    if barren:
        yield f"classes with queries but nothing to find: {_some(barren)}"
    unasked = sorted(sizes.keys() - {item.label for item in queries or gallery})
    if unasked:
        yield f"gallery classes without a query: {_some(unasked)}"
    if len(sizes) == 1:
        yield "only one class: every answer is right, so the figures say nothing"


def _label(name: str) -> str:
    """Return `name` in its composed form: macOS may hand out é as e and an accent."""
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        raise DatasetError(f"the label {name!r} holds control characters or is not UTF-8")
    return composed(name)


def _is_image(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        return sniff(file.read(HEAD)) is not None


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} ({', '.join(names[:_NAMED])}{more})"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
