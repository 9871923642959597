"""Decoding, image headers and thumbnails, with limits for pixels, time and memory."""

from imgsearch.images.decoder import (
    MAX_PIXELS,
    checked,
    checked_limit,
    decode,
    header,
    picture,
    small,
    thumbnail,
)
from imgsearch.images.formats import FORMATS, HEAD, sniff

__all__ = [
    "FORMATS",
    "HEAD",
    "MAX_PIXELS",
    "checked",
    "checked_limit",
    "decode",
    "header",
    "picture",
    "small",
    "sniff",
    "thumbnail",
]
