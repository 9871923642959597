"""Warnings about a query: unknown words and scripts, and encoders that cannot be verified."""

import warnings

from imgsearch.backends import Collection
from imgsearch.errors import EncoderWarning, TextWarning
from imgsearch.query import EncodedQuery


def warn_of_query(encoded: EncodedQuery, collection: Collection | None, *, stacklevel: int) -> None:
    """Issue the warnings about a query.

    `stacklevel` is as for `warnings.warn`, counted from the caller.
    """
    if encoded.encoder is not None and collection is not None:
        text = collection.encoder_warning(encoded.encoder.model)
        if text:
            warnings.warn(text, EncoderWarning, stacklevel=stacklevel + 1)
    for text in encoded.warnings:
        warnings.warn(text, TextWarning, stacklevel=stacklevel + 1)
