"""The images of list files (csv, tsv, parquet, JSON lines, paths) as references."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from imgsearch.errors import FieldInvalid, SourceError
from imgsearch.fields import FieldType
from imgsearch.images import image_lists
from imgsearch.images.files import expand, label_text, printable, unreadable
from imgsearch.images.image_lists import FieldColumns, ImageList, ListColumns, ListedImage
from imgsearch.images.references import Reference

ANY_COLUMNS: Final = ListColumns()
"""The columns of lists, found by their usual names."""


def as_reference(image: ListedImage, columns: FieldColumns) -> Reference:
    """Return the reference to an image of a list. `read` raises the error of an invalid field."""
    label = None if image.label is None else label_text(image.label)
    try:
        fields = columns.values(image)
    except (FieldInvalid, SourceError) as error:
        return Reference(image.path, label, printable(image.id), content=error)
    return Reference(image.path, label, printable(image.id), fields)


def is_list(path: str | os.PathLike[str]) -> bool:
    """Return whether a path has the suffix of a list of images."""
    return Path(os.fsdecode(path)).suffix.lower() in image_lists.SUFFIXES


def field_types(source: object, columns: ListColumns = ANY_COLUMNS) -> dict[str, FieldType]:
    """Return the types of the fields in the further columns of a list file; {} without a list.

    Raises:
        SourceError: the list cannot be read.
    """
    if not isinstance(source, str | os.PathLike):
        return {}
    path = Path(expand(os.fsdecode(source)))
    if not (is_list(path) and path.is_file()):
        return {}
    try:
        return image_lists.inferred(open_list(path, columns))
    except OSError as error:
        raise unreadable(str(path), error) from error


def open_list(path: Path, columns: ListColumns) -> ImageList:
    """Open a list of images.

    Raises:
        SourceError: it is not a list, or it is not clear which column holds the paths.
    """
    try:
        return image_lists.open_list(path, columns)
    except (OSError, SourceError) as error:
        raise unreadable(str(path), error) from error


def listed(
    file: Path,
    columns: ListColumns,
    *,
    on_ignored: Callable[[str], None],
    on_note: Callable[[str], None],
) -> Iterator[Reference]:
    """Return the images of a list file; rows without a path go to `on_ignored`.

    Raises:
        SourceError: as for `open_list`; or, during iteration, the list cannot be read.
    """
    return _listed(file, open_list(file, columns), columns, on_ignored, on_note)


def _listed(
    file: Path,
    images: ImageList,
    columns: ListColumns,
    on_ignored: Callable[[str], None],
    on_note: Callable[[str], None],
) -> Iterator[Reference]:
    def note(sentence: str) -> None:
        on_note(printable(sentence))

    fields = FieldColumns(images, columns)
    if fields.note:
        note(f"{file.name}: {fields.note}")
    try:
        for image in images.images(file.parent, others=fields.fields, on_note=note):
            if image.path:
                yield as_reference(image, fields)
            else:
                on_ignored(f"{file}: {image.place}")
    except (OSError, SourceError) as error:
        raise unreadable(str(file), error) from error
