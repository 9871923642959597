"""Columns of parquet files with vectors, as Arrow types."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from imgsearch.fields import FieldType

ARROW_TYPES: Final[Mapping[FieldType, pa.DataType]] = {
    "str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(),
}  # fmt: skip
"""The types of fields."""
