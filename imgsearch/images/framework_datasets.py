"""Reads data sets of Hugging Face and torch, one image at a time, without importing either."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from imgsearch.errors import SourceError
from imgsearch.images.sources import printable
from imgsearch.images.tables import Row


def is_hugging_face(value: Any) -> bool:
    """Return whether an object is a data set of Hugging Face, in memory or streamed."""
    package = type(value).__module__.partition(".")[0]
    return package == "datasets" and hasattr(value, "cast_column")


def check_split(value: Any) -> None:
    """Check that an object is one data set.

    Raises:
        SourceError: it is a dict of the splits of a data set of Hugging Face.
    """
    if isinstance(value, Mapping) and any(map(is_hugging_face, value.values())):
        splits = ", ".join(map(str, value))
        raise SourceError(f"the data set has splits, {splits}: add one of them")


def _class_name(number: int | None, text: Callable[[int], str]) -> str | None:
    if number is None or number < 0:  # -1 is an unknown class
        return None
    return text(number)


def hugging_face_columns(dataset: Any) -> list[str]:
    """Return the names of the columns, [] if they are unknown."""
    return list(dataset.features or dataset.column_names or [])


def hugging_face_rows(dataset: Any) -> Iterator[Row]:
    """Yield the rows as dicts. Images keep their bytes, and classes are texts."""
    names: dict[str, Any] = {}
    plain = dataset.with_format(None)
    for name, feature in (dataset.features or {}).items():
        kind = type(feature).__name__
        if kind == "Image":
            plain = plain.cast_column(name, type(feature)(decode=False))
        elif kind == "ClassLabel":
            names[name] = feature.int2str
    for row in plain:
        texts = {name: _class_name(row[name], text) for name, text in names.items()}
        yield {**row, **texts}


def is_torch(value: Any) -> bool:
    """Return whether an object is a data set of torch."""
    module = sys.modules.get("torch.utils.data")
    return module is not None and isinstance(value, module.Dataset)


def torch_items(dataset: Any) -> Iterator[Any]:
    """Yield the items. An item that cannot be read is a SourceError."""
    if not hasattr(dataset, "__len__"):
        yield from dataset
        return
    for index in range(len(dataset)):
        try:
            yield dataset[index]
        except Exception as error:  # noqa: BLE001 - the code of a user
            yield SourceError(printable(f"{type(error).__name__}: {error}"))


def torch_classes(dataset: Any) -> list[str] | None:
    """Return the names of the classes, or None if the data set has none."""
    while dataset is not None:
        if isinstance(classes := getattr(dataset, "classes", None), list | tuple):
            return [str(name) for name in classes]
        dataset = getattr(dataset, "dataset", None)  # of a subset
    return None
