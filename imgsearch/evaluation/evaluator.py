"""Evaluation of an encoder on a dataset, or of a collection on its own images."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TypeVar

from imgsearch.backends import Collection
from imgsearch.datasets.dataset import Dataset
from imgsearch.encoders import DEFAULT, Recipe
from imgsearch.errors import ConfigError
from imgsearch.evaluation.embedded import QUERIES, embedded
from imgsearch.evaluation.embedding_map import embedding_map
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.options import EvaluationOptions, Target
from imgsearch.evaluation.results import Answers, Gallery
from imgsearch.evaluation.run import Run
from imgsearch.evaluation.stored import search_stored, stored
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.text import did_you_mean
from imgsearch.types import Fingerprint

G = TypeVar("G", bound=Gallery)


def evaluate(
    dataset: Dataset,
    *,
    model: str | Recipe = DEFAULT,
    queries: str = "images",
    target: Target = Target(),  # noqa: B008 - frozen
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
) -> Run:
    """Measure how well an encoder finds the relevant images of a dataset's queries.

    `queries` is "images" (the dataset's own queries, relevant by class), "names", "captions" or
    "changes"; see `imgsearch.evaluation.queries`. `model` is a name, or a `Recipe` with weights and
    options. By default the search is exact, in memory; `target` names another collection. A query
    that is in the gallery is left out of its own hits.

    >>> from imgsearch.datasets import dataset, gallery
    >>> run = evaluate(dataset.load(gallery.FOLDER), model="classic")
    >>> print(f"{run.measures.metrics['hit@10']:.2f} of {run.measures.queries} queries")
    1.00 of 24 queries

    Raises:
        ConfigError: the kind of queries is unknown.
        DatasetError: every image failed, the collection holds images that are not in the gallery,
            or the captions are missing.
        TextUnsupported: the queries are texts, and the encoder takes images only.
        EncoderError, BackendError: the encoder or the store failed.
    """
    if queries not in QUERIES:
        raise ConfigError(
            f"unknown queries {queries!r}. Use one of {', '.join(QUERIES)}"
            + did_you_mean(queries, QUERIES)
        )
    recipe = Recipe(model) if isinstance(model, str) else model
    CollectionOptions(
        recipe.model, recipe.weights, recipe.options, target.index, target.metric
    ).check()
    with embedded(dataset, recipe.resolved(), target, options) as gallery:
        return run_search(gallery, QUERIES[queries], options)


def evaluate_collection(
    collection: Collection,
    url: str,
    *,
    label: str = "label",
    most: int = 1_000,
    effort: int | None = None,
    encoder: Fingerprint | None = None,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
) -> Run:
    """Measure how well a collection's stored vectors find images of the same class.

    At most `most` images are drawn as queries, and each is left out of its own hits. The field
    `label` is the class; images without a label are not queries, and count as wrong hits. Regions
    are left out. Nothing is embedded or written. Neighbors that the index misses count as misses;
    `effort` is the search effort. The report shows `url`, and `encoder` if the collection does not
    record its own encoder.

    Raises:
        DatasetError: no class has two images, or two labels differ only in case or in leading or
            trailing whitespace.
        FieldInvalid: the collection does not declare the field `label`.
    """
    gallery = stored(collection, url, label=label, encoder=encoder)
    ids = gallery.draw(most, seed=options.seed)
    return run_search(gallery, partial(search_stored, ids=ids, effort=effort), options)


def run_search(
    gallery: G, search: Callable[[G, EvaluationOptions], Answers], options: EvaluationOptions
) -> Run:
    """Search a gallery with queries, and measure their hits.

    Raises:
        DatasetError: every query failed, or none has a relevant image.
    """
    started = monotonic()
    answers = search(gallery, options)
    seconds = {**gallery.seconds, "search": monotonic() - started}
    measures = measure([answer.ranking for answer in answers.answers], ks=options.ks)
    return Run(
        subject=replace(gallery.subject, queries=answers.total),
        encoder=gallery.encoder,
        asked=answers.kind,
        collection=gallery.collection.name,
        url=gallery.url,
        index=gallery.index,
        metric=gallery.collection.schema.metric,
        measures=measures,
        answers=answers.answers,
        labels=gallery.labels,
        seconds=seconds,
        notes=[*answers.notes, *measures.notes, *answers.losses],
        speed=answers.speed() if options.timed else None,
        map=embedding_map(gallery.collection, seed=options.seed) if options.mapped else None,
        max_pixels=options.max_pixels,
    )
