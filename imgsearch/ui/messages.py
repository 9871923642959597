"""Error messages for visitors, without the server's paths, addresses and settings."""

import logging
from typing import Final

from imgsearch.errors import (
    AccessDenied,
    BackendError,
    CatalogError,
    CollectionDenied,
    CollectionNotFound,
    ConfigError,
    EncoderError,
    FieldInvalid,
    ImageBusy,
    ImageError,
    ImageNotFound,
    ImgSearchError,
    LimitExceeded,
    MissingExtra,
    ObjectNotFound,
    ObjectStoreError,
    ScopeMissing,
    SourceError,
    TextUnknown,
    TextUnsupported,
    UrlFailed,
    UrlRefused,
)

_log = logging.getLogger(__name__)

# the first matching class is used; "" means the error's own message, which has no such details
_SENTENCES: Final[tuple[tuple[type[ImgSearchError], str], ...]] = (
    (ScopeMissing, "Your key does not allow this."),
    (CollectionDenied, ""),
    (AccessDenied, "Your key is no longer valid. Sign in again."),
    (CollectionNotFound, "This collection is empty. Add some images first."),
    (TextUnknown, ""),
    (TextUnsupported, "This collection's model takes images only. Search with an image."),
    (ImageNotFound, "This image does not exist any more."),
    (ObjectNotFound, "The original of this image was not stored."),
    (UrlRefused, "Images from this URL are not allowed here. Download the image, and upload it."),
    (UrlFailed, "The image could not be downloaded from this URL."),
    (SourceError, "The file does not exist any more. Choose it again."),
    (ImageBusy, "This image is being deleted."),
    (ConfigError, ""),
    (FieldInvalid, ""),  # of the filter that the visitor wrote
    (LimitExceeded, ""),
    (MissingExtra, ""),
    (EncoderError, "The model failed; see the server's log."),
    (BackendError, "The vector store failed; see the server's log."),
    (CatalogError, "The catalog failed; see the server's log."),
    (ObjectStoreError, "The originals are not available; see the server's log."),
)


def describe(error: ImgSearchError) -> str:
    """Return the message for an error, and log server errors in full."""
    if isinstance(error, ImageError):
        return f"This image cannot be used: {error.reason or 'it is damaged'}."
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            if sentence.endswith("log."):
                _log.warning("page: %s: %s", type(error).__name__, error)
            text = sentence or str(error)
            return text[:1].upper() + text[1:]
    _log.warning("page: %s: %s", type(error).__name__, error)
    return "The request failed; see the server's log."
