"""Lists of images: csv, tsv, parquet, JSON and JSON lines files, and plain lists of paths.

`open_list` finds the columns and reads the rows. `ListColumns` names columns that it cannot find.
"""

from imgsearch.images.image_lists.cells import URL, Cell, file_in, text
from imgsearch.images.image_lists.column_names import ListColumns
from imgsearch.images.image_lists.image_list import SUFFIXES, ImageList, ListedImage, Row, open_list
from imgsearch.images.image_lists.list_fields import FieldColumns, inferred
from imgsearch.images.image_lists.list_formats import is_table

__all__ = [
    "SUFFIXES",
    "URL",
    "Cell",
    "FieldColumns",
    "ImageList",
    "ListColumns",
    "ListedImage",
    "Row",
    "file_in",
    "inferred",
    "is_table",
    "open_list",
    "text",
]
