"""Errors in words for visitors, who are told of no path, address or setting of the server."""

import logging
from typing import Final

from imgsearch.errors import (
    AccessDenied,
    BackendError,
    CatalogError,
    CollectionNotFound,
    ConfigError,
    EncoderError,
    ImageBusy,
    ImageError,
    ImageNotFound,
    ImgSearchError,
    LimitExceeded,
    ObjectNotFound,
    ObjectStoreError,
    ScopeMissing,
    SourceError,
    TextUnknown,
    TextUnsupported,
)

_log = logging.getLogger(__name__)

# the first class that an error is of tells; "" is the error's own text, which names nothing inside
_WORDS: Final[tuple[tuple[type[ImgSearchError], str], ...]] = (
    (ScopeMissing, "The key that you signed in with does not allow this."),
    (AccessDenied, "Sign in again: the key is not known any more."),
    (CollectionNotFound, "This collection is empty: add some images first."),
    (TextUnknown, ""),
    (TextUnsupported, "This collection's model takes images only, no words."),
    (ImageNotFound, "This image is not there any more."),
    (ObjectNotFound, "The original of this image was not kept."),
    (SourceError, "The file is not there any more; choose it again."),
    (ImageBusy, "This image is being deleted."),
    (ConfigError, ""),
    (LimitExceeded, ""),
    (EncoderError, "The model cannot be run; the server's log tells why."),
    (BackendError, "The vector store does not answer; the server's log tells why."),
    (CatalogError, "The catalogue does not answer; the server's log tells why."),
    (ObjectStoreError, "The originals cannot be reached; the server's log tells why."),
)


def words(error: ImgSearchError) -> str:
    """Return an error as a sentence for the page; what it leaves out is logged."""
    if isinstance(error, ImageError):
        return f"This image cannot be used: {error.reason or 'it is broken'}."
    for kind, sentence in _WORDS:
        if isinstance(error, kind):
            if sentence.endswith("why."):
                _log.warning("page: %s: %s", type(error).__name__, error)
            told = sentence or str(error)
            return told[:1].upper() + told[1:]
    _log.warning("page: %s: %s", type(error).__name__, error)
    return "That did not work; the server's log tells why."
