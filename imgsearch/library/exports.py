"""Parquet files of collections that are described by a service."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from imgsearch.backends import Index, Schema, parquet
from imgsearch.backends.parquet import ReadRecords
from imgsearch.types import Fingerprint

__all__ = ["ReadRecords", "to_parquet"]


def to_parquet(
    file: str | PathLike[str], read: ReadRecords, *, name: str, about: Mapping[str, Any]
) -> int:
    """Write records to a parquet file; return their number.

    `about` describes the collection: ``dim``, ``metric``, ``index``, ``fields``, and ``encoder``,
    the identity of the encoder, {} if it is unknown.

    Raises:
        SourceError: the file cannot be written.
        ConfigError, TypeError: the description is invalid.
        ImgSearchError: an error of `read`.
    """
    schema = Schema(
        about["dim"],
        about["metric"],
        Index.parse(about["index"]),
        about["fields"],
        Fingerprint(**about["encoder"]) if about["encoder"] else None,
    )
    return parquet.write(file, schema, read, name=name)
