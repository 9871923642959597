"""Checks a job's files of vectors, and puts them where a server reads them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imgsearch import arrow
from imgsearch.backends.bulk import BulkImporter
from imgsearch.backends.checks import check_vectors
from imgsearch.backends.schema import Schema
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.folder import BATCH, JobFolder, columns
from imgsearch.errors import (
    DimensionMismatch,
    FieldInvalid,
    SchemaMismatch,
    VectorInvalid,
)
from imgsearch.fields import ZEROS
from imgsearch.library.import_state import ImportFile, ImportFolder

_NO_ROWS: Final = np.empty(0, np.int64)


class ImportFiles:
    """The files of a job, for one importer.

    `bucket` is the folder or bucket from which the server reads, or None if it reads the job's
    folder. Files that can be imported as they are stay where they are, or are copied to the bucket.
    """

    def __init__(
        self,
        job: JobFolder,
        folder: ImportFolder,
        schema: Schema,
        importer: BulkImporter,
        bucket: JobFiles | None,
    ) -> None:
        self._job, self._folder, self._schema = job, folder, schema
        self._importer, self._bucket = importer, bucket

    def prepare(self, file: ImportFile, repeated: npt.NDArray[np.int64] | None) -> None:
        """Check a file, and set its path and number of rows. Rows of `repeated` are left out.

        Raises:
            SchemaMismatch: a column is missing, or has another type.
            DimensionMismatch, VectorInvalid: a vector is missing, too short or too long, or
                contains NaN or infinity. The message names the file and the row.
            FieldInvalid: an id is missing.
            BackendError: the file cannot be read or written.
        """
        name = f"vectors/{file.shard:06}.parquet"
        left_out = _NO_ROWS if repeated is None else repeated
        rows, is_ready = self._check(name)
        file.rows = rows - len(left_out)
        if not file.rows:
            file.state = "done"
        elif is_ready and not len(left_out):
            file.path = self._placed(name)
        else:
            file.path = self._rewritten(name, left_out)

    def _check(self, name: str) -> tuple[int, bool]:
        """Check all rows; return their number, and whether the file can be imported as it is."""
        wanted = columns(self._schema)
        with self._job.files.reading(name) as opened:
            source = pq.ParquetFile(opened)
            given = source.schema_arrow
            if missing := [field for field in wanted.names if field not in given.names]:
                raise SchemaMismatch(
                    f"{self._title(name)} cannot be imported: it has no column {missing[0]!r}."
                )
            is_ready = given.remove_metadata().equals(wanted)
            row = 0
            for batch in source.iter_batches(BATCH, columns=wanted.names):
                self._check_batch(name, batch, row)
                if is_ready:
                    nulls = any(batch.column(column).null_count for column in batch.schema.names)
                    is_ready = not nulls and not self._importer.columns(batch.slice(0, 1))
                row += batch.num_rows
        return row, is_ready

    def _check_batch(self, name: str, batch: pa.RecordBatch, row: int) -> None:
        if batch.column("id").null_count:
            raise FieldInvalid(f"{self._title(name)} has a row without an id.")
        vectors = batch.column("vector")
        if not _is_list(vectors.type):
            raise SchemaMismatch(
                f"{self._title(name)} cannot be imported: its column 'vector' is of type "
                f"{vectors.type}, not a list of numbers."
            )
        lengths = np.asarray(pc.fill_null(pc.list_value_length(vectors), -1).to_pylist())
        if len(wrong := np.flatnonzero(lengths != self._schema.dim)):
            got = int(lengths[wrong[0]])
            what = "no vector" if got < 0 else f"a vector of {got} numbers"
            raise DimensionMismatch(
                f"{self._title(name)}: row {row + int(wrong[0])} has {what} instead of "
                f"{self._schema.dim}. Nothing was imported.",
                expected=self._schema.dim,
                got=max(got, 0),
            )
        try:
            check_vectors(self._schema, _matrix(vectors, self._schema.dim))
        except VectorInvalid as error:
            raise VectorInvalid(
                f"{self._title(name)}: in rows {row} to {row + batch.num_rows - 1} {error}. "
                "Nothing was imported."
            ) from error

    def _placed(self, name: str) -> str:
        """Return the path of a file that is imported as it is."""
        if self._bucket is None:
            return self._job.files.key(name)
        placed = f"{self._folder.path}/{Path(name).name}"
        with self._bucket.draft() as draft:
            with self._job.files.reading(name) as source, draft.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            self._bucket.put(placed, draft)
        return self._bucket.key(placed)

    def _rewritten(self, name: str, left_out: npt.NDArray[np.int64]) -> str:
        """Write a file without some rows, with the columns of the collection; return its path."""
        wanted, placed = columns(self._schema), f"{self._folder.path}/{Path(name).name}"
        place = self._bucket or self._job.files
        with place.draft() as draft:
            self._write(draft, name, left_out, wanted)
            place.put(placed, draft)
        return place.key(placed)

    def _write(
        self, draft: Path, name: str, left_out: npt.NDArray[np.int64], wanted: pa.Schema
    ) -> None:
        writer: pq.ParquetWriter | None = None
        try:
            with self._job.files.reading(name) as opened:
                row = 0
                for batch in pq.ParquetFile(opened).iter_batches(BATCH, columns=wanted.names):
                    end = row + batch.num_rows
                    here = left_out[(left_out >= row) & (left_out < end)] - row
                    kept = np.setdiff1d(np.arange(batch.num_rows), here)
                    row = end
                    cells = _cast(name, batch.take(arrow.of_numbers(kept)), wanted, self._schema)
                    for column, values in self._importer.columns(cells).items():
                        cells = cells.append_column(column, arrow.array(values, pa.string()))
                    if writer is None:
                        writer = pq.ParquetWriter(draft, cells.schema, compression="zstd")
                    writer.write_batch(cells)
        finally:
            if writer is not None:
                writer.close()

    def _title(self, name: str) -> str:
        return f"{self._job.files.title}: {name}"


def _cast(name: str, batch: pa.RecordBatch, wanted: pa.Schema, schema: Schema) -> pa.RecordBatch:
    """Return a batch with the wanted types. Missing values become the zero of their type.

    Raises:
        SchemaMismatch: a column has another type.
    """
    arrays = []
    for field in wanted:
        column = batch.column(field.name)
        if field.name == "vector":
            matrix = _matrix(column, schema.dim)
            offsets = np.arange(0, matrix.size + 1, schema.dim, dtype=np.int32)
            parts = arrow.of_numbers(offsets), arrow.of_numbers(matrix.reshape(-1))
            arrays.append(pa.ListArray.from_arrays(*parts))
            continue
        try:
            cells = column.cast(field.type)
        except pa.ArrowException as error:
            raise SchemaMismatch(
                f"{name} cannot be imported: its column {field.name!r} is of type {column.type}, "
                f"not {field.type}."
            ) from error
        zeros: Mapping[str, Any] = {name: ZEROS[kind] for name, kind in schema.fields.items()}
        arrays.append(pc.fill_null(cells, zeros[field.name]) if field.name in zeros else cells)
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _matrix(vectors: pa.Array, dim: int) -> npt.NDArray[np.float32]:
    """Return a column of vectors as float32, shape (n, dim); null numbers become NaN."""
    values = pc.fill_null(vectors.flatten().cast(pa.float32()), float("nan"))
    return np.asarray(np.from_dlpack(values), dtype=np.float32).reshape(-1, dim)


def _is_list(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_list(kind) for is_list in lists):
        return False
    return bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))
