"""The pipelines that a library runs. A row of an insert is a chunk of images, not an image.

So Towhee moves a few rows for a thousand images, and its queues cost nothing measurable.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from typing_extensions import override

from imgsearch import arrow
from imgsearch.encoders import Recipe, load
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.embedding import EXTRA, SCHEMA, Chunk
from imgsearch.errors import (
    BackendError,
    CatalogError,
    ConfigError,
    DimensionMismatch,
    FieldInvalid,
    ImgSearchError,
    StepFailed,
    VectorInvalid,
)
from imgsearch.images import MAX_PIXELS
from imgsearch.images.sources import content_id, label_text, printable
from imgsearch.pipelines.steps import embed
from imgsearch.towhee import Pipeline, op
from imgsearch.towhee.operator import first_failure
from imgsearch.types import Closeable, Failure, Value, Vector

INPUTS: Final = ("path", "label", "id", "data")
"""The columns that a user's steps start from: text, text or None, content id, the file's bytes."""

_File: TypeAlias = tuple[str, str | None, str, bytes]  # the values of `INPUTS`
_KNOWN: Final = (*INPUTS, "image", "input", "vector")  # every other returned column is a field
_FAILURES: Final = "imgsearch_failures"  # a column that is "" unless another column failed
_ROWS: Final = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in EXTRA)])


def image_steps() -> Pipeline:
    """Return an open pipeline with the columns ``path``, ``label``, ``id`` and ``data``.

    Extend it with steps of your own, and pass it to `Library.add`. The steps run once per image.
    ``path`` is the name of an uploaded image, and ``label`` is None if the source states no label.
    They may set ``image`` (uint8 (height, width, 3), RGB), which is then embedded in the place of
    the decoded file; ``vector`` (float32 (d,)), which is then stored; ``path``; or ``label``. A
    `filter` leaves images out; its inputs and outputs must name all columns that are used later.
    Columns that `returning` names become fields: texts, numbers or booleans.

    >>> steps = image_steps().map("path", "folder", lambda path: path.split("/")[-2])
    >>> steps.returning("folder").columns
    ('folder',)
    """
    steps: Pipeline = Pipeline.input(*INPUTS)
    return steps


def text_steps(steps: Pipeline | None = None, *, max_pixels: int = MAX_PIXELS) -> Pipeline:
    """Return the steps that read the text in each image into the field ``text``.

    They follow `steps`, by default `image_steps`, and need the extra `ocr`. The option `ocr` of
    `Library.add` adds them.
    """
    start = image_steps() if steps is None else steps
    returned = () if steps is None else steps.columns
    reading = op("image_text", max_pixels=max_pixels, on_error="keep")
    texts: Pipeline = start.map(("data", "path"), "text", reading).returning(*returned, "text")
    return texts


def embedding_pipeline(
    encoder: Recipe, *, regions: Detection | None = None, max_pixels: int = MAX_PIXELS
) -> Pipeline:
    """Return the open pipeline: chunk → rows, a record batch as of `Embedding`.

    Raises, when it is built:
        EncoderError: the encoder or the detector cannot be built.
    """
    step = op(
        "image_embedding",
        **encoder.config(),
        regions=asdict(regions) if regions else None,
        max_pixels=max_pixels,
    )
    rows: Pipeline = Pipeline.input("chunk").map("chunk", "rows", step)
    return rows


class IngestPipeline(Closeable):
    """Embeds and writes chunks, with a user's steps before the embedding; see `image_steps`.

    Raises:
        ConfigError: `steps` cannot be run; see `_own_rows`. Or they are combined with regions.
    """

    def __init__(
        self,
        encoder: Recipe,
        *,
        steps: Pipeline | None = None,
        regions: Detection | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if steps is not None and regions is not None:
            raise ConfigError("a pipeline of your own cannot be combined with regions: choose one.")
        embedded = embedding_pipeline(encoder, regions=regions, max_pixels=max_pixels)
        self._encoder, self._own = encoder, None
        self._fields: tuple[str, ...] = ()
        self._sets_vector = False
        if steps is not None:
            self._fields = tuple(name for name in steps.columns if name not in _KNOWN)
            self._sets_vector = steps.sets("vector")
            self._own = _own_rows(steps, encoder, self._fields, max_pixels)
        start = embedded if steps is None else Pipeline.input("chunk", "rows")
        writing = start.map(("chunk", "rows"), "written", op("vector_insert"))
        self._write = writing.returning("written")

    def __call__(self, chunk: Chunk) -> Any:
        """Return what the chunk's `write` returns for its rows.

        Raises:
            EncoderError: the encoder or the detector cannot be built.
            ImgSearchError: an error of `write`.
        """
        if self._own is None:
            return self._write(chunk)[0]["written"]
        self._own.build()  # so that an encoder that cannot be built is not an error of each image
        rows = self._rows(self._own, list(_files(chunk)))
        return self._write(chunk, arrow.batch(rows, _ROWS))[0]["written"]

    @override
    def close(self) -> None:
        """Stop the threads."""
        self._write.close()
        if self._own is not None:
            self._own.close()

    def _rows(self, own: Pipeline, files: Sequence[_File]) -> list[dict[str, Any]]:
        """Return the rows. An image that a step cannot take fails alone.

        Raises:
            BackendError, CatalogError: a store that a step uses failed.
        """
        if not files:
            return []
        try:
            rows = own(files)
            return self._checked(rows[0]["rows"] if rows else [], files)
        except (FieldInvalid, VectorInvalid, DimensionMismatch) as error:
            failure: ImgSearchError = error
        except (BackendError, CatalogError):
            raise
        except ImgSearchError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - Towhee ends the whole run, by any exception
            failure = StepFailed.of(error)
        if len(files) > 1:
            half = len(files) // 2
            return [*self._rows(own, files[:half]), *self._rows(own, files[half:])]
        return [_failed_row(files[0], failure)]

    def _checked(
        self, rows: Sequence[tuple[Any, ...]], files: Sequence[_File]
    ) -> list[dict[str, Any]]:
        """Return the rows of a run, with `_ROWS`. An image with several rows fails.

        Raises:
            ImgSearchError: the image of a row is unknown.
        """
        if (failed := first_failure(row[2] for row in rows)) is not None:
            raise failed.error
        given, counts = Counter(file[2] for file in files), Counter(row[2] for row in rows)
        names = {file[2]: file for file in files}
        if counts.keys() - given.keys():
            raise StepFailed(
                "a step of the pipeline changed the column 'id', by which the images are known."
            )
        several = {id_ for id_, times in counts.items() if times > given[id_]}
        dim = self._encoder_dim() if self._sets_vector and rows else 0
        checked = [
            _row(names[row[2]], self._fields, row, dim) for row in rows if row[2] not in several
        ]
        for id_ in several:
            reason = f"the pipeline made {counts[id_]} rows of the image: it must make one."
            checked.append(_failed_row(names[id_], StepFailed(reason)))
        return checked

    def _encoder_dim(self) -> int:
        return load(**self._encoder.config()).fingerprint.dim


def _own_rows(
    steps: Pipeline, encoder: Recipe, fields: tuple[str, ...], max_pixels: int
) -> Pipeline:
    """Return the pipeline: files → rows.

    A row is a tuple of path, label, id, the fields, a failure or "", and the vector.

    Raises:
        ConfigError: `steps` start from columns that do not exist, return columns that no step sets,
            or change the rows of some columns only.
    """
    longer = steps.following(Pipeline.input("files").flat_map("files", INPUTS, iter))
    if missing := [name for name in fields if name not in longer.names()]:
        raise ConfigError(f"the pipeline returns {missing[0]!r}, but no step sets this column.")
    image = ("image",) if "image" in longer.names() else ("data", "path")
    used = ("vector",) if "vector" in longer.names() else image
    origins = longer.origins()
    _check_origins({name: origins[name] for name in ("path", "label", "id", *fields, *used)})
    # a failure in a column that is not returned fails the image, too
    whole = sorted(name for name, origin in origins.items() if origin == origins["id"])
    longer = longer.map(tuple(whole), _FAILURES, lambda *_columns: "")
    carried = ("path", "label", "id", *fields, _FAILURES)
    if used == image:
        longer = embed(
            longer,
            encoder,
            image=image,
            carried=carried,
            max_pixels=max_pixels,
            on_error="keep",
        )
    rows: Pipeline = longer.window_all((*carried, "vector"), "rows", _zipped)
    return rows.returning("rows")


def _check_origins(origins: Mapping[str, str]) -> None:
    """Check that the rows of all columns belong together; Towhee would pair others by place.

    Raises:
        ConfigError: a filter, or another step that changes the number of rows, lacks a column.
    """
    apart = [name for name, origin in origins.items() if origin != origins["id"]]
    if apart:
        beside = ", ".join(name for name in origins if name not in apart)
        raise ConfigError(
            f"the rows of {', '.join(apart)} do not belong to the rows of {beside}: a filter, or "
            "another step that changes the number of rows, lacks some of these columns. Name all "
            "in its inputs and outputs."
        )


def _zipped(*columns: list[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*columns, strict=True))


def _files(chunk: Chunk) -> Iterator[_File]:
    """Yield the columns `INPUTS` of each image."""
    for (path, data), label in zip(chunk.images, chunk.labels, strict=True):
        yield path, label, content_id(data), data


def _row(file: _File, names: tuple[str, ...], row: tuple[Any, ...], dim: int) -> dict[str, Any]:
    """Return a row with `_ROWS`. A failed column, or one with an unusable value, is its error."""
    path, label, id_, *fields, _, vector = row
    try:
        if (failed := first_failure(row)) is not None:
            raise failed.error
        values = {name: _plain(name, value) for name, value in zip(names, fields, strict=True)}
        return {
            "id": id_,
            "source": printable(_text("path", path)),
            "sha256": id_,
            "vector": _vector(vector, dim),
            "status": "ok",
            "error": "",
            "label": None if label is None else label_text(_text("label", label)),
            "fields": json.dumps(values),
        }
    except ImgSearchError as error:
        return _failed_row(file, error)


def _failed_row(file: _File, error: ImgSearchError) -> dict[str, Any]:
    path, _, id_, _ = file
    failure = Failure.of(printable(path), error)
    return {
        "id": id_,
        "source": failure.path,
        "sha256": id_,
        "status": failure.stage,
        "error": printable(f"{failure.error}: {failure.reason}"),
    }


def _text(name: str, value: Any) -> str:
    return str(_plain(name, value))


def _plain(name: str, value: Any) -> Value:
    """Return a field's value as Python's own type.

    Raises:
        FieldInvalid: it is neither a text, a number nor a boolean.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | int | float | bool):
        raise FieldInvalid(
            f"column {name!r} holds a {type(value).__name__}: return a str, a number or a bool."
        )
    return value


def _vector(vector: Any, dim: int) -> Vector:
    """Return a vector, float32 (dim,). With a `dim` of 0 the length is not checked.

    Raises:
        VectorInvalid: it is not an array of numbers with one dimension.
        DimensionMismatch: it has another length.
    """
    array = np.asarray(vector)
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise VectorInvalid(f"column 'vector' holds {array.dtype} {array.shape}, not float32 (d,).")
    if dim and len(array) != dim:
        raise DimensionMismatch(
            f"column 'vector' holds {len(array)} numbers: the encoder's vectors have {dim}.",
            expected=dim,
            got=len(array),
        )
    with np.errstate(over="ignore"):  # the store refuses infinity
        return np.ascontiguousarray(array, dtype=np.float32)
