"""Facts that a load reads from files: fields of their metadata, and the text in the image."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from imgsearch.errors import FieldInvalid, ImgSearchError
from imgsearch.fields import typed
from imgsearch.images import metadata
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.file_index import FileIndex
from imgsearch.library.progress import Candidate, Tally
from imgsearch.text import counted
from imgsearch.types import Record, Value

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline

TEXT: Final = "text"
"""The field of the text in an image."""


class FileFacts:
    """Reads the facts that a load asks for, also of stored images that were added without them.

    The index notes which facts were read from each image, because a file may have none. `texts` is
    the pipeline that reads the text in an image; see `pipelines.text_steps`. Without it, texts are
    not read.
    """

    def __init__(
        self,
        handle: CollectionHandle,
        index: FileIndex,
        *,
        texts: "Pipeline | None" = None,
        max_pixels: int,
    ) -> None:
        self._handle, self._index, self._texts = handle, index, texts
        self._max_pixels = max_pixels
        self._again = 0

    @property
    def wanted(self) -> frozenset[str]:
        """The names of the facts."""
        return frozenset(self._handle.exif) | ({TEXT} if self._texts is not None else frozenset())

    def lacks(self, content: str) -> bool:
        """Return whether a fact was never read from the stored image."""
        return not self.wanted <= self._index.facts(content)

    def of_new(self, file: Candidate) -> dict[str, Value]:
        """Return the facts in the metadata of a file. Returns {} if the file was not read."""
        names = self._handle.exif if file.data else ()
        return metadata.fitting(file.data, names, self._handle.fields, max_pixels=self._max_pixels)

    def of_known(self, file: Candidate, record: Record) -> dict[str, Value]:
        """Return the facts that a stored image's record lacks, read from its file.

        Raises:
            ImgSearchError: the text in the image cannot be read.
        """
        facts = self.of_new(file) | self._text(file, record)
        return {name: value for name, value in facts.items() if not record.fields.get(name)}

    def note(self, content: str, path: str, *, known: bool = False) -> None:
        """Note that all facts were read from an image. Images that were `known` are counted."""
        if self.lacks(content):
            self._again += known
            self._index.note_facts(content, self.wanted, path)

    def report(self, tally: Tally) -> None:
        """Note in the report how many stored images were read."""
        if self._again:
            images = counted(self._again, "image of the library was", "images of the library were")
            tally.note(f"{images} read again for {', '.join(sorted(self.wanted))}")
            self._again = 0

    def _text(self, file: Candidate, record: Record) -> dict[str, Value]:
        if self._texts is None or not file.data or record.fields.get(TEXT):
            return {}
        if TEXT in self._index.facts(file.id):
            return {}
        (row,) = self._texts(file.name, "", file.id, file.data)
        if isinstance(row[TEXT], str):
            return typed({TEXT: row[TEXT]}, self._handle.fields)
        error = getattr(row[TEXT], "error", None)
        raise error if isinstance(error, ImgSearchError) else FieldInvalid("the text is not a str")


def lacking(index: FileIndex, contents: Iterable[str], wanted: Iterable[str]) -> set[str]:
    """Return the content hashes for which at least one `wanted` fact was never read."""
    names = frozenset(wanted)
    return {content for content in contents if not names <= index.facts(content)}
