"""The hits of a query as a list, a table, and a row of pictures in a notebook."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, overload

from typing_extensions import override

from imgsearch import images
from imgsearch.errors import ImgSearchError
from imgsearch.images import sources
from imgsearch.library.data_frames import require_pandas
from imgsearch.types import Hit

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SHOWN: Final = 50  # pictures in a notebook
_SIDE: Final = 128  # pixels of a thumbnail's longer side
_CELL: Final = "display:inline-block;vertical-align:top;margin:4px;width:132px;font-size:80%"


class Hits(list[Hit]):
    """Hits, nearest first. A slice is `Hits`, too; a notebook shows them as pictures.

    >>> hits = Hits([Hit("a", 0.9, 0.1, {"path": "cat.jpg", "label": "cat", "year": 2019})])
    >>> hits[0].label, hits[0]["year"]
    ('cat', 2019)
    >>> hits.to_arrow().column_names
    ['id', 'score', 'distance', 'path', 'label', 'year']

    `thumbnail` returns the picture of a hit as JPEG or WebP. By default its file is read. Copies by
    pickle read files, too.
    """

    def __init__(
        self, hits: Iterable[Hit] = (), *, thumbnail: Callable[[Hit], bytes] | None = None
    ) -> None:
        super().__init__(hits)
        self._thumbnail = thumbnail

    @override
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        """Return the hits alone, because a function of an open client cannot be pickled."""
        return type(self), (list(self),)

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> Hit: ...

    @overload
    def __getitem__(self, place: slice, /) -> "Hits": ...

    @override
    def __getitem__(self, place: SupportsIndex | slice, /) -> "Hit | Hits":
        part = super().__getitem__(place)
        return Hits(part, thumbnail=self._thumbnail) if isinstance(part, list) else part

    def to_arrow(self) -> "pa.Table":
        """Return a table with the columns id, score and distance, and one for each field.

        A hit without a field has a null there. A field whose values have several types is a column
        of texts.
        """
        import pyarrow as pa

        names = dict.fromkeys(name for hit in self for name in hit.fields)
        columns: dict[str, Any] = {
            "id": pa.array([hit.id for hit in self], pa.string()),
            "score": pa.array([hit.score for hit in self], pa.float64()),
            "distance": pa.array([hit.distance for hit in self], pa.float64()),
        }
        columns |= {
            name: _column(hit.fields.get(name) for hit in self)
            for name in names
            if name not in columns
        }
        return pa.table(columns)

    def to_pandas(self) -> "pd.DataFrame":
        """Return `to_arrow` as a pandas DataFrame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        require_pandas()
        return self.to_arrow().to_pandas()

    def _repr_html_(self) -> str:
        """Return the pictures of the first 50 hits with their scores, for notebooks."""
        cells = "".join(_cell(hit, self._thumbnail or _file_thumbnail) for hit in self[:_SHOWN])
        more = f"<p>and {len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        return f"<div>{cells}</div>{more}" if self else "<p>no hits</p>"


def _column(values: Iterable[Any]) -> "pa.Array":
    import pyarrow as pa

    whole = list(values)
    kinds = {type(value) for value in whole if value is not None}
    if len(kinds) > 1:
        common: type = float if kinds == {int, float} else str
        whole = [None if value is None else common(value) for value in whole]
    return pa.array(whole)


def _cell(hit: Hit, thumbnail: Callable[[Hit], bytes]) -> str:
    picture = _picture(hit, thumbnail)
    name = escape(hit.label or hit.path.rpartition("/")[2] or hit.id[:12])
    return (
        f'<div style="{_CELL}" title="{escape(hit.path)}">{picture}<br>{hit.score:.3f} {name}</div>'
    )


def _picture(hit: Hit, thumbnail: Callable[[Hit], bytes]) -> str:
    """Return an image element, or a short text if the image cannot be shown."""
    if thumbnail is _file_thumbnail and not hit.path:
        return "no path"
    try:
        data = thumbnail(hit)
    except ImgSearchError as error:
        return escape(type(error).__name__)
    kind = "webp" if data[8:12] == b"WEBP" else "jpeg"
    return f'<img alt="" src="data:image/{kind};base64,{b64encode(data).decode()}">'


def _file_thumbnail(hit: Hit) -> bytes:
    return images.small(sources.read(hit.path), side=_SIDE, path=hit.path)
