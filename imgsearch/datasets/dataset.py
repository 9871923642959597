"""Labeled datasets from class folders, or from a list of paths and labels.

    shop/train/<class>/*    shop/test/<class>/*     held out: queries in test, gallery in train
    shop/gallery/<class>/*  shop/query/<class>/*    held out, with other folder names
    shop/train/<class>/*    shop/val/<class>/*      held out; also valid and validation
    shop/<class>/*                                  leave-one-out: each image is a query
    shop.csv: id,path,label                         leave-one-out; paths are relative to the csv
    shop.tsv, shop.parquet, shop.jsonl              the same columns, in other file formats

Problems that would make the figures wrong are errors. Minor problems are listed in
`Dataset.notes`.
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
from imgsearch.images.image_lists import ListColumns

SUFFIXES: Final = frozenset(  # in lower case; other files are recognized by their first bytes
    (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
)
_NAMED: Final = 5  # names in a note with a long list


@dataclass(frozen=True, slots=True)
class Item:
    """A labeled image. `path` is absolute, and `label` is NFC-normalized."""

    path: Path
    label: str


@dataclass(frozen=True)  # no slots, because the hash is a cached property
class Dataset:
    """A gallery to search in, and queries.

    If `held_out`, the queries are not in the gallery. Otherwise they are the gallery images, and
    each must be left out of its own hits. `notes` are sentences for the report.
    """

    name: str
    root: Path
    gallery: tuple[Item, ...]
    queries: tuple[Item, ...]
    held_out: bool
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def manifest_hash(self) -> str:
        """The sha256 of the contents, labels and roles of all images, in hex.

        It hashes sorted lines. A line is a JSON array of the role ("gallery" or "query"; with
        leave-one-out only "gallery"), the label and the file's sha256, and ends in a newline. Paths
        are not included, so the same images in another folder are the same dataset.

        Every file is read: 1,100 JPEGs of 126 MB in total took 0.2 s (in the file cache, 2-core
        virtual machine, Python 3.11).

        Raises:
            DatasetError: a file cannot be read.
        """
        queries = self.queries if self.held_out else ()
        roles = chain((("gallery", i) for i in self.gallery), (("query", i) for i in queries))
        lines = sorted(json.dumps([role, item.label, _sha256(item.path)]) for role, item in roles)
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def load(
    path: str | os.PathLike[str],
    *,
    path_column: str | None = None,
    label_column: str | None = None,
) -> Dataset:
    """Load the dataset at `path`, a folder or list in one of the layouts of this module.

    Images are recognized by suffix, or else by their first bytes. Hidden files are skipped.
    `path_column` and `label_column` are the column names of a list, case-insensitive; by default
    the columns are found by their usual names, see `ListColumns`. If a folder
    has several splits, the first pair whose queries are in class folders is used. Other folders are
    listed in `notes`.

    Raises:
        DatasetError: the path is missing or unreadable, no image has a label, the gallery has fewer
            than two images, labels differ only in case or surrounding whitespace, or a list lacks a
            column, a cell or a file.
    """
    try:
        root = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link loop, an unknown user, a NUL
        raise DatasetError(f"invalid path {os.fspath(path)!r}: {error}") from error
    try:
        if root.is_dir():
            return _load_folder(root)
        if root.is_file():
            return _load_list(root, ListColumns(path_column, label_column))
    except OSError as error:
        raise DatasetError(f"{error.filename or root} cannot be read: {error.strerror}") from error
    raise DatasetError(
        f"{root} does not exist. Name a folder of class folders, or a csv, tsv or parquet file."
    )


def _load_folder(root: Path) -> Dataset:
    notes = _Notes()
    splits_ = _find_splits(root)
    if splits_ is None:
        gallery = _load_classes(root, notes)
        return _build(root.name, root, gallery=gallery, queries=None, notes=notes)
    notes.unused_folders += [
        entry.name for entry in _visible(root) if entry.is_dir() and entry not in splits_
    ]
    gallery, queries = (_load_classes(split, notes) for split in splits_)
    return _build(root.name, root, gallery=gallery, queries=queries, notes=notes)


def _find_splits(root: Path) -> tuple[Path, Path] | None:
    """Return the gallery and query folders, preferably with queries in class folders.

    Returns None if there are no splits.
    """
    pairs = list(splits.pairs(root))
    return next((pair for pair in pairs if splits.has_folders(pair[1])), next(iter(pairs), None))


def _load_classes(folder: Path, notes: "_Notes") -> list[Item]:
    """Return the images in the class folders of `folder`, sorted by class and name."""
    items: list[Item] = []
    for entry in _visible(folder):
        if not entry.is_dir():
            if _is_image(entry):
                notes.skipped.append(entry.name)
            continue
        label = _label(entry.name)
        before = len(items)
        for file in _visible(entry):
            if _is_image(file):
                items.append(Item(file, label))
            else:
                notes.skipped.append(f"{entry.name}/{file.name}")
        if len(items) == before:
            notes.empty_folders.append(f"{folder.name}/{entry.name}")
    if not items:
        raise DatasetError(
            f"{folder} has no class folder with an image. Arrange images as <class>/<image>, also "
            f"under train and test, or train and val, in one of {' '.join(FORMATS)}."
        )
    return items


def _load_list(file: Path, columns: ListColumns) -> Dataset:
    notes = _Notes()
    labels: dict[Path, str] = {}
    for row in rows(file, columns, on_note=notes.add):
        image = Path(os.path.normpath(image_lists.file_in(file.parent, row.path)))
        name = _label(row.label)
        if labels.setdefault(image, name) != name:
            raise DatasetError(
                f"{file.name} {row.place}: {row.path} is {labels[image]!r} on one line and "
                f"{name!r} on another. Keep one of them."
            )
        notes.repeated_rows += 1
    missing = [image for image in labels if not image.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(labels)} files of {file.name} are missing, first "
            f"{missing[0]}. Write paths relative to {file.name}."
        )
    notes.repeated_rows -= len(labels)
    items = [Item(image, name) for image, name in labels.items()]
    return _build(file.stem, file.parent, gallery=items, queries=None, notes=notes)


class _Notes:
    """Problems of a dataset that do not make the figures wrong."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.empty_folders: list[str] = []
        self.unused_folders: list[str] = []
        self.repeated_rows = 0
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        """Add a sentence unless it was added before."""
        self._sentences[sentence] = None

    def lines(self) -> Iterator[str]:
        yield from self._sentences
        if self.unused_folders:
            yield f"unused folders beside the two splits: {_join(self.unused_folders)}"
        if self.empty_folders:
            yield f"class folders without an image: {_join(self.empty_folders)}"
        if self.skipped:
            yield f"entries other than images in class folders: {_join(self.skipped)}"
        if self.repeated_rows:
            yield f"rows that repeat another row, counted once: {self.repeated_rows}"


