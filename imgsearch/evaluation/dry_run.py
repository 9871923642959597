"""Estimates for a user's own images: a sample is embedded here, and its figures are multiplied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from time import perf_counter, process_time
from typing import Any, Final

from imgsearch import encoders
from imgsearch.encoders import DEFAULT, Recipe, registry
from imgsearch.encoders.embedding import Embedding
from imgsearch.errors import ConfigError, ImgSearchError, SourceError
from imgsearch.evaluation.capacity import SAMPLE, SPEEDS, Capacity, Worker
from imgsearch.images import inputs, sources, web_images
from imgsearch.images.inputs import Input
from imgsearch.images.references import Reference
from imgsearch.text import counted

_FIRST: Final = 50  # times the sample: the images it is taken from, the first ones of the source
_WARM_UP: Final = 4  # images embedded before the clock starts


@dataclass(frozen=True, slots=True)
class DryRun:
    """A measured sample: bytes of a file, images a second of a worker, and the dimension.

    `failed` of its images could not be read or embedded. `seconds` are of the wall clock.
    """

    images: int
    failed: int
    image_bytes: float
    rate: float
    worker: Worker
    dim: int
    seconds: float


def plan(
    images: int | None = None,
    *,
    source: Input | None = None,
    model: str = DEFAULT,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    dim: int | None = None,
    image_bytes: float | None = None,
    rate: float | None = None,
    cores: int = 16,
    gpus: int = 1,
    sample: int = SAMPLE,
    url_hosts: Sequence[str] | None = (),
) -> Capacity:
    """Estimate the needs of a collection of `images`: storage, embedding, index, memory, serving.

    With `source` a sample of at most `sample` of its images is embedded here, and their size, speed
    and dimension are used; the default of `images` is then the number of images in it. Otherwise
    `capacity.CONSTANTS` and `capacity.SPEEDS` have these figures. `dim`, `image_bytes`, and
    `rate`, the images that one core or GPU embeds in a second, replace them. `cores` embed without
    a GPU, build the index and serve searches. `url_hosts` is as for `Library.add`.

    >>> import imgsearch
    >>> imgsearch.plan(100_000_000, model="lite").shards
    6104

    Raises:
        ConfigError: a number is invalid, `images` and `source` are missing, or the dimension of the
            model is unknown and neither `dim` nor `source` is given.
        SourceError: `source` cannot be listed, or none of the sample can be embedded.
        ModelNotFound, EncoderError: the encoder cannot be built; only with `source`.
    """
    row, run = registry.find(model), None
    if source is not None:
        references = _sample(source, sample, images)
        images = images or _count(source)
        run = measure(references, Recipe.of(model, weights, options), url_hosts=url_hosts)
        dim, image_bytes = dim or run.dim, image_bytes or run.image_bytes
    elif dim is None:
        dim = None if row is None else row.dim
    if images is None or dim is None:
        missing = "the number of images" if images is None else f"the dimension of {model!r}"
        raise ConfigError(f"{missing} is unknown. Give it, or images to measure.")
    known = None if row is None else SPEEDS.get(row.name)
    speed = run or known
    worker: Worker = speed.worker if speed else "core"
    where = f"a sample of {counted(run.images, 'image')} embedded here" if run else ""
    speed_source = where or (known.source if known else "")
    if rate:
        speed_source = "given"
    figures: dict[str, Any] = {} if image_bytes is None else {"image_bytes": image_bytes}
    if image_bytes is not None:
        figures["image_source"] = where or "given"
    return Capacity(
        images,
        dim,
        rate=rate or (speed.rate if speed else None),
        worker=worker,
        workers=gpus if worker == "GPU" else cores,
        cores=cores,
        model=row.name if row else model,
        speed_source=speed_source,
        **figures,
    )


def measure(
    references: Sequence[Reference], recipe: Recipe, *, url_hosts: Sequence[str] | None = ()
) -> DryRun:
    """Embed images, and measure their size, the speed of a worker, and the dimension.

    The speed of a core is by its processor time, so other programs on the machine disturb it less.

    Raises:
        SourceError: none of the images can be embedded.
        EncoderError: the encoder cannot be built.
    """
    encoder, step = encoders.load(**recipe.config()), Embedding(recipe)
    fetch = web_images.fetcher(url_hosts)
    files: list[tuple[str, bytes]] = []
    started, worked = perf_counter(), process_time()
    for reference in references:
        try:
            files.append((reference.path, sources.read(reference, fetch=fetch)))
        except ImgSearchError:
            continue
    reading = perf_counter() - started, process_time() - worked
    step(files[:_WARM_UP])
    started, worked = perf_counter(), process_time()
    rows = step(files)
    embedding = perf_counter() - started, process_time() - worked
    embedded = rows.column("status").to_pylist().count("ok")
    if not embedded:
        raise SourceError(
            f"none of {counted(len(references), 'image')} could be embedded. Name other images."
        )
    wall, processor = (sum(pair) for pair in zip(reading, embedding, strict=True))
    size = sum(len(data) for _, data in files) / len(files)
    seconds = wall if encoder.offloaded else processor
    return DryRun(
        len(references),
        len(references) - embedded,
        size,
        embedded / max(seconds, 1e-9),
        "GPU" if encoder.offloaded else "core",
        encoder.dim,
        wall,
    )


def _sample(source: Input, sample: int, images: int | None) -> list[Reference]:
    """Return images at equal intervals among the first ones of a source."""
    if sample < 1:
        raise ConfigError(f"the sample is invalid: {sample}. Pass at least 1.")
    first = list(islice(inputs.references(source), min(sample * _FIRST, images or sample * _FIRST)))
    if not first:
        raise SourceError("the source has no images. Name images to measure.")
    number = min(sample, len(first))
    return [first[place * len(first) // number] for place in range(number)]


def _count(source: Input) -> int:
    """Return the number of images in a source.

    Raises:
        ConfigError: it is unknown, as for an iterator.
    """
    number = sum(1 for _ in inputs.references(source))
    if not number:
        raise ConfigError("the number of images is unknown. Give it, or a folder or list.")
    return number
