"""The walks that pipelines are made of: each takes an open pipeline and returns it longer."""

from typing import Any

from imgsearch.encoders import Recipe
from imgsearch.images import MAX_PIXELS
from imgsearch.towhee import Pipeline, op

BATCH = 32  # images an encoder sees at once; more brings nothing on a CPU


def in_batches(
    pipeline: Pipeline, carried: tuple[str, ...], taken: tuple[str, ...], made: str, step: Any
) -> Pipeline:
    """Give `step` whole batches of `taken`, get `made`; `carried` columns stay in step with it.

    `step` is a `BatchOperator` with `carry=len(carried)`.
    """
    lists = tuple(f"{name}_batch" for name in (*carried, made))
    longer: Pipeline = pipeline.window((*carried, *taken), lists, BATCH, BATCH, step).flat_map(
        lists, (*carried, made), zip if carried else iter
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
    """`image` (bytes and their path, a path, or pixels) → columns ``image`` and ``vector``."""
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
    """Column ``text`` → column ``vector``."""
    embedding = op("text_embedding", **encoder.config(), carry=len(carried), on_error=on_error)
    return in_batches(pipeline, carried, ("text",), "vector", embedding)
