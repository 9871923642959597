"""A table that maps each error class to its status, code and text (RFC 9457)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from imgsearch import errors


@dataclass(frozen=True, slots=True)
class Kind:
    """The response for an error class.

    With `public`, the error's own message is sent, unless it contains a path or a URL. `retry` is
    the number of seconds after which the request may be retried, 0 for never.
    """

    status: int
    code: str
    text: str
    public: bool = False
    retry: int = 0


_STORE: Final = "The vector store failed; see the log of the service."
_SOURCE: Final = (
    "That folder, list or file is not readable, or not inside a permitted root (see --root)."
)
KINDS: Final[Mapping[type[errors.ImgSearchError], Kind]] = {
    errors.ImgSearchError: Kind(500, "internal", "The service failed; see its log."),
    errors.ConfigError: Kind(
        422, "invalid_request", "A value in the request is invalid.", public=True
    ),
    errors.PluginFailed: Kind(
        501, "plugin_failed", "An encoder or store from another package cannot be used."
    ),
    errors.MissingExtra: Kind(
        501, "not_installed", "The service lacks a package that the request needs."
    ),
    errors.SourceError: Kind(422, "source_unreadable", _SOURCE),
    errors.UrlRefused: Kind(422, "url_refused", "The service does not fetch this URL."),
    errors.UrlFailed: Kind(422, "url_failed", "This URL could not be fetched."),
    errors.ImageError: Kind(422, "image_unusable", "The image cannot be used."),
    errors.FormatRefused: Kind(
        415,
        "format_refused",
        "The file is not an image in a supported format: JPEG, PNG, WebP, GIF, BMP, TIFF, "
        "JPEG 2000, PPM or AVIF. HEIC needs the server's extra heic. Raw files of cameras need a "
        "large preview.",
    ),
    errors.ImageTooLarge: Kind(413, "image_too_large", "The image has more pixels than allowed."),
    errors.ImageCorrupt: Kind(422, "image_corrupt", "The image is damaged and cannot be decoded."),
    errors.ImageCrashed: Kind(422, "image_crashed", "The image crashes or hangs the decoder."),
    errors.EncoderError: Kind(500, "encoder_failed", "The encoder failed."),
    errors.ModelNotFound: Kind(422, "model_unknown", "No model has this name."),
    errors.EncoderRemoved: Kind(
        409, "encoder_removed", "The collection's encoder was removed.", public=True
    ),
    errors.TextUnsupported: Kind(
        422, "text_unsupported", "The collection's encoder takes images only. Search with an image."
    ),
    errors.TextUnknown: Kind(
        422, "text_unknown", "The encoder knows none of the words in the text.", public=True
    ),
    errors.WeightsNotFound: Kind(503, "weights_missing", "The encoder's weights are missing."),
    errors.WeightsInvalid: Kind(503, "weights_invalid", "The encoder's weights are invalid."),
    errors.EncoderMismatch: Kind(
        409, "encoder_mismatch", "The collection holds vectors of another encoder."
    ),
    errors.BackendError: Kind(503, "store_failed", _STORE, retry=5),
    errors.CollectionNotFound: Kind(
        404, "collection_not_found", "The collection does not exist; adding an image creates it."
    ),
    errors.CollectionSwitched: Kind(
        503,
        "collection_switched",
        "The collection was just replaced by a new version. Retry.",
        retry=1,
    ),
    errors.SchemaMismatch: Kind(
        409,
        "schema_mismatch",
        "The collection has another schema, or another program created it, or its store cannot add "
        "fields.",
    ),
    errors.DimensionMismatch: Kind(409, "dimension_mismatch", "Vectors have different dimensions."),
    errors.VectorInvalid: Kind(
        422, "vector_invalid", "The vector contains NaN, infinity or only zeros."
    ),
    errors.FieldInvalid: Kind(
        422, "field_invalid", "A field, an id or the filter is invalid.", public=True
    ),
    errors.IndexRefused: Kind(503, "store_failed", _STORE),
    errors.StoreLocked: Kind(503, "store_locked", "Another process has locked the store.", retry=5),
    errors.StoreReadOnly: Kind(409, "store_read_only", "The vector store is read-only."),
    errors.BackendUnavailable: Kind(503, "store_unavailable", _STORE, retry=5),
    errors.OperatorNotFound: Kind(500, "internal", "The service failed; see its log."),
    errors.DatasetError: Kind(422, "source_unreadable", _SOURCE),
    errors.DownloadError: Kind(
        503, "download_failed", "The service could not download a file that the request needs."
    ),
    errors.StepFailed: Kind(500, "step_failed", "A step of the service's own pipeline failed."),
    errors.PrecisionUnreached: Kind(
        409, "precision_unreached", "No threshold reaches the requested precision."
    ),
    errors.CatalogError: Kind(
        503, "catalog_failed", "The catalog failed; see the log of the service.", retry=5
    ),
    errors.CatalogOutdated: Kind(
        503, "catalog_outdated", "The catalog was created by a newer version."
    ),
    errors.ImageNotFound: Kind(404, "image_not_found", "No image has this id."),
    errors.ImageExists: Kind(409, "image_exists", "Another image has this id."),
    errors.ImageBusy: Kind(409, "image_busy", "The image is being deleted.", retry=1),
    errors.ObjectStoreError: Kind(
        503,
        "originals_failed",
        "The store of originals failed; see the log of the service.",
        retry=5,
    ),
    errors.ObjectNotFound: Kind(404, "original_not_found", "The original does not exist any more."),
    errors.SyncRefused: Kind(
        409,
        "sync_refused",
        "The sync would delete or replace many images, or finds none. Confirm it.",
    ),
    errors.JobBusy: Kind(409, "job_busy", "The job is still running; cancel it first.", retry=1),
    errors.JobNotFound: Kind(404, "job_not_found", "No job has this id."),
    errors.EngineFailed: Kind(503, "engine_failed", "The engine of the job failed.", retry=5),
    errors.MigrationIncomplete: Kind(
        409,
        "migration_incomplete",
        "Some images cannot be embedded with the new model; see the job.",
    ),
    errors.LimitExceeded: Kind(413, "limit_exceeded", "The request exceeds a limit.", public=True),
    errors.AccessDenied: Kind(
        401,
        "access_denied",
        "A valid API key is required: Authorization: Bearer KEY, or X-API-Key.",
    ),
    errors.ScopeMissing: Kind(
        403, "scope_missing", "The API key lacks the scope that the request needs."
    ),
    errors.CollectionDenied: Kind(
        403,
        "collection_denied",
        "The API key is limited to other collections.",
        public=True,
    ),
}
"""Maps each error class to its response; a test compares the classes with errors.py."""

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
_OTHERS: Final[Mapping[str, type[errors.ImgSearchError]]] = {
    "body_too_large": errors.LimitExceeded,
    "busy": errors.BackendUnavailable,
    "deadline_exceeded": errors.BackendUnavailable,
    "disconnected": errors.BackendUnavailable,
    "file_missing": errors.ConfigError,
    "filter_invalid": errors.FieldInvalid,
    "host_refused": errors.ConfigError,
    "image_not_base64": errors.ConfigError,
    "malformed": errors.ConfigError,
    "media_type_unsupported": errors.ConfigError,
    "method_not_allowed": errors.ConfigError,
    "origin_refused": errors.AccessDenied,
    "rate_exceeded": errors.LimitExceeded,
    "request_timeout": errors.BackendUnavailable,
    "range_unsatisfiable": errors.ConfigError,
    "route_not_found": errors.ConfigError,
    "stopping": errors.BackendUnavailable,
    "ocr_not_allowed": errors.AccessDenied,
    "tags_not_allowed": errors.AccessDenied,
    "urls_not_allowed": errors.AccessDenied,
}
"""Maps codes without an error class of their own to the class that a client raises."""

# of several classes with one code the first is the more general one
ERRORS: Final[Mapping[str, type[errors.ImgSearchError]]] = {
    **{kind.code: family for family, kind in reversed(tuple(KINDS.items()))},
    **_OTHERS,
}
"""Maps each code to the error class that a client raises."""

# a URL, a path of at least two parts or below a home folder, or a Windows drive
_PLACE: Final = re.compile(r"[a-z][a-z0-9+.-]*://|(?<![\w.])~?/\w|\b[A-Z]:\\", re.IGNORECASE)


def kind_of(error: errors.ImgSearchError | type[errors.ImgSearchError]) -> Kind:
    """Return the entry of `KINDS` for an error or error class, or for its nearest base class."""
    family = error if isinstance(error, type) else type(error)
    return next(KINDS[base] for base in family.__mro__ if base in KINDS)


def message(error: errors.ImgSearchError) -> str:
    """Return an error's message without the service's paths and URLs."""
    kind = kind_of(error)
    text = str(error)
    if kind.public and text and not _PLACE.search(text):
        return text[:500]
    return kind.text


def error_class(code: str) -> type[errors.ImgSearchError]:
    """Return the error class for a problem code; `ImgSearchError` for a newer service's code."""
    return ERRORS.get(code, errors.ImgSearchError)


def kind_named(name: str) -> Kind:
    """Return the entry of `KINDS` for the error class named `name`."""
    family = getattr(errors, name, errors.ImgSearchError)
    return kind_of(family if isinstance(family, type) else errors.ImgSearchError)
