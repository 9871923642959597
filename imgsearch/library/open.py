"""Opens a library: the collection in a store, its encoder, and how images are read."""

import logging
import math
from collections.abc import Collection, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from imgsearch.backends import FieldNames, Metric, StoreOptions
from imgsearch.encoders import Encoder
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.own import ImageModel
from imgsearch.encoders.registered import model_name
from imgsearch.errors import ConfigError
from imgsearch.fields import Declaration
from imgsearch.images import MAX_PIXELS, checked_limit
from imgsearch.library import stores
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.library.library import Library

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline

_log = logging.getLogger(__name__)


def open(  # noqa: A001 - imgsearch.open reads as intended; nothing here opens files
    url: str | PathLike[str] = "photos.db",
    *,
    collection: str = "images",
    model: "str | Encoder | ImageModel | None" = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    index: str | None = None,
    metric: Metric | None = None,
    partition: str | None = None,
    fields: Declaration | None = None,
    exif: bool | Collection[str] | None = None,
    token: str | None = None,
    timeout: float = 60.0,
    wait: float | None = None,
    regions: "str | PathLike[str] | Detection | None" = None,
    max_pixels: int = MAX_PIXELS,
    id_field: str | None = None,
    vector_field: str | None = None,
    path_field: str | None = None,
    label_field: str | None = None,
    steps: "Mapping[str, Pipeline] | None" = None,
    new_model: str | None = None,
    new_weights: str | PathLike[str] | None = None,
) -> Library:
    """Open the image library in `collection` of the store at `url`; `add` creates a missing one.

    `url`: ``photos.db`` (an embedded Milvus file), ``milvus://host:19530/database`` or
    ``memory://name``. `token` ("user:password") is for servers that require one.
    `model` ("lite", "classic", "timm:NAME" …), `weights` and `options` name the encoder. `model`
    may also be an encoder object: an `Encoder`, or see `ImageModel`. It must be passed again when
    the collection is opened in another process. An
    existing collection remembers its own; give `weights` only if the file has moved.
    `index` is "flat", "ivf_flat:nlist=128", "ivf_sq8" or "hnsw" (the default), `metric` "cosine"
    (the default), "ip", "l2" or "hamming" (of bits, whose default index is "flat"). `timeout` is
    in seconds. `regions` is the folder of an object detector, or a `Detection`: the objects in each
    added image are then searchable, too.
    `max_pixels` limits the decoded pixels of an added image or a query image. A JPEG is decoded at
    1/2, 1/4 or 1/8 scale if that is enough for the encoder, so a 200-megapixel JPEG is accepted.

    An embedded store is open in one process at a time. While another process has it open, this
    waits, after a warning in the log, at most `wait` seconds: by default `timeout`, 0 not at all.

    `fields` declares fields of your own with their types, str, int, float, bool or list (of texts),
    such as ``{"year": int}``. Searches filter on them, and `add` checks their values. An existing
    collection remembers its own; the next `add` declares further ones, if the store can.

    `partition` is a declared text or integer by which Milvus divides a new collection, such as the
    tenant or the camera: a search that filters by one of its values reads that part only.

    `exif` declares and fills fields from the files' metadata: ``taken``, ``camera``, ``lens``,
    ``width``, ``height``, ``latitude``, ``longitude``, ``keywords`` and ``rating``, or some of
    these; see `imgsearch.images.metadata`. By default it is on if the collection has all of them.

    A collection of another program is read-only. To search it, give the model that made its vectors
    and the names of its fields: `path_field` and `label_field` become "path" and "label" in hits.
    `vector_field` is required if it has several vector fields. `id_field`, the primary key, is
    optional.

    `steps` are open pipelines of your own: "image" for `add` (see `image_steps`), and "query" for
    `search` (see `query_steps`). The collection does not record them.

    `new_model` and `new_weights` name the encoder if the collection does not exist yet and `model`
    is not given. Unlike `model`, they are no error if the collection has another encoder.

    Arguments are checked before a store is created on disk.

    Raises:
        ConfigError: the URL, the index, the metric or another argument is invalid.
        FieldInvalid: the name of a field is invalid.
        ModelNotFound: no model is called `model`.
        WeightsNotFound, WeightsInvalid: the weights file does not exist, or is invalid.
        EncoderMismatch: the collection was made by another model.
        EncoderRemoved: `model` was removed; or a removed encoder made the collection, and `model`
            is another one. Without `model` the collection opens.
        SchemaMismatch: the collection has another index, metric or partition field, or a field has
            another type.
        StoreLocked: another process still has the store open.
        BackendUnavailable: the store cannot be opened.
    """
    checked_limit(max_pixels)
    given: object = wait  # callers without a type checker may pass anything
    if given is not None and not (isinstance(given, int | float) and 0 <= given < math.inf):
        raise ConfigError(f"wait must be a number of seconds, 0 or more, not {wait!r}")
    if unknown := sorted((steps or {}).keys() - {"image", "query"}):
        raise ConfigError(f'there are no steps {unknown[0]!r}: use "image" or "query".')
    detection = None if regions is None else Detection.of(regions)
    name = model if model is None or isinstance(model, str) else model_name(model)
    seconds = timeout if wait is None else wait
    handle = stores.when_unlocked(
        lambda: CollectionHandle(
            StoreOptions(url, token, timeout),
            collection,
            CollectionOptions(
                name,
                weights,
                options,
                index,
                metric,
                fields,
                exif,
                new_model,
                new_weights,
                partition,
            ),
            names=FieldNames(id_field, vector_field, path_field, label_field),
        ),
        seconds=seconds,
        on_wait=lambda: _log.warning(
            "%s is open in another process; waiting up to %g s until it is closed", url, seconds
        ),
    )
    return Library(handle, regions=detection, max_pixels=max_pixels, steps=steps)
