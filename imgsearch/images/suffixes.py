"""Suffixes of photos, and of other files that users add by mistake."""

from collections.abc import Mapping
from typing import Final

PHOTOS: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp",
    ".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".heic", ".heif",
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".iiq", ".mrw", ".nef", ".nrw", ".orf", ".pef",
    ".raf", ".rw2", ".srw", ".x3f",
})  # fmt: skip
"""Suffixes of photos. An unreadable file with such a suffix is reported, not ignored."""

_SPREADSHEET: Final = "a spreadsheet, not an image. Save it as csv with a column path"
_PACKED: Final = "an archive, not an image. Unpack it and name the folder"
_DOCUMENT: Final = "a document, not an image. Export its pages as images"
_TABLE: Final = "a table, not an image. Save it as parquet or csv with a column path"
OTHERS: Final[Mapping[str, str]] = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods", ".numbers"), _SPREADSHEET),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z", ".rar"), _PACKED),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".html"), _DOCUMENT),
    **dict.fromkeys((".feather", ".arrow", ".orc", ".h5"), _TABLE),
}
"""The end of an error message by suffix: the type of the file and the remedy."""
