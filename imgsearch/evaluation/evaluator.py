"""The evaluator: a dataset through the insert pipeline into a store, and out of the search one."""

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
from imgsearch.evaluation.contents import Contents
from imgsearch.evaluation.embedding_map import embedding_map
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.queries import Question, questions, vectors
from imgsearch.evaluation.results import (
    Answer,
    OnProgress,
    image_answers,
    question_answers,
    walked,
)
from imgsearch.evaluation.run import SEED, Run, Subject
from imgsearch.evaluation.speed import measured
from imgsearch.images import MAX_PIXELS
from imgsearch.library.collection_handle import check_arguments
from imgsearch.library.embedding import Embedding
from imgsearch.library.query_encoder import QueryEncoder
from imgsearch.pipelines import insert_pipeline, search_pipeline
from imgsearch.types import Vector
from imgsearch.wording import counted

_SEEN: Final = re.compile(r"n\d{8}_\d+\.")  # how ImageNet names its training images


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
    """Return how well an encoder finds images of the query's class, or what `queries` names.

    `queries` is "images", the dataset's own queries, or "names", "captions" or "changes", defined
    in `imgsearch.evaluation.queries`. `timed` also measures the speed, which takes some seconds;
    `mapped` lays the gallery out on a plane. `max_pixels` limits the decoded pixels of one image.

    Without `url` the search is exact and in memory. With `url` the gallery is written to a
    `collection` of that store, named after dataset and encoder by default, and stays there. `index`
    and `metric` belong to the collection. A query in the gallery is left out of its own hits.

    Raises:
        DatasetError: no image could be used, the collection holds other images than the gallery,
            or captions are missing.
        TextUnsupported: the queries are texts, and the encoder takes images only.
        EncoderError, BackendError: the encoder or the store failed.
    """
    check_arguments(model=model, weights=weights, options=options, index=index, metric=metric)
    recipe = Recipe.of(model, weights, options)
    place = url or f"memory://evaluate-{uuid.uuid4().hex}"
    name = collection or _collection_name(dataset, recipe, index, metric)
    target = {"collection": name, **recipe.config()}
    tell = on_progress or (lambda _stage, _done, _total: None)
    with backends.connect(place) as store:
        started = monotonic()
        inserting = insert_pipeline(
            place, **target, index=index, metric=metric, max_pixels=max_pixels
        )
        gallery, skipped = walked(inserting, dataset.gallery, "index", tell)
        indexing = monotonic() - started
        contents = Contents(dataset.root, ((row["id"], item) for item, row in gallery))
        known = contents.labels()
        stored = store.open(name)
        stored.flush()
        if stored.count() != len(known):
            raise DatasetError(
                f"collection {name!r} of {place} holds {counted(stored.count(), 'image')}, the "
                f"gallery {len(known)}; evaluate in another collection or store"
            )
        inserting.close()
        leaks, asked = 0, questions(dataset, queries) if queries != "images" else []
        started = monotonic()
        if queries == "images":
            searching = search_pipeline(place, **target, k=max(ks) + 1, max_pixels=max_pixels)
            found, lost = walked(searching, dataset.queries, "search", tell)
            searching.close()
            answers, leaks = image_answers(dataset, found, gallery, contents, max(ks))
        else:
            ids = {str(item.path): str(row["id"]) for item, row in gallery}
            encoder = load(**recipe.config())
            embedded = vectors(asked, encoder, max_pixels=max_pixels)
            answers, lost = question_answers(asked, embedded, stored, ids, known, max(ks), tell)
        seconds = monotonic() - started
        speed = None
        if timed:
            paths = [str(item.path) for item, _ in gallery]
            calls = _calls(recipe, asked, answers, max_pixels)
            step = Embedding(recipe, max_pixels=max_pixels)
            speed = measured(calls, stored, step, paths, k=max(ks))
        laid_out = embedding_map(stored, seed=SEED) if mapped else None
        if url is None:
            store.drop(name)
    measures = measure([answer.ranking for answer in answers], ks=ks)
    return Run(
        subject=Subject(
            dataset.name,
            dataset.manifest_hash,
            len(dataset.gallery),
            len(asked) or len(dataset.queries),
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
        labels=known,
        seconds={"index": indexing, "search": seconds},
        speed=speed,
        map=laid_out,
        max_pixels=max_pixels,
        notes=[
            *dataset.notes,
            *contents.notes(),
            *measures.notes,
            *_notes(dataset, model, skipped + lost, len(gallery) - len(known), leaks),
        ],
    )


def _calls(
    recipe: Recipe, asked: Sequence[Question], answers: Sequence[Answer], max_pixels: int
) -> list[Callable[[], Vector | None]]:
    """Return a call for each query that embeds it, alone, as a search does."""
    if asked:
        encoder = load(**recipe.config())

        def one(question: Question) -> Vector | None:
            matrix = next(vectors([question], encoder, max_pixels=max_pixels))
            return None if matrix is None else matrix[0]

        return [partial(one, question) for question in asked]
    ready = QueryEncoder(recipe, max_pixels=max_pixels)
    return [partial(ready.encode, Path(answer.query), None) for answer in answers]


def _notes(
    dataset: Dataset, model: str, failed: Sequence[str], doubles: int, leaks: int
) -> Iterator[str]:
    if failed:
        unused = counted(
            len(failed), "image could not be used and was", "images could not be used and were"
        )
        yield f"{unused} left out, the first: {failed[0]}"
    if doubles:
        equal = counted(doubles, "gallery image has", "gallery images have")
        yield f"{equal} the content of another one; each content counts once."
    if leaks:
        leaking = counted(leaks, "query is", "queries are")
        yield f"{leaking} in the gallery, too; each was left out of its own hits."
    if model == "classic":
        return
    if any(_SEEN.match(item.path.name) for item in dataset.gallery):
        yield (
            "The images bear names of ImageNet's training set: an encoder trained on ImageNet has "
            "very probably seen them, so its figures are higher than on images new to it."
        )


def _collection_name(dataset: Dataset, recipe: Recipe, index: str, metric: str) -> str:
    what = "\n".join((dataset.manifest_hash, recipe.to_json(), index, metric))
    return f"evaluate_{hashlib.sha256(what.encode()).hexdigest()[:16]}"
