"""A dataset's gallery, embedded for an evaluation, and the search with its queries."""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from imgsearch import backends
from imgsearch.backends import versions
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.encoders import Recipe, load
from imgsearch.encoders.embedding import Embedding
from imgsearch.encoders.query_encoder import QueryEncoder
from imgsearch.errors import DatasetError
from imgsearch.evaluation.options import EvaluationOptions, Target
from imgsearch.evaluation.queries import QUESTIONS, Question, vectors
from imgsearch.evaluation.results import Answer, Answers, Gallery, Subject, judge
from imgsearch.evaluation.speed import Speed, measure_speed
from imgsearch.evaluation.unique_images import UniqueImages
from imgsearch.images.sources import content_id, read
from imgsearch.pipelines import insert_pipeline, search_pipeline
from imgsearch.text import counted
from imgsearch.towhee import Pipeline, Row
from imgsearch.types import Hit, Vector

_SLICE: Final = 256  # images between two progress reports
_IMAGENET: Final = re.compile(r"n\d{8}_\d+\.")  # file names of ImageNet's training images


@dataclass(frozen=True)
class EmbeddedGallery(Gallery):
    """The gallery of a dataset, embedded and written to `store_url` by the insert pipeline.

    `ids` maps the paths of the embedded images to their ids. `errors` has one for each lost image.
    """

    dataset: Dataset
    unique: UniqueImages
    recipe: Recipe
    store_url: str
    ids: Mapping[str, str]
    errors: Sequence[str]

    def notes(self) -> list[str]:
        """Return notes about the data, including the images judged so far."""
        return [*self.dataset.notes, *self.unique.notes()]

    def losses(self, errors: Sequence[str], leaks: int = 0) -> Iterator[str]:
        """Yield notes about lost images and leaks, which are held-out queries in the gallery."""
        if errors := [*self.errors, *errors]:
            images = counted(
                len(errors), "image could not be used and was", "images could not be used and were"
            )
            yield f"{images} left out, the first: {errors[0]}"
        if duplicates := len(self.ids) - len(self.labels):
            images = counted(duplicates, "gallery image has", "gallery images have")
            yield f"{images} the content of another one; each content counts once."
        if leaks:
            queries = counted(leaks, "query is", "queries are")
            yield f"{queries} in the gallery, too; each was left out of its own hits."
        named = any(_IMAGENET.match(item.path.name) for item in self.dataset.gallery)
        if named and self.recipe.model != "classic":
            yield (
                "The files have names of ImageNet's training set: an encoder trained on ImageNet "
                "has probably seen these images, so its figures are higher than on new images."
            )

    def speed(
        self, embed: Sequence[Callable[[], Vector | None]], options: EvaluationOptions
    ) -> Callable[[], Speed | None]:
        """Return a function that measures the speed, given one call per query."""
        step = Embedding(self.recipe, max_pixels=options.max_pixels)
        return partial(measure_speed, embed, self.collection, step, list(self.ids), k=options.k)


@contextmanager
def embedded(
    dataset: Dataset, recipe: Recipe, target: Target, options: EvaluationOptions
) -> Iterator[EmbeddedGallery]:
    """Embed the gallery of a dataset; a collection in memory is dropped at the end.

    Raises:
        DatasetError: every image failed, or the collection holds other images.
    """
    url = target.url or f"memory://evaluate-{uuid.uuid4().hex}"
    name = target.collection or _collection_name(dataset, recipe, target)
    with backends.connect(url) as store:
        started = monotonic()
        inserting = insert_pipeline(
            url,
            collection=name,
            **recipe.config(),
            index=target.index,
            metric=target.metric,
            max_pixels=options.max_pixels,
        )
        rows, errors = _run(inserting, dataset.gallery, "index", options)
        seconds = monotonic() - started
        unique = UniqueImages(dataset.root, ((row["id"], item) for item, row in rows))
        gallery = EmbeddedGallery(
            collection=versions.open_named(store, name),
            url=target.url or "memory://",
            index=target.index,
            encoder=load(**recipe.config()).fingerprint,
            subject=Subject.of(dataset),
            labels=unique.labels(),
            seconds={"index": seconds},
            dataset=dataset,
            unique=unique,
            recipe=recipe,
            store_url=url,
            ids={str(item.path): str(row["id"]) for item, row in rows},
            errors=errors,
        )
        _require_same_images(gallery)
        try:
            yield gallery
        finally:
            if target.url is None:
                store.drop(name)


