"""Bytes → pixels: decoding, image headers and thumbnails, within limits."""

from imgsearch.images.decoder import (
    FORMATS,
    HEAD,
    MAX_PIXELS,
    checked,
    decode,
    header,
    picture,
    sniff,
    thumbnail,
)

__all__ = [
    "FORMATS",
    "HEAD",
    "MAX_PIXELS",
    "checked",
    "decode",
    "header",
    "picture",
    "sniff",
    "thumbnail",
]
