"""Source → image paths."""

from collections.abc import Iterator, Mapping

from imgsearch.errors import FieldInvalid
from imgsearch.fields import ZEROS, FieldType
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.sources import Source, references
from imgsearch.towhee import Operator
from imgsearch.types import Value


class ImageLoad(Operator):
    """List the images in a source, for use in a `flat_map`."""

    def __init__(
        self, *, labels: bool = False, fields: Mapping[str, FieldType] | None = None
    ) -> None:
        self._labels, self._fields = labels, dict(fields or {})
        self.outputs = 2 + len(self._fields) if labels else 1

    def __call__(self, source: Source) -> Iterator[str | tuple[Value, ...]]:
        """Yield the path of each image, or (path, label, *fields) if `labels` is set.

        `fields` are columns of a list with their types; a missing value is the zero of its type.

        Raises:
            SourceError: the source does not exist, or is not a list.
            FieldInvalid: a cell of a list is not a value of its field's type.
        """
        for reference in references(source, columns=ListColumns(fields=self._fields)):
            if not self._labels:
                yield reference.path
                continue
            if isinstance(reference.content, FieldInvalid):
                raise reference.content
            # Towhee drops rows that hold None
            values = (
                reference.fields.get(name, ZEROS[kind]) for name, kind in self._fields.items()
            )
            yield reference.path, reference.label or "", *values


image_load = ImageLoad  # the name that Towhee looks for
