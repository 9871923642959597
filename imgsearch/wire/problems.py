"""Problems: one table from each class of errors to its status, code and text (RFC 9457)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from imgsearch import errors


@dataclass(frozen=True, slots=True)
class Kind:
    """The response to a class of errors.

    With `public`, the error's own message is sent, unless it contains a path or a URL. `retry` is
    the number of seconds after which a repeated request may succeed, 0 for never.
    """

    status: int
    code: str
    text: str
    public: bool = False
    retry: int = 0


_STORE: Final = "The vector store failed; the log of the service has more."
KINDS: Final[Mapping[type[errors.ImgSearchError], Kind]] = {
    errors.ImgSearchError: Kind(500, "internal", "The service failed; its log has more."),
    errors.ConfigError: Kind(422, "invalid_request", "A value is out of its range.", public=True),
    errors.MissingExtra: Kind(501, "not_installed", "A part that this needs is not installed."),
    errors.SourceError: Kind(422, "source_unreadable", "What was named cannot be read."),
    errors.UrlRefused: Kind(422, "url_refused", "This URL must not be fetched."),
    errors.UrlFailed: Kind(422, "url_failed", "This URL could not be fetched."),
    errors.ImageError: Kind(422, "image_unusable", "The image cannot be used."),
    errors.FormatRefused: Kind(
        415,
        "format_refused",
        "The bytes are no image in a format that is read: JPEG, PNG, WebP, GIF, BMP, TIFF, "
        "JPEG 2000, PPM or AVIF. HEIC needs the server's extra heic; a camera's raw file, a large "
        "preview.",
    ),
    errors.ImageTooLarge: Kind(413, "image_too_large", "The image has more pixels than allowed."),
    errors.ImageCorrupt: Kind(422, "image_corrupt", "The image is damaged: it does not decode."),
    errors.EncoderError: Kind(500, "encoder_failed", "The encoder failed."),
    errors.ModelNotFound: Kind(422, "model_unknown", "There is no model of that name."),
    errors.EncoderRemoved: Kind(
        409, "encoder_removed", "The collection's encoder was removed.", public=True
    ),
    errors.TextUnsupported: Kind(422, "text_unsupported", "The encoder takes images only."),
    errors.TextUnknown: Kind(422, "text_unknown", "The encoder knows no word of it.", public=True),
    errors.WeightsNotFound: Kind(503, "weights_missing", "The encoder's weights are not there."),
    errors.WeightsInvalid: Kind(503, "weights_invalid", "The encoder's weights are not right."),
    errors.EncoderMismatch: Kind(
        409, "encoder_mismatch", "The collection holds vectors of another encoder."
    ),
    errors.BackendError: Kind(503, "store_failed", _STORE, retry=5),
    errors.CollectionNotFound: Kind(
        404, "collection_not_found", "There is no such collection; adding an image makes it."
    ),
    errors.SchemaMismatch: Kind(
        409, "schema_mismatch", "The collection has another schema, or another program created it."
    ),
    errors.DimensionMismatch: Kind(409, "dimension_mismatch", "Vectors are of other lengths."),
    errors.VectorInvalid: Kind(422, "vector_invalid", "The vector has no direction."),
    errors.FieldInvalid: Kind(
        422, "field_invalid", "A field, an id or the filter does not fit.", public=True
    ),
    errors.IndexRefused: Kind(503, "store_failed", _STORE),
    errors.StoreLocked: Kind(503, "store_locked", "Another process has the store.", retry=5),
    errors.BackendUnavailable: Kind(503, "store_unavailable", _STORE, retry=5),
    errors.OperatorNotFound: Kind(500, "internal", "The service failed; its log has more."),
    errors.DatasetError: Kind(422, "source_unreadable", "What was named cannot be read."),
    errors.DownloadError: Kind(503, "download_failed", "What this needs could not be fetched."),
    errors.PrecisionUnreached: Kind(409, "precision_unreached", "No score is as precise."),
    errors.CatalogError: Kind(503, "catalog_failed", "The catalogue failed.", retry=5),
    errors.CatalogOutdated: Kind(503, "catalog_outdated", "The catalogue is of a newer version."),
    errors.ImageNotFound: Kind(404, "image_not_found", "There is no image of that id."),
    errors.ImageExists: Kind(409, "image_exists", "The id is another image's."),
    errors.ImageBusy: Kind(409, "image_busy", "The image is being deleted.", retry=1),
    errors.ObjectStoreError: Kind(
        503, "originals_failed", "The store of originals failed.", retry=5
    ),
    errors.ObjectNotFound: Kind(404, "original_not_found", "The original is not there any more."),
    errors.JobBusy: Kind(409, "job_busy", "The job is not over: cancel it first.", retry=1),
    errors.JobNotFound: Kind(404, "job_not_found", "There is no job of that id."),
    errors.LimitExceeded: Kind(413, "limit_exceeded", "More than is allowed.", public=True),
    errors.AccessDenied: Kind(
        401, "access_denied", "A valid API key is needed: Authorization: Bearer KEY, or X-API-Key."
    ),
    errors.ScopeMissing: Kind(403, "scope_missing", "The API key does not allow this."),
}
"""Error class → its response; a test compares the keys with errors.py."""

CODES: Final[Mapping[int, str]] = {
    400: "malformed",
    404: "route_not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "limit_exceeded",
    415: "media_type_unsupported",
    421: "host_refused",
    422: "invalid_request",
    429: "rate_exceeded",
    503: "busy",
}
# a URL, a path of at least two parts or from a home, or a Windows drive
_PLACE: Final = re.compile(r"[a-z][a-z0-9+.-]*://|(?<![\w.])~?/\w|\b[A-Z]:\\", re.IGNORECASE)


def kind_of(error: errors.ImgSearchError | type[errors.ImgSearchError]) -> Kind:
    """Return the entry of `KINDS` for an error or its class: that of the nearest base class."""
    family = error if isinstance(error, type) else type(error)
    return next(KINDS[each] for each in family.__mro__ if each in KINDS)


def message(error: errors.ImgSearchError) -> str:
    """Return the message of an error that a client may see."""
    kind = kind_of(error)
    text = str(error)
    if kind.public and text and not _PLACE.search(text):
        return text[:500]
    return kind.text


def kind_named(name: str) -> Kind:
    """Return the entry of `KINDS` for the error class of this name."""
    family = getattr(errors, name, errors.ImgSearchError)
    return kind_of(family if isinstance(family, type) else errors.ImgSearchError)
