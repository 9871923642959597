"""Single objects as images: an image in memory, a named or labeled one, or a row of a table."""

from collections.abc import Callable, Mapping
from io import IOBase
from os import PathLike, fsdecode
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.errors import ConfigError, SourceError
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.objects import as_array, as_pixels, as_vector, channels_last
from imgsearch.images.references import Reference
from imgsearch.images.sources import label_text
from imgsearch.images.tables import Columns, file_name, is_image, reference_of

_EXPECTED: Final = (
    "Give paths, images (bytes, Pillow images, pixels), dicts, a data frame, a table, a data set, "
    "or a list of these"
)
_PAIR: Final = 2  # (name, image) or (image, label)


def is_item(value: Any) -> bool:
    """Return whether an object is one image, as `reference` takes it, and no path."""
    if isinstance(value, tuple):
        return is_named(value) or is_labeled(value)
    return isinstance(value, Mapping) or is_image(value)


def is_named(value: Any) -> bool:
    """Return whether an object is a pair of a name and an image."""
    return (
        isinstance(value, tuple)
        and len(value) == _PAIR
        and isinstance(value[0], str | PathLike)
        and is_image(value[1])
    )


def is_labeled(value: Any) -> bool:
    """Return whether an object is a pair of an image and a label."""
    return (
        isinstance(value, tuple | list)
        and len(value) == _PAIR
        and is_image(value[0])
        and not (isinstance(value[1], Image.Image) or is_image(value[1]))
    )


def reference(
    item: Any,
    place: str,
    *,
    columns: ListColumns = ListColumns(),  # noqa: B008 - frozen
    classes: list[str] | None = None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> Reference | None:
    """Return the image of an object, or None for a row of a table without one.

    An image has no path, unless it is a Pillow image that was opened from a file. `place` names it
    in messages. `classes` are the names of labels that are numbers.

    Raises:
        SourceError: the object is not an image.
    """
    if isinstance(item, Mapping):
        of_item = Columns.of(list(item), item, wanted=columns, table=place)
        return reference_of(item, of_item, place, on_note)
    if is_named(item):
        return Reference(fsdecode(item[0]), content=pixels(item[1], place), place=place)
    label = None
    if is_labeled(item):
        item, label = item[0], _label(item[1], place, classes)
    return Reference(file_name(item), label, content=pixels(item, place), place=place)


def pixels(content: Any, place: str) -> Any:
    """Return bytes and Pillow images as they are, and pixels as an array whose shape is an image's.

    Raises:
        SourceError: `content` is not an image.
    """
    if isinstance(content, bytes | bytearray | memoryview | Image.Image):
        return content
    try:
        array = as_array(content)
        if array is None:
            raise unknown(content, place)
        if as_vector(array) is not None:
            raise vector(array, place)
        channels_last(array)
    except ConfigError as error:
        raise SourceError(f"{place}: {error} {_EXPECTED}") from error
    return array


def check_pixels(array: npt.NDArray[Any], place: str) -> None:
    """Check that the values of an array are pixels, as `as_pixels` takes them.

    Raises:
        SourceError: floats are outside [0, 1].
    """
    if array.dtype.kind != "f":
        return
    try:
        as_pixels(array)
    except ConfigError as error:
        raise SourceError(f"{place}: {error}") from error


def vector(values: Any, place: str) -> SourceError:
    """Return the error for a vector, which is for searches only."""
    return SourceError(
        f"{place} is a vector of {np.size(values)} numbers. Vectors are for search; add the image"
    )


def unknown(value: object, place: str) -> SourceError:
    """Return the error for an object that cannot be added."""
    expected = "Add its bytes: file.read()" if isinstance(value, IOBase) else _EXPECTED
    return SourceError(f"{place} is {_article(value)}, which cannot be added. {expected}")


def _article(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _label(value: Any, place: str, classes: list[str] | None) -> str | None:
    """Return a label as text. A number is the index of a class, if their names are known.

    Raises:
        SourceError: it is neither a text nor a number.
    """
    if value is None or isinstance(value, str):
        return None if value is None else label_text(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # such as a tensor
        value = value.item()
    if isinstance(value, int | np.integer):
        number = int(value)
        known = classes is not None and 0 <= number < len(classes)
        return label_text(str(classes[number])) if known and classes else str(number)
    raise SourceError(f"the label of {place} is {_article(value)}: give a text or a number")
