"""The rows of an insert pipeline as records, and how they are written."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from imgsearch.backends import Collection
from imgsearch.encoders.embedding import failure_of, vectors_of
from imgsearch.errors import FieldInvalid, VectorInvalid
from imgsearch.images.regions import FIELDS as REGION_FIELDS
from imgsearch.library.progress import Candidate
from imgsearch.types import Failure, Record, Vector

_ROW_AT_FAULT: Final = (FieldInvalid, VectorInvalid)  # all other store errors end the load


def embedded_records(
    rows: pa.RecordBatch, files: Mapping[str, Candidate]
) -> tuple[dict[str, Failure], list[Record]]:
    """Return the failures of a batch's images by content id, and its records."""
    failures: dict[str, Failure] = {}
    records: list[Record] = []
    vectors = iter(vectors_of(rows))
    for row in rows.drop_columns("vector").to_pylist():
        if row["status"] == "ok":
            records.append(_record(row, next(vectors), files[row["sha256"]]))
        elif not row.get("box"):  # failed regions are left out
            failures[row["sha256"]] = failure_of(row)
    return failures, records


def _record(row: Mapping[str, Any], vector: Vector, file: Candidate) -> Record:
    """Return a row's record. Fields from the source win over fields from a user's steps."""
    own = json.loads(row.get("fields") or "{}")
    path = row["source"]
    if path == file.place:  # an image without a path
        path = file.path
    label = row.get("label")
    if label is None:  # no step has set it
        label = file.label or ""
    fields = {"path": path, "label": label}
    fields |= {name: row[name] for name in REGION_FIELDS if name in row}
    return Record(row["id"], vector, {**own, **file.fields, **fields})


def upsert(collection: Collection, records: Sequence[Record]) -> dict[str, Failure]:
    """Write rows; return the failures of images by content id.

    If a row is refused, the image's later rows are not written. Its own row is the last of them.
    """
    failures: dict[str, Failure] = {}
    try:
        collection.upsert(records)
    except _ROW_AT_FAULT:
        pass  # written one by one below, to find the refused rows
    else:
        return failures
    for record in records:
        content = record.id.partition("#")[0]
        if content in failures:
            continue
        try:
            collection.upsert([record])
        except _ROW_AT_FAULT as error:
            failures[content] = Failure.of(str(record.fields["path"]), error)
    return failures
