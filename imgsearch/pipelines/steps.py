"""Steps shared by the pipelines: each function appends operators to an open pipeline."""

from typing import Any

from imgsearch.encoders import Recipe
from imgsearch.images import MAX_PIXELS
from imgsearch.towhee import Pipeline, op

BATCH = 32  # images per call of an encoder; larger batches do not help on a CPU


def in_batches(
    pipeline: Pipeline, carried: tuple[str, ...], inputs: tuple[str, ...], output: str, step: Any
) -> Pipeline:
    """Append `step`, which gets batches of the columns `inputs` and returns the column `output`.

    `step` is a `BatchOperator` with `carry=len(carried)`, so it keeps the columns `carried`.
    """
    lists = tuple(f"{name}_batch" for name in (*carried, output))
    longer: Pipeline = pipeline.window((*carried, *inputs), lists, BATCH, BATCH, step).flat_map(
        lists, (*carried, output), zip if carried else iter
    )
    return longer


def embed(
    pipeline: Pipeline,
    encoder: Recipe,
    *,
    image: tuple[str, ...],
    carried: tuple[str, ...],
    max_pixels: int = MAX_PIXELS,
    on_error: str,
) -> Pipeline:
    """Append decoding and embedding, which set the columns ``image`` and ``vector``.

    `image` names the input columns: bytes and path, only a path, or only pixels.
    """
    keep, config = {"on_error": on_error}, encoder.config()
    embedding = op("image_embedding", **config, skip_preprocess=True, carry=len(carried), **keep)
    return in_batches(
        pipeline.map(image, "image", op("image_decode", max_pixels=max_pixels, **keep)).map(
            "image", "input", op("image_preprocess", **config, **keep)
        ),
        carried,
        ("input",),
        "vector",
        embedding,
    )


def embed_texts(
    pipeline: Pipeline, encoder: Recipe, *, carried: tuple[str, ...], on_error: str
) -> Pipeline:
    """Append the embedding of the column ``text``, which sets the column ``vector``."""
    embedding = op("text_embedding", **encoder.config(), carry=len(carried), on_error=on_error)
    return in_batches(pipeline, carried, ("text",), "vector", embedding)
