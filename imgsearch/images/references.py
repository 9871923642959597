"""Images that a source names: a path, or an object in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgsearch.types import Value


@dataclass(frozen=True, slots=True)
class Reference:
    """An image of a source, with the label, id and fields that the source has for it.

    `path` is a file, or the name of an image in memory, "" without a name. In a list, `label` is
    the cell of the column ``label``, or "". In a folder or a glob, it is the name of the file's
    folder. It is None if the source has no label: a list without the column, a single file, or a
    file directly in the walked folder or in a split of a dataset (``train``, ``val`` …). `id` is
    the cell of the list's column ``id``, or "". `fields` are the values of further columns.

    `content` is the image in memory: encoded bytes, a Pillow image or an array. It is an error if
    the source could not provide the image, and None for a file. `place` names an image without a
    path in messages, such as "image 3".
    """

    path: str
    label: str | None = None
    id: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict, hash=False)
    content: Any = field(default=None, compare=False, repr=False)
    place: str = ""

    @property
    def title(self) -> str:
        """The path, or the place of an image without one, for messages."""
        return self.path or self.place
