"""The embedding step: a batch of images → an Arrow record batch, for any engine."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from os import PathLike
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from imgsearch import arrow, encoders, images
from imgsearch.encoders import Encoder, Recipe, unit
from imgsearch.encoders.detector import Detection
from imgsearch.errors import ConfigError, EncoderError, ImageError, ImgSearchError
from imgsearch.images import regions, sources
from imgsearch.threads import DaemonPool, available_cores, granted_cores
from imgsearch.types import Failure, Matrix, Vector

Item: TypeAlias = "str | PathLike[str] | bytes | tuple[str, bytes]"
"""A path, an image's bytes, or (path, bytes), where the path is only a name."""

SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("vector", pa.list_(pa.float32())),
        pa.field("status", pa.string()),
        pa.field("error", pa.string()),
    ]
)
"""One row per item, in order. `status` is "ok" or the stage that failed: "read", "header",
"decode", "convert" or "embed", or "crash" (see `IsolatedEmbedding`). `error` is
``ErrorName: message``, "" for "ok". `id` and `sha256` are the sha256 of the bytes, null if they
cannot be read. `vector` is null unless `status` is "ok".
"""

EXTRA: Final = ("label", "fields")
"""Columns that a user's steps may add: the image's label, and a JSON object of further fields."""

REGIONS: Final = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in regions.FIELDS)])
"""`SCHEMA` with the fields of `regions.FIELDS`. An item has one row per region, then one row for
the whole image, whose id is the content id and whose box is "".
"""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some hundred images that are one row of a pipeline, whose cost per image is then nothing.

    `images` are (name, bytes), and `labels` are theirs; None leaves a label unstated. `write` is
    called with the rows of `Embedding` and returns what the pipeline returns. With `one_core` one
    thread decodes and one embeds.
    """

    images: Sequence[tuple[str, bytes]]
    write: Callable[[pa.RecordBatch], Any] = lambda rows: rows
    labels: Sequence[str | None] = ()
    one_core: bool = False


_SPARE: Final = 1  # extra thread, which decodes while another one waits for the model
_idle: Final = defaultdict[int, list[DaemonPool]](list)  # pools by their number of threads
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of the threads


@dataclass(frozen=True)
class Embedding:
    """Embeds batches of images in the same way as `Library.add`.

    It is picklable, because it holds only configuration: a worker of a distributed engine loads the
    encoder at its first batch, once per process. Images with more than `max_pixels` decoded pixels
    are refused. `threads` is the number of cores that are used, such as the ones that an engine
    grants to the worker; by default all that are available.

        step = Embedding(Recipe.of("resnet50", "model.safetensors"))
        table = step(["a.jpg", "b.jpg"]).to_pandas()
    """

    encoder: Recipe = field(default_factory=Recipe)
    regions: Detection | None = None
    max_pixels: int = images.MAX_PIXELS
    threads: int | None = None

    def __post_init__(self) -> None:
        images.checked_limit(self.max_pixels)
        if self.threads is not None and (type(self.threads) is bool or self.threads < 1):
            raise ConfigError(f"threads must be 1 or more, not {self.threads!r}")

    @property
    def schema(self) -> pa.Schema:
        """The schema of the result: `REGIONS` with a detector, otherwise `SCHEMA`."""
        return REGIONS if self.regions else SCHEMA

    def __call__(self, items: Sequence[Item], *, one_core: bool = False) -> pa.RecordBatch:
        """Return a record batch with `schema` for `items`. An item's error is in its row.

        With `one_core` one thread decodes and one embeds, to leave the other cores free; torch's
        own threads are not limited.

        Memory: about 150 kB per item (the model's input), and one decoded image per thread.

        Raises:
            EncoderError: the encoder or the detector cannot be built.
            MissingExtra: their library is not installed.
        """
        encoder = encoders.load(**self.encoder.config())
        if self.regions:
            self.regions.build()  # otherwise an invalid folder would be an error in every row
        cores = self.threads or available_cores()
        threads = 1 if one_core else cores + _SPARE
        with _pool(threads) as pool:
            if encoder.offloaded:
                rows = list(self._embed_on_device(pool, encoder, items))
            else:
                # few images are divided among all cores
                share = -(-len(items) // cores)
                size = 1 if one_core else max(1, min(encoder.batch_size, share))
                rows = list(self._embed_in_threads(pool, encoder, items, size))
        columns = [
            arrow.array([getattr(row, column.name) for row in rows], column.type)
            for column in self.schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _embed_in_threads(
        self, pool: Executor, encoder: Encoder, items: Sequence[Item], size: int
    ) -> Iterator["_Row"]:
        """Decode and embed a batch in each thread, so that no core is idle."""

        def batch(part: Sequence[Item]) -> list[_Row]:
            # the threads are the cores: with a limit, the encoder must not use more in each
            with granted_cores(1 if self.threads else None):
                return _embed(
                    encoder, chain.from_iterable(self._inputs(encoder, item) for item in part)
                )

        parts = [items[start : start + size] for start in range(0, len(items), size)]
        return chain.from_iterable(pool.map(batch, parts))

    def _embed_on_device(
        self, pool: Executor, encoder: Encoder, items: Sequence[Item]
    ) -> Iterator["_Row"]:
        """Decode on all cores while another device embeds the images that are already decoded."""
        inputs = pool.map(lambda item: self._inputs(encoder, item), items)
        while part := list(islice(inputs, max(1, encoder.batch_size))):
            yield from _embed(encoder, chain.from_iterable(part))

    def _inputs(self, encoder: Encoder, item: Item) -> list[tuple["_Row", Any]]:
        """Return the item's rows, each with the model's input, or with None if the row failed."""
        row = _Row()
        try:
            return self._prepare(encoder, _content(row, item), row)
        except ImgSearchError as error:
            row.fail(error)
            return [(row, None)]

    def _prepare(self, encoder: Encoder, data: bytes, row: "_Row") -> list[tuple["_Row", Any]]:
        """Return the rows of the regions, then the image's own row, each with the model's input."""
        if self.regions is None:
            prepared = model_input(encoder, data, row.source, max_pixels=self.max_pixels)
            return [(row, prepared)]
        image = images.decode(data, path=row.source, max_pixels=self.max_pixels)
        row.image = row.id or ""
        return [
            (replace(row, id=id_, box=box, object=name), encoder.prepare(pixels))
            for id_, box, name, pixels in regions.rows(row.image, image, self.regions(image))
        ]


@contextmanager
def _pool(threads: int) -> Iterator[DaemonPool]:
    """Return a pool for one call, and keep its threads for later calls.

    glibc gives new threads other parts of its memory, each of which keeps the size of the largest
    images there: 100 MB when each chunk had its own threads. A call that fails, or hangs, takes its
    pool with it.
    """
    try:
        pool = _idle[threads].pop()
    except IndexError:
        pool = DaemonPool(threads, "imgsearch-embedding")
    try:
        yield pool
    except BaseException:
        pool.shutdown()
        raise
    _idle[threads].append(pool)


@dataclass
class _Row:
    """One row of `REGIONS`."""

    id: str | None = None
    source: str = ""
    sha256: str | None = None
    vector: Vector | None = None
    status: str = "ok"
    error: str = ""
    image: str = ""
    box: str = ""
    object: str = ""

    def fail(self, error: ImgSearchError) -> None:
        """Set the row's status and error."""
        at_image = error.stage if isinstance(error, ImageError) else "read"
        self.status = "embed" if isinstance(error, EncoderError) else at_image
        self.error = f"{type(error).__name__}: {error}"


def _embed(encoder: Encoder, inputs: Iterable[tuple[_Row, Any]]) -> list[_Row]:
    """Return the rows with their vectors, which the model computes in one batch."""
    pairs = list(inputs)
    valid = [(row, prepared) for row, prepared in pairs if row.status == "ok"]
    vectors = _vectors(encoder, [prepared for _, prepared in valid])
    for (row, _), vector in zip(valid, vectors, strict=True):
        if isinstance(vector, EncoderError):
            row.fail(vector)
        else:
            row.vector = vector
    return [row for row, _ in pairs]


def _content(row: _Row, item: Item) -> bytes:
    """Return the item's bytes, and set the row's source and id."""
    if isinstance(item, bytes):
        data = item
    elif isinstance(item, tuple):
        row.source, data = sources.printable(item[0]), item[1]
    else:
        row.source = sources.printable(str(item))
        data = sources.read(item)
    row.id = row.sha256 = sources.content_id(data)
    return data


def model_input(
    encoder: Encoder, data: bytes, path: str, *, max_pixels: int = images.MAX_PIXELS
) -> Any:
    """Return the model's input for an image's bytes. A JPEG is decoded no larger than necessary.

    Raises:
        ImageError: the image cannot be used; the message names `path`.
    """
    if encoder.enough:
        picture: Any = images.picture(
            data, path=path, max_pixels=max_pixels, at_least=encoder.enough
        )
        return encoder.prepare(picture)
    return encoder.prepare(images.decode(data, path=path, max_pixels=max_pixels))


def vectors_of(rows: pa.RecordBatch) -> Matrix:
    """Return the non-null vectors of `rows`, float32 (n, d), in the order of the rows."""
    column = rows.column("vector").drop_null()
    # pyarrow's own to_numpy imports pandas
    values = np.asarray(np.from_dlpack(column.flatten()), dtype=np.float32)
    return values.reshape(len(column), -1) if len(column) else values


def failure_of(row: Mapping[str, Any]) -> Failure:
    """Return the failure that a row of `SCHEMA` reports."""
    name, _, reason = row["error"].partition(": ")
    return Failure(row["source"], row["status"], name, reason)


def _vectors(encoder: Encoder, inputs: list[Any]) -> "Matrix | list[Vector | EncoderError]":
    """Return a unit vector for each input, or an EncoderError for an input that fails."""
    if not inputs:
        return []
    try:
        return unit(encoder.features(inputs))
    except EncoderError as error:
        if len(inputs) == 1:
            return [error]
    return [_vectors(encoder, [one])[0] for one in inputs]
