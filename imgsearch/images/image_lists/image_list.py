"""A list of images: the columns of its paths, labels and ids, and its rows."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from imgsearch.errors import SourceError
from imgsearch.images.image_lists.cells import URL, Cell, file_in, names_image, text
from imgsearch.images.image_lists.column_names import ListColumns, Places, find, listed
from imgsearch.images.image_lists.delimited import Note
from imgsearch.images.image_lists.list_formats import JSON, TEXT, Row, Table, open_table
from imgsearch.text import counted

SUFFIXES: Final = frozenset({".csv", ".tsv", ".tab", ".parquet", ".pq", *JSON, *TEXT})
"""File name suffixes of image lists."""

__all__ = ["SUFFIXES", "ImageList", "ListedImage", "Row", "open_list"]


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A row of a list: its place, and the path, label and id of an image.

    `path` is joined to the list's folder, or a URL; it is "" if the row has none. `label` is None
    if the list states none. `others` has the other columns' cells by name.
    """

    place: str
    path: str
    label: str | None = None
    id: str = ""
    others: Mapping[str, Cell] = field(default_factory=dict)


class ImageList:
    """A list of images in a file.

    `columns` are the names of all columns, `places` the indices of the columns of path,
    label and id, and `others` the indices of the other columns by name.
    """

    def __init__(self, file: Path, table: Table, places: Places) -> None:
        self._file, self._table, self.places = file, table, places
        self.columns = tuple(table.columns)

    @property
    def others(self) -> Mapping[str, int]:
        """The indices of the columns beside path, label and id; the first of equal names."""
        known = {self.places.path, self.places.label, self.places.id}
        others: dict[str, int] = {}
        for place, name in enumerate(self.columns):
            if name and place not in known:
                others.setdefault(name, place)
        return others

    def images(
        self,
        folder: Path,
        *,
        others: Iterable[str] = (),
        on_note: Note | None = None,
        join: Callable[[str], str] | None = None,
    ) -> Iterator[ListedImage]:
        """Yield the listed images, whose relative paths begin at `folder`.

        With `join`, it makes each path that is not a URL into one.

        The columns `others` are read, too. `on_note` is called as by `rows`, and if
        none of the files exists.

        Raises:
            OSError, SourceError: as for `rows`.
        """
        note, names = on_note or _ignore, list(others)
        read = [self.places.path, self.places.label, self.places.id]
        known = [place for place in read if place is not None]
        first, number, exists = "", 0, False
        for row in self.rows([*known, *(self.others[name] for name in names)], on_note=note):
            image = self._image(join or partial(_local, folder), row, names)
            if image.path and not exists:
                first, number = first or image.path, number + 1
                exists = bool(URL.match(image.path)) or os.path.lexists(image.path)
            yield image
        if first and not exists:
            note(
                f"none of the {counted(number, 'file')} in {self._file.name} exists, the first is "
                f"{first}. Relative paths begin at the folder of the list"
            )

    def _image(self, join: Callable[[str], str], row: Row, names: Sequence[str]) -> ListedImage:
        cells = iter(row.cells)
        path = next(cells)
        label = None if self.places.label is None else next(cells)
        id_ = None if self.places.id is None else next(cells)
        others = dict(zip(names, cells, strict=True))
        raw = path if isinstance(path, str) else text(path)
        file = text(raw).strip()
        if (file and not URL.match(file)) or file[:7].lower() == "file://":
            file = join(raw)
        stated = None if label is None else text(label).strip()
        return ListedImage(row.place, file, stated, text(id_).strip(), others)

    def rows(
        self, places: Sequence[int], *, on_note: Note | None = None, strict: bool = False
    ) -> Iterator[Row]:
        """Yield the rows, with the cells of the columns at `places`. Blank rows are left out.

        `on_note` is called with a sentence if the encoding is not UTF-8, or the choice of a column
        is uncertain. With `strict`, stray quotes in a csv are rejected.

        Raises:
            OSError, SourceError: the file cannot be read; raised during iteration.
        """
        note = on_note or _ignore
        for sentence in self.places.notes:
            note(sentence)
        yield from self._table.rows(places, self.places.path, note, strict=strict)


def open_list(file: Path, columns: ListColumns | None = None) -> ImageList:
    """Open the list of images in a file, in one of the formats of `SUFFIXES`.

    Raises:
        OSError: the file cannot be read.
        SourceError: the file is not a list, no column holds paths, or several may; the message
            does not name the file.
    """
    wanted = columns or ListColumns()
    table = open_table(file, wanted)
    names = ["" if place in table.not_texts else name for place, name in enumerate(table.columns)]
    places = find(names, wanted)
    if places is None:
        raise SourceError(_no_path(table.columns))
    return ImageList(file, table, places)


def _local(folder: Path, cell: str) -> str:
    return file_in(folder, os.path.expanduser(cell))  # noqa: PTH111 - as `sources` does


def _no_path(names: Sequence[str]) -> str:
    if any(map(names_image, names)):
        return "its first line names an image. Add a line above it with the columns: path,label"
    advice = "Name the one of the paths: path_column, or --path-column on the command line"
    return f'no column "path". {listed(names)}. {advice if any(names) else "Add one: path,label"}'


def _ignore(_note: str) -> None:
    return None
