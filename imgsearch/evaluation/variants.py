"""Variants of one encoder's vectors: raw or normalized, each with or without projection."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

import numpy as np

from imgsearch import backends
from imgsearch.backends import Index, Schema
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.encoders import DEFAULT, Encoder, Recipe, load, unit
from imgsearch.encoders.embedding import model_input
from imgsearch.errors import DatasetError, ImgSearchError
from imgsearch.evaluation.embedded import judge_images
from imgsearch.evaluation.evaluator import run_search
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.evaluation.results import Answers, Gallery, Subject
from imgsearch.evaluation.run import Run
from imgsearch.evaluation.unique_images import UniqueImages
from imgsearch.images.sources import content_id, read
from imgsearch.text import counted
from imgsearch.types import Fingerprint, Matrix, Record

SEED: Final = 2023
_BATCH: Final = 32


def variants(
    dataset: Dataset,
    *,
    model: str | Recipe = DEFAULT,
    dim: int = 512,
    seed: int = SEED,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
) -> dict[str, Run]:
    """Return a run for each variant: `raw`, `normalised`, `raw → DIM` and `normalised → DIM`.

    The images are embedded once. Each variant is searched exactly with L2, as in the published
    figures; L2 ranks unit vectors in the same order as the cosine. The projection multiplies by a
    matrix (d, `dim`) with entries drawn from N(0, 1 / `dim`) with `seed`, which keeps lengths on
    average. Projected variants are left out if `dim` is not below d.

    Source of the projection: Johnson, Lindenstrauss, Extensions of Lipschitz mappings into a
    Hilbert space, 1984.

    Raises:
        DatasetError: every image failed.
        EncoderError: the encoder cannot be built, or an embedding is zero or not finite.
    """
    recipe = Recipe(model) if isinstance(model, str) else model
    encoder = load(**recipe.resolved().config())
    embedded = _embed(encoder, dataset, options)
    runs = {}
    for name, vectors in _variants(embedded.features, dim, seed).items():
        fingerprint = replace(
            encoder.fingerprint, dim=vectors.shape[1], normalized=name == "normalised"
        )
        runs[name] = _evaluate(dataset, embedded, vectors, fingerprint, options)
    return runs


@dataclass(frozen=True)
class _Embedded:
    """The embedded items, with their ids and features (n, d), and an error for each other item."""

    items: Sequence[tuple[Item, str]]
    features: Matrix
    errors: Sequence[str]
    seconds: float

    def notes(self) -> list[str]:
        if not self.errors:
            return []
        images = counted(len(self.errors), "image")
        return [f"{images} could not be used, the first: {self.errors[0]}"]


def _variants(features: Matrix, dim: int, seed: int) -> dict[str, Matrix]:
    matrices = {"raw": features, "normalised": unit(features)}
    if dim < features.shape[1]:
        normal = np.random.default_rng(seed).standard_normal((features.shape[1], dim))
        projection = normal / np.sqrt(dim)
        for name in tuple(matrices):
            projected = (matrices[name].astype(np.float64) @ projection).astype(np.float32)
            matrices[f"{name} → {dim}"] = projected
    return matrices


def _embed(encoder: Encoder, dataset: Dataset, options: EvaluationOptions) -> _Embedded:
    """Embed the gallery, and the queries that are not in it.

    Raises:
        DatasetError: every image failed.
    """
    items = [*dataset.gallery, *(dataset.queries if dataset.held_out else ())]
    embedded: list[tuple[Item, str]] = []
    errors: list[str] = []
    batches: list[Matrix] = []
    started = monotonic()
    for start in range(0, len(items), _BATCH):
        inputs = []
        for item in items[start : start + _BATCH]:
            path = str(item.path)
            try:
                content = read(path)
                inputs.append(model_input(encoder, content, path, max_pixels=options.max_pixels))
            except ImgSearchError as error:
                errors.append(str(error))
            else:
                embedded.append((item, content_id(content)))
        if inputs:
            batches.append(encoder.features(inputs))
        options.report("embed", min(start + _BATCH, len(items)), len(items))
    if not batches:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {errors[:1]}")
    return _Embedded(embedded, np.concatenate(batches), errors, monotonic() - started)


def _evaluate(
    dataset: Dataset,
    embedded: _Embedded,
    vectors: Matrix,
    encoder: Fingerprint,
    options: EvaluationOptions,
) -> Run:
    """Evaluate one variant of the vectors in a collection in memory."""
    gallery_items, query_items = set(dataset.gallery), set(dataset.queries)
    unique = UniqueImages(dataset.root)
    records = [
        Record(id_, vector, {"path": str(item.path)})
        for (item, id_), vector in zip(embedded.items, vectors, strict=True)
        if item in gallery_items and unique.add(id_, item)
    ]
    rows = [row for row, (item, _) in enumerate(embedded.items) if item in query_items]

    def search(gallery: Gallery, options: EvaluationOptions) -> Answers:
        matrix = np.ascontiguousarray(vectors[rows])
        results = gallery.collection.search(matrix, k=options.k + 1)
        queries = [(*embedded.items[row], hits) for row, hits in zip(rows, results, strict=True)]
        answers = judge_images(dataset, gallery, unique, queries, k=options.k)
        notes = [*dataset.notes, *embedded.notes(), *unique.notes()]
        return Answers("images", len(dataset.queries), answers, notes)

    with backends.connect(f"memory://variants-{uuid.uuid4().hex}") as store:
        collection = store.create("images", Schema(vectors.shape[1], "l2", Index("flat")))
        collection.upsert(records)
        about, labels = Subject.of(dataset), unique.labels()
        seconds = {"index": embedded.seconds}
        gallery = Gallery(collection, "memory://", "flat", encoder, about, labels, seconds)
        run = run_search(gallery, search, options)
        store.drop("images")
    return run
