"""One step that any engine can call: a batch of images in, an Arrow record batch out."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from os import PathLike
from typing import Any, Final, TypeAlias

import pyarrow as pa

from imgsearch import encoders, images
from imgsearch.encoders import Encoder, Recipe, unit
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.export.engines import available_cores
from imgsearch.errors import EncoderError, ImageError, ImgSearchError
from imgsearch.images import regions, sources
from imgsearch.threads import DaemonPool
from imgsearch.types import Matrix, Vector

Item: TypeAlias = "str | PathLike[str] | bytes | tuple[str, bytes]"
"""A path, an image's bytes, or both: the path is told, the bytes are used."""

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
"""A row an item, in order. `status` is "ok", or where it went wrong: "read", "header", "decode",
"convert" or "embed"; `error` is then ``ErrorName: message``, else "". `id` and `sha256` are the
sha256 of the bytes, null where they could not be read; `vector` is null but for "ok".
"""

REGIONS: Final = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in regions.FIELDS)])
"""`SCHEMA`, and the fields of `regions.FIELDS`: an item has a row for each of its regions, and last
one for the whole, whose id is the content's and whose box is "".
"""

_SPARE: Final = 1  # workers beside one a core: while some wait for the model, others decode


@dataclass(frozen=True)
class Embedding:
    """Embed batches of images: what `Library.add` does with each chunk.

    Pure, and picklable by its configuration: a worker of a distributed engine may hold one, and
    builds the encoder, once a process, when the first batch comes. Images of more decoded pixels
    than `max_pixels` are refused.

        step = Embedding(Recipe.of("resnet50", "model.safetensors"))
        table = step(["a.jpg", "b.jpg"]).to_pandas()
    """

    encoder: Recipe = field(default_factory=Recipe)
    regions: Detection | None = None
    max_pixels: int = images.MAX_PIXELS

    def __post_init__(self) -> None:
        images.checked_limit(self.max_pixels)

    @property
    def schema(self) -> pa.Schema:
        """`SCHEMA`, or with `regions` `REGIONS`."""
        return REGIONS if self.regions else SCHEMA

    def __call__(self, items: Sequence[Item], *, one_core: bool = False) -> pa.RecordBatch:
        """Return the record batch of `schema` for `items`; an item's error is in its row.

        With `one_core` one thread decodes and one embeds, so that others have the other cores;
        torch's own threads are not held back.

        Memory: about 150 kB an item while it runs (a model's input), and a decoded image for each
        core and one more.

        Raises:
            EncoderError: the encoder or the detector cannot be built.
            MissingExtra: what it needs is not installed.
        """
        encoder = encoders.load(**self.encoder.config())
        if self.regions:
            self.regions.build()  # else a wrong folder would be every item's error
        threads = 1 if one_core else available_cores() + _SPARE
        with DaemonPool(threads, "imgsearch-embedding") as pool:
            if encoder.offloaded:
                made = list(self._beside(pool, encoder, items))
            else:
                size = 1 if one_core else max(1, encoder.batch_size)
                made = list(self._amid(pool, encoder, items, size))
        columns = [
            pa.array([getattr(row, each.name) for row in made], each.type) for each in self.schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _amid(
        self, pool: Executor, encoder: Encoder, items: Sequence[Item], size: int
    ) -> Iterator["_Row"]:
        """Decode and embed a batch in each thread: cores that share both are never idle."""

        def batch(part: Sequence[Item]) -> list[_Row]:
            return _finished(
                encoder, chain.from_iterable(self._begun(encoder, item) for item in part)
            )

        parts = [items[start : start + size] for start in range(0, len(items), size)]
        return chain.from_iterable(pool.map(batch, parts))

    def _beside(self, pool: Executor, encoder: Encoder, items: Sequence[Item]) -> Iterator["_Row"]:
        """Decode on all cores, while the device beside them embeds what came before."""
        begun = pool.map(lambda item: self._begun(encoder, item), items)
        while part := list(islice(begun, max(1, encoder.batch_size))):
            yield from _finished(encoder, chain.from_iterable(part))

    def _begun(self, encoder: Encoder, item: Item) -> list[tuple["_Row", Any]]:
        """Return the item's rows with the model's inputs; of one that failed None."""
        row = _Row()
        try:
            return self._prepared(encoder, _content(row, item), row)
        except ImgSearchError as error:
            row.fail(error)
            return [(row, None)]

    def _prepared(self, encoder: Encoder, data: bytes, row: "_Row") -> list[tuple["_Row", Any]]:
        """Return the row, and before it those of its regions, each with the model's input."""
        if self.regions is None:
            prepared = model_input(encoder, data, row.source, max_pixels=self.max_pixels)
            return [(row, prepared)]
        image = images.decode(data, path=row.source, max_pixels=self.max_pixels)
        row.image = row.id or ""
        return [
            (replace(row, id=id_, box=box, object=shown), encoder.prepare(pixels))
            for id_, box, shown, pixels in regions.rows(row.image, image, self.regions(image))
        ]


@dataclass
class _Row:
    """One row of `SCHEMA`."""

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
        """Tell in the row how the item went wrong."""
        at_image = error.stage if isinstance(error, ImageError) else "read"
        self.status = "embed" if isinstance(error, EncoderError) else at_image
        self.error = f"{type(error).__name__}: {error}"


def _finished(encoder: Encoder, begun: Iterable[tuple[_Row, Any]]) -> list[_Row]:
    """Return the rows with their vectors; a batch of the model's inputs goes through at once."""
    rows = list(begun)
    well = [(row, prepared) for row, prepared in rows if row.status == "ok"]
    vectors = _vectors(encoder, [prepared for _, prepared in well])
    for (row, _), vector in zip(well, vectors, strict=True):
        if isinstance(vector, EncoderError):
            row.fail(vector)
        else:
            row.vector = vector
    return [row for row, _ in rows]


def _content(row: _Row, item: Item) -> bytes:
    """Return the item's bytes, and tell in the row what it is."""
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
    """Return the model's input for an image's bytes, by the shortest way: a smaller JPEG scale.

    Raises:
        ImageError: the image cannot be used; `path` is for its text.
    """
    if encoder.enough:
        picture: Any = images.picture(
            data, path=path, max_pixels=max_pixels, at_least=encoder.enough
        )
        return encoder.prepare(picture)
    return encoder.prepare(images.decode(data, path=path, max_pixels=max_pixels))


def _vectors(encoder: Encoder, inputs: list[Any]) -> "Matrix | list[Vector | EncoderError]":
    """Return a unit vector for each input; of a batch that fails, an error for those at fault."""
    if not inputs:
        return []
    try:
        return unit(encoder.features(inputs))
    except EncoderError as error:
        if len(inputs) == 1:
            return [error]
    return [_vectors(encoder, [each])[0] for each in inputs]
