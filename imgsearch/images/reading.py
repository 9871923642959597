"""How sources are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imgsearch.fields import FieldType
from imgsearch.images.image_lists import ListColumns
from imgsearch.types import Value


def _ignore(_text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read: the columns, and callbacks for ignored rows and for notes.

    `fields` apply to all images; a row's own win. Further columns of list files are read if
    `types` declares their fields, or all with `all_fields`. All columns of tables are read.
    `exclude` are patterns of files in folders; see `images.exclusions`. With `with_videos` videos
    in folders are read. Sources by URL are read from public hosts and from `url_hosts`; None
    turns this off.
    """

    path_column: str | None = None
    ignored: Callable[[str], None] = _ignore
    note: Callable[[str], None] = _ignore
    label_column: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    types: Mapping[str, FieldType] = field(default_factory=dict)
    all_fields: bool = False
    exclude: Sequence[str] = ()
    with_videos: bool = False
    url_hosts: Sequence[str] | None = None

    @property
    def columns(self) -> ListColumns:
        """The columns of list files that the caller named."""
        return ListColumns(self.path_column, self.label_column, self.types, self.all_fields)


ANY: Final = Reading()
"""The usual columns, and no source by URL."""
