"""Text and tags of added images: read and chosen while they are added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from imgsearch.archive.upload import EmbeddedRows, Upload
from imgsearch.encoders.text_reader import require_reader
from imgsearch.library.library import Library
from imgsearch.library.tagging import Tagger, checked_labels

_TAGS: Final = "tags"  # the field of tags


@dataclass(frozen=True, slots=True)
class Analysis:
    """The fields that are filled from the pixels of new images.

    With `ocr` the text in an image is the field ``text``. The labels of `tags` that fit an image
    are the field ``tags``, at most `top`; without `top` the threshold that was measured for texts
    decides. Values that are given with an image win.
    """

    ocr: bool = False
    tags: Sequence[str] = ()
    top: int | None = None

    def request(self) -> dict[str, Any]:
        """Return the values as JSON for a job, without defaults."""
        values = {"ocr": self.ocr, "tags": list(self.tags), "tag_top": self.top}
        return {name: value for name, value in values.items() if value}

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> "Analysis":
        """Return the analysis of a job."""
        tags = tuple(request.get("tags", ()))
        return cls(bool(request.get("ocr")), tags, request.get("tag_top"))

    def check(self) -> None:
        """Check the values that can be checked without a collection.

        Raises:
            MissingExtra: `ocr` needs the extra `ocr`.
            ConfigError: there are no labels in `tags`.
        """
        if self.ocr:
            require_reader()
        if self.tags:
            checked_labels(self.tags)

    def tagger(self, library: Library) -> Tagger | None:
        """Return the choice of tags for a library, which gets the field. None without tags.

        Raises:
            ConfigError: `top` is invalid, or missing while no threshold was measured.
            TextUnsupported: the encoder takes images only.
            SchemaMismatch: the field ``tags`` is not a text, or the store cannot add it.
        """
        if not self.tags:
            return None
        library.declare_fields({_TAGS: "list"})
        return library.tagger(self.tags, top=self.top)


def tagged(uploads: Sequence[Upload], rows: EmbeddedRows, tagger: Tagger | None) -> list[Upload]:
    """Return the uploads with their tags. An upload without a new vector is unchanged."""
    new = [upload for upload in uploads if rows.get(upload.entry.content)]
    if tagger is None or not new:
        return list(uploads)
    matrix = np.stack([rows[upload.entry.content][-1].vector for upload in new])
    texts = dict(zip([upload.id for upload in new], tagger.texts(matrix), strict=True))
    return [_with_tags(upload, texts.get(upload.id, "")) for upload in uploads]


def _with_tags(upload: Upload, text: str) -> Upload:
    if not text or _TAGS in upload.entry.fields:
        return upload
    fields = {**upload.entry.fields, _TAGS: text}
    return replace(upload, entry=replace(upload.entry, fields=fields))
