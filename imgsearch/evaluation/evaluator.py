"""Evaluation of an encoder on a dataset with the insert and search pipelines."""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import Any, Final

from imgsearch import backends
from imgsearch.datasets.dataset import Dataset
from imgsearch.encoders import DEFAULT, Recipe, load
from imgsearch.errors import DatasetError
from imgsearch.evaluation.embedding_map import embedding_map
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.queries import Question, load_questions, vectors
from imgsearch.evaluation.results import (
    Answer,
    OnProgress,
    judge_image_queries,
    run_pipeline,
    search_questions,
)
from imgsearch.evaluation.run import SEED, Run, Subject
from imgsearch.evaluation.speed import measure_speed
from imgsearch.evaluation.unique_images import UniqueImages
from imgsearch.images import MAX_PIXELS
from imgsearch.library.collection_handle import check_arguments
from imgsearch.library.embedding import Embedding
from imgsearch.library.query_encoder import QueryEncoder
from imgsearch.pipelines import insert_pipeline, search_pipeline
from imgsearch.text import counted
from imgsearch.types import Vector

_IMAGENET: Final = re.compile(r"n\d{8}_\d+\.")  # file names of ImageNet's training images


def evaluate(
    dataset: Dataset,
    *,
    model: str = DEFAULT,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    url: str | None = None,
    collection: str | None = None,
    index: str = "flat",
    metric: str = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    queries: str = "images",
    timed: bool = False,
    mapped: bool = False,
    max_pixels: int = MAX_PIXELS,
    on_progress: OnProgress | None = None,
) -> Run:
    """Measure how well an encoder finds the relevant images of a dataset's queries.

    `queries` is "images" (the dataset's own queries, relevant by class), "names", "captions" or
    "changes"; see `imgsearch.evaluation.queries`. `timed` also measures the speed, which takes some
    seconds; `mapped` adds a map of the gallery. `max_pixels` limits the decoded pixels of an image.

    Without `url` the search is exact, and the gallery is held in memory. With `url` it is written
    to `collection` in that store and stays there; by default the name is derived from dataset and
    encoder. `index` and `metric` are the collection's. A query that is in the gallery is left out
    of its own hits.

    Raises:
        DatasetError: every image failed, the collection holds images that are not in the gallery,
            or the captions are missing.
        TextUnsupported: the queries are texts, and the encoder takes images only.
        EncoderError, BackendError: the encoder or the store failed.
    """
    check_arguments(model=model, weights=weights, options=options, index=index, metric=metric)
    recipe = Recipe.of(model, weights, options)
    store_url = url or f"memory://evaluate-{uuid.uuid4().hex}"
    name = collection or _collection_name(dataset, recipe, index, metric)
    target = {"collection": name, **recipe.config()}
    report = on_progress or (lambda _stage, _done, _total: None)
    with backends.connect(store_url) as store:
        started = monotonic()
        inserting = insert_pipeline(
            store_url, **target, index=index, metric=metric, max_pixels=max_pixels
        )
        gallery, errors = run_pipeline(inserting, dataset.gallery, "index", report)
        indexing = monotonic() - started
        unique = UniqueImages(dataset.root, ((row["id"], item) for item, row in gallery))
        labels = unique.labels()
        stored = store.open(name)
        stored.flush()
        if stored.count() != len(labels):
            raise DatasetError(
                f"collection {name!r} of {store_url} holds {counted(stored.count(), 'image')}, the "
                f"gallery {len(labels)}. Evaluate in another collection or store."
            )
        inserting.close()
        leaks, questions = 0, load_questions(dataset, queries) if queries != "images" else []
        started = monotonic()
        if queries == "images":
            searching = search_pipeline(store_url, **target, k=max(ks) + 1, max_pixels=max_pixels)
            results, lost = run_pipeline(searching, dataset.queries, "search", report)
            searching.close()
            answers, leaks = judge_image_queries(dataset, results, gallery, unique, max(ks))
        else:
            ids = {str(item.path): str(row["id"]) for item, row in gallery}
            encoder = load(**recipe.config())
            embedded = vectors(questions, encoder, max_pixels=max_pixels)
            answers, lost = search_questions(
                questions, embedded, stored, ids, labels, max(ks), report
            )
        seconds = monotonic() - started
        speed = None
        if timed:
            paths = [str(item.path) for item, _ in gallery]
            calls = _embedding_calls(recipe, questions, answers, max_pixels)
            step = Embedding(recipe, max_pixels=max_pixels)
            speed = measure_speed(calls, stored, step, paths, k=max(ks))
        map_ = embedding_map(stored, seed=SEED) if mapped else None
        if url is None:
            store.drop(name)
    measures = measure([answer.ranking for answer in answers], ks=ks)
    return Run(
        subject=Subject(
            dataset.name,
            dataset.manifest_hash,
            len(dataset.gallery),
            len(questions) or len(dataset.queries),
            dataset.held_out,
        ),
        encoder=load(**recipe.config()).fingerprint,
        asked=queries,
        collection=name,
        url=url or "memory://",
        index=index,
        metric=metric,
        measures=measures,
        answers=answers,
        labels=labels,
        seconds={"index": indexing, "search": seconds},
        speed=speed,
        map=map_,
        max_pixels=max_pixels,
        notes=[
            *dataset.notes,
            *unique.notes(),
            *measures.notes,
            *_notes(dataset, model, errors + lost, len(gallery) - len(labels), leaks),
        ],
    )


def _embedding_calls(
    recipe: Recipe, questions: Sequence[Question], answers: Sequence[Answer], max_pixels: int
) -> list[Callable[[], Vector | None]]:
    """Return one call per query, which embeds only that query."""
    if questions:
        encoder = load(**recipe.config())

        def embed(question: Question) -> Vector | None:
            matrix = next(vectors([question], encoder, max_pixels=max_pixels))
            return None if matrix is None else matrix[0]

        return [partial(embed, question) for question in questions]
    query_encoder = QueryEncoder(recipe, max_pixels=max_pixels)
    return [partial(query_encoder.encode, Path(answer.query), None) for answer in answers]


def _notes(
    dataset: Dataset, model: str, errors: Sequence[str], duplicates: int, leaks: int
) -> Iterator[str]:
    if errors:
        images = counted(
            len(errors), "image could not be used and was", "images could not be used and were"
        )
        yield f"{images} left out, the first: {errors[0]}"
    if duplicates:
        images = counted(duplicates, "gallery image has", "gallery images have")
        yield f"{images} the content of another one; each content counts once."
    if leaks:
        queries = counted(leaks, "query is", "queries are")
        yield f"{queries} in the gallery, too; each was left out of its own hits."
    if model == "classic":
        return
    if any(_IMAGENET.match(item.path.name) for item in dataset.gallery):
        yield (
            "The files have names of ImageNet's training set: an encoder trained on ImageNet has "
            "probably seen these images, so its figures are higher than on new images."
        )


def _collection_name(dataset: Dataset, recipe: Recipe, index: str, metric: str) -> str:
    parts = "\n".join((dataset.manifest_hash, recipe.to_json(), index, metric))
    return f"evaluate_{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
