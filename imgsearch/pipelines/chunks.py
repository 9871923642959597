"""The pipelines that a library runs. A row of an insert is a chunk of images, not an image.

So Towhee moves some rows for a thousand images, and its queues cost nothing measurable.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from typing_extensions import override

from imgsearch.encoders import Recipe
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.embedding import EXTRA, SCHEMA, Chunk
from imgsearch.errors import ConfigError, FieldInvalid, ImgSearchError, StepFailed, VectorInvalid
from imgsearch.images import MAX_PIXELS
from imgsearch.images.sources import content_id, printable
from imgsearch.pipelines.steps import embed
from imgsearch.towhee import Pipeline, op
from imgsearch.towhee.operator import first_failure
from imgsearch.types import Closeable, FailedRow, Failure, Value, Vector

INPUTS: Final = ("path", "label", "id", "data")
"""The columns that a user's steps start from: text, text or None, content id, the file's bytes."""

_KNOWN: Final = (*INPUTS, "image", "input", "vector")  # every other returned column is a field
_ROWS: Final = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in EXTRA)])


def image_steps() -> Pipeline:
    """Return an open pipeline with the columns ``path``, ``label``, ``id`` and ``data``.

    Extend it with steps of your own, and pass it to `Library.add`. The steps run once per image.
    ``path`` is the name of an uploaded image, and ``label`` is None if the source states no label.
    They may set ``image`` (uint8 (height, width, 3), RGB), which is then embedded in the place of
    the decoded file; ``vector`` (float32 (d,)), which is then stored; or ``label``. A `filter`
    leaves images out. Columns that `returning` names become fields: texts, numbers or booleans.

        >>> steps = image_steps().map("path", "folder", lambda path: path.split("/")[-2])
        >>> library.add("photos", pipeline=steps.returning("folder"))
    """
    steps: Pipeline = Pipeline.input(*INPUTS)
    return steps


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
        ConfigError: `steps` start from columns that do not exist, or are combined with regions.
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
        self._own = None if steps is None else _own_rows(steps, encoder, max_pixels)
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
        rows = pa.RecordBatch.from_pylist(self._rows(self._own, chunk), _ROWS)
        return self._write(chunk, rows)[0]["written"]

    @override
    def close(self) -> None:
        """Stop the threads."""
        self._write.close()
        if self._own is not None:
            self._own.close()

    def _rows(self, own: Pipeline, chunk: Chunk) -> list[dict[str, Any]]:
        """Return the rows. An image that a step cannot take fails alone."""
        if not chunk.images:
            return []
        try:
            rows = own(chunk)
        except ImgSearchError:
            raise
        except Exception as error:  # noqa: BLE001 - Towhee ends the whole run, by any exception
            if len(chunk.images) > 1:
                half = len(chunk.images) // 2
                parts = _part(chunk, 0, half), _part(chunk, half, None)
                return [row for part in parts for row in self._rows(own, part)]
            (path, _, id_, _) = next(_files(chunk))
            return [_row(path, None, id_, FailedRow(StepFailed.of(error)))]
        return list(rows[0]["rows"]) if rows else []


def _own_rows(steps: Pipeline, encoder: Recipe, max_pixels: int) -> Pipeline:
    """Return the pipeline: chunk → rows with `_ROWS`, by a user's steps and the embedding."""
    fields = tuple(name for name in steps.columns if name not in _KNOWN)
    longer = steps.following(Pipeline.input("chunk").flat_map("chunk", INPUTS, _files))
    carried = ("path", "label", "id", *fields)
    if missing := [name for name in fields if name not in longer.names()]:
        raise ConfigError(f"the pipeline returns {missing[0]!r}, but no step sets this column.")
    if "vector" not in longer.names():
        image = ("image",) if "image" in longer.names() else ("data", "path")
        longer = embed(
            longer,
            encoder,
            image=image,
            carried=carried,
            max_pixels=max_pixels,
            on_error="keep",
        )
    rows: Pipeline = longer.window_all((*carried, "vector"), "rows", _collect(fields))
    return rows.returning("rows")


def _collect(names: tuple[str, ...]) -> Callable[..., list[dict[str, Any]]]:
    """Return the last step: columns path, label, id, fields and vector → rows with `_ROWS`."""

    def collect(*columns: list[Any]) -> list[dict[str, Any]]:
        return [
            _row(path, label, id_, vector, dict(zip(names, fields, strict=True)))
            for path, label, id_, *fields, vector in zip(*columns, strict=True)
        ]

    return collect


def _files(chunk: Chunk) -> Iterator[tuple[str, str | None, str, bytes]]:
    """Yield the columns `INPUTS` of each image."""
    for (path, data), label in zip(chunk.images, chunk.labels, strict=True):
        yield path, label, content_id(data), data


def _part(chunk: Chunk, start: int, stop: int | None) -> Chunk:
    part = slice(start, stop)
    return replace(chunk, images=chunk.images[part], labels=chunk.labels[part])


def _row(
    path: str, label: Any, id_: str, vector: Any, fields: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a row with `_ROWS`. A failed column becomes the row's error."""
    row = {"id": id_, "source": printable(path), "sha256": id_, "status": "ok", "error": ""}
    failed = first_failure([label, vector, *(fields or {}).values()])
    try:
        if failed is not None:
            raise failed.error
        values = {name: _plain(name, value) for name, value in (fields or {}).items()}
        text = None if label is None else str(_plain("label", label))
        vector = _checked(vector)
    except ImgSearchError as error:
        failure = Failure.of(path, error)
        return row | {"status": failure.stage, "error": f"{failure.error}: {error}"}
    return row | {"vector": vector, "label": text, "fields": json.dumps(values)}


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


def _checked(vector: Any) -> Vector:
    """Return a vector, float32 (d,).

    Raises:
        VectorInvalid: it is not an array of numbers with one dimension.
    """
    array = np.asarray(vector)
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise VectorInvalid(f"column 'vector' holds {array.dtype} {array.shape}, not float32 (d,).")
    return np.ascontiguousarray(array, dtype=np.float32)