def _build(
    name: str, root: Path, *, gallery: list[Item], queries: list[Item] | None, notes: _Notes
) -> Dataset:
    query_items = gallery if queries is None else queries
    check_labels(item.label for item in chain(gallery, query_items))
    if len(gallery) < 2:
        raise DatasetError(f"{root} has {len(gallery)} gallery image; a ranking needs two")
    return Dataset(
        name=name,
        root=root,
        gallery=tuple(gallery),
        queries=tuple(query_items),
        held_out=queries is not None,
        notes=(*notes.lines(), *_label_notes(gallery, queries)),
    )


def check_labels(labels: Iterable[str]) -> None:
    """Reject labels that are probably variants of one label.

    Raises:
        DatasetError: two labels differ only in case or in leading or trailing whitespace.
    """
    seen: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        other = seen.setdefault(label.casefold().strip(), label)
        if other != label:
            raise DatasetError(
                f"the labels {other!r} and {label!r} differ only by case or blanks. Rename one, "
                "because their images would be wrong hits of each other."
            )


def _label_notes(gallery: Sequence[Item], queries: Sequence[Item] | None) -> Iterator[str]:
    """Yield notes about classes without queries or without relevant images.

    Raises:
        DatasetError: no query has a relevant image.
    """
    sizes = Counter(item.label for item in gallery)
    least = 1 if queries is None else 0  # with leave-one-out a query is in its own class
    barren = sorted({i.label for i in queries or gallery if sizes[i.label] <= least})
    if len(barren) == len({item.label for item in queries or gallery}):
        raise DatasetError("no query has another gallery image of its label, so it finds nothing")
    if barren:
        yield f"classes with queries but no relevant image: {_join(barren)}"
    unqueried = sorted(sizes.keys() - {item.label for item in queries or gallery})
    if unqueried:
        yield f"gallery classes without a query: {_join(unqueried)}"
    if len(sizes) == 1:
        yield "only one class: every hit is right, so the figures are meaningless"


def _label(name: str) -> str:
    """Return `name` in NFC, because macOS may store é as e and a combining accent.

    Raises:
        DatasetError: the name has control characters or is not UTF-8.
    """
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        raise DatasetError(f"invalid label {name!r}: it has control characters or is not UTF-8")
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


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} ({', '.join(names[:_NAMED])}{more})"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
