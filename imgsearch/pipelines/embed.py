"""The pipeline from images to vectors."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from imgsearch.encoders import DEFAULT, Recipe
from imgsearch.images import MAX_PIXELS
from imgsearch.pipelines.steps import embed
from imgsearch.towhee import Pipeline, op


def embed_pipeline(
    model: str = DEFAULT,
    *,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    max_pixels: int = MAX_PIXELS,
    on_error: str = "keep",
) -> Pipeline:
    """Return the pipeline: source → path, image, vector; one row per image in the source.

    A source is a folder, a glob, a csv, an image file, or a list of these. A call returns rows of
    ``path`` (str) and ``vector`` (float32 (d,), unit L2 norm). To extend the pipeline with Towhee's
    `map` and `output`, use the columns ``source``, ``path``, ``image`` (uint8 (height, width, 3),
    RGB), ``input`` (of the encoder) and ``vector``.

    `on_error`: "keep" returns a row with an error for an unusable image, "raise" ends the run.
    Images with more than `max_pixels` pixels are unusable.

    Raises, at the first call or `output`:
        EncoderError: the encoder cannot be built.
    """
    pipeline = Pipeline.input("source").flat_map(
        "source", "path", op("image_load", on_error=on_error)
    )
    encoder = Recipe.of(model, weights, options)
    return embed(
        pipeline,
        encoder,
        image=("path",),
        carried=("path",),
        max_pixels=max_pixels,
        on_error=on_error,
    ).returning("path", "vector")