def search_images(gallery: EmbeddedGallery, options: EvaluationOptions) -> Answers:
    """Search with the images of the dataset's queries by the search pipeline."""
    dataset, ids = gallery.dataset, gallery.ids
    searching = search_pipeline(
        gallery.store_url,
        collection=gallery.collection.name,
        **gallery.recipe.config(),
        k=options.k + 1,  # a query may find itself
        max_pixels=options.max_pixels,
    )
    rows, errors = _run(searching, dataset.queries, "search", options)
    queries = [
        (item, ids.get(str(item.path)) or content_id(read(str(item.path))), row["hits"])
        for item, row in rows
    ]
    leaks = sum(own in gallery.unique for _, own, _ in queries) if dataset.held_out else 0
    answers = judge_images(dataset, gallery, gallery.unique, queries, k=options.k)
    encoder = QueryEncoder(gallery.recipe, max_pixels=options.max_pixels)
    calls = [partial(_encode, encoder, Path(answer.query)) for answer in answers]
    return Answers(
        "images",
        len(dataset.queries),
        answers,
        notes=gallery.notes(),
        losses=list(gallery.losses(errors, leaks)),
        speed=gallery.speed(calls, options),
    )


def judge_images(
    dataset: Dataset,
    gallery: Gallery,
    unique: UniqueImages,
    queries: Iterable[tuple[Item, str, Sequence[Hit]]],
    *,
    k: int,
) -> list[Answer]:
    """Judge the hits of query images, given as (item, content id, hits), by their class.

    If queries have the same content, only the first is judged. `unique` holds the gallery and
    receives notes about contradictory labels.
    """
    unique_queries = UniqueImages(dataset.root)
    answers: list[Answer] = []
    for item, own, hits in queries:
        if dataset.held_out:
            unique.check_query(own, item)
        if unique_queries.add(own, item):
            relevant = gallery.of_class(item.label)
            answers.append(judge(str(item.path), item.label, hits, relevant, k=k, own=own))
    if dataset.held_out:
        unique.add_notes(unique_queries)
    return answers


def _search_questions(
    gallery: EmbeddedGallery, options: EvaluationOptions, *, kind: str
) -> Answers:
    """Search with texts or changed images."""
    questions = QUESTIONS[kind](gallery.dataset)
    encoder, k = load(**gallery.recipe.config()), options.k
    answers: list[Answer] = []
    errors: list[str] = []
    matrices = vectors(questions, encoder, max_pixels=options.max_pixels)
    for question, matrix in zip(questions, matrices, strict=True):
        if matrix is None:
            errors.append(f"{question.name}: no vector to search by")
        hits = [] if matrix is None else gallery.collection.search(matrix, k=k)[0]
        one = {gallery.ids[path] for path in (question.path,) if path in gallery.ids}
        relevant = gallery.of_class(question.label) if question.label else one
        answers.append(judge(question.name, question.label, hits, relevant, k=k))
        options.report("search", len(answers), len(questions))

    def embed(question: Question) -> Vector | None:
        matrix = next(vectors([question], encoder, max_pixels=options.max_pixels))
        return None if matrix is None else matrix[0]

    calls = [partial(embed, question) for question in questions]
    return Answers(
        kind,
        len(questions),
        answers,
        notes=gallery.notes(),
        losses=list(gallery.losses(errors)),
        speed=gallery.speed(calls, options),
    )


Search = Callable[[EmbeddedGallery, EvaluationOptions], Answers]

QUERIES: Final[Mapping[str, Search]] = {
    "images": search_images,
    **{kind: partial(_search_questions, kind=kind) for kind in QUESTIONS},
}
"""The search for each kind of queries."""


def _run(
    pipeline: Pipeline, items: Sequence[Item], stage: str, options: EvaluationOptions
) -> tuple[list[tuple[Item, Row]], list[str]]:
    """Run a pipeline on items, and close it; return an (item, row) for each success, and errors.

    Raises:
        DatasetError: every item failed.
    """
    results: list[tuple[Item, Row]] = []
    errors: list[str] = []
    options.report(stage, 0, len(items))
    with closing(pipeline):
        for start in range(0, len(items), _SLICE):
            part = items[start : start + _SLICE]
            rows = pipeline.stream([[str(item.path) for item in part]])
            for item, row in zip(part, rows, strict=True):
                if row["error"] is None:
                    results.append((item, row))
                else:
                    errors.append(str(row["error"]))
            options.report(stage, min(start + _SLICE, len(items)), len(items))
    if not results:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {errors[:1]}")
    return results, errors


def _require_same_images(gallery: EmbeddedGallery) -> None:
    collection, images = gallery.collection, len(gallery.labels)
    collection.flush()
    if (count := collection.count()) != images:
        raise DatasetError(
            f"collection {collection.name!r} of {gallery.store_url} holds "
            f"{counted(count, 'image')}, the gallery {images}. Evaluate in another collection or "
            "store."
        )


def _collection_name(dataset: Dataset, recipe: Recipe, target: Target) -> str:
    parts = "\n".join((dataset.manifest_hash, recipe.to_json(), target.index, target.metric))
    return f"evaluate_{hashlib.sha256(parts.encode()).hexdigest()[:16]}"


def _encode(encoder: QueryEncoder, path: Path) -> Vector:
    return encoder.encode(path).vector
