"""Variants of one encoder's vectors: raw or normalized, each with or without projection."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from time import monotonic
from typing import Any, Final

import numpy as np

from imgsearch import backends
from imgsearch.backends import Index, Schema
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.encoders import DEFAULT, Encoder, Recipe, load, unit
from imgsearch.errors import DatasetError, ImgSearchError
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.results import OnProgress, judge_class_queries
from imgsearch.evaluation.run import Run, Subject
from imgsearch.evaluation.unique_images import UniqueImages
from imgsearch.images import MAX_PIXELS
from imgsearch.images.sources import content_id, read
from imgsearch.library.embedding import model_input
from imgsearch.text import counted
from imgsearch.types import Fingerprint, Matrix, Record

SEED: Final = 2023
_BATCH: Final = 32


def variants(
    dataset: Dataset,
    *,
    model: str = DEFAULT,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    dim: int = 512,
    ks: Sequence[int] = (1, 5, 10),
    seed: int = SEED,
    max_pixels: int = MAX_PIXELS,
    on_progress: OnProgress | None = None,
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
    encoder = load(**Recipe.of(model, weights, options).config())
    items = [*dataset.gallery, *(dataset.queries if dataset.held_out else ())]
    started = monotonic()
    embedded, features, errors = _embed(encoder, items, max_pixels, on_progress)
    seconds = {"index": monotonic() - started}
    matrices = {"raw": features, "normalised": unit(features)}
    if dim < features.shape[1]:
        normal = np.random.default_rng(seed).standard_normal((features.shape[1], dim))
        projection = normal / np.sqrt(dim)
        for name in tuple(matrices):
            projected = (matrices[name].astype(np.float64) @ projection).astype(np.float32)
            matrices[f"{name} → {dim}"] = projected
    notes = [*dataset.notes]
    if errors:
        notes.append(f"{counted(len(errors), 'image')} could not be used, the first: {errors[0]}")
    return {
        name: _run(
            dataset,
            embedded,
            vectors,
            replace(encoder.fingerprint, dim=vectors.shape[1], normalized=name == "normalised"),
            seconds,
            notes,
            ks,
            max_pixels,
        )
        for name, vectors in matrices.items()
    }


def _embed(
    encoder: Encoder, items: Sequence[Item], max_pixels: int, on_progress: OnProgress | None
) -> tuple[list[tuple[Item, str]], Matrix, list[str]]:
    """Return the embedded items with their ids, their features, and errors of failed items."""
    embedded: list[tuple[Item, str]] = []
    errors: list[str] = []
    batches: list[Matrix] = []
    for start in range(0, len(items), _BATCH):
        inputs = []
        for item in items[start : start + _BATCH]:
            try:
                content = read(str(item.path))
                inputs.append(model_input(encoder, content, str(item.path), max_pixels=max_pixels))
            except ImgSearchError as error:
                errors.append(str(error))
            else:
                embedded.append((item, content_id(content)))
        if inputs:
            batches.append(encoder.features(inputs))
        if on_progress:
            on_progress("embed", min(start + _BATCH, len(items)), len(items))
    if not batches:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {errors[:1]}")
    return embedded, np.concatenate(batches), errors


def _run(
    dataset: Dataset,
    embedded: Sequence[tuple[Item, str]],
    vectors: Matrix,
    fingerprint: Fingerprint,
    seconds: Mapping[str, float],
    notes: Sequence[str],
    ks: Sequence[int],
    max_pixels: int,
) -> Run:
    gallery = set(dataset.gallery)
    unique = UniqueImages(dataset.root)
    records = []
    for (item, id_), vector in zip(embedded, vectors, strict=True):
        if item in gallery and unique.add(id_, item):
            records.append(Record(id_, vector, {"path": str(item.path)}))
    query_items = set(dataset.queries)
    query_rows = [row for row, (item, _) in enumerate(embedded) if item in query_items]
    with backends.connect(f"memory://variants-{uuid.uuid4().hex}") as store:
        collection = store.create("images", Schema(vectors.shape[1], "l2", Index("flat")))
        collection.upsert(records)
        started = monotonic()
        k = max(ks)
        results = collection.search(np.ascontiguousarray(vectors[query_rows]), k=k + 1)
        queries = [(*embedded[row], hits) for row, hits in zip(query_rows, results, strict=True)]
        answers = judge_class_queries(dataset, queries, unique, k)
        searching = monotonic() - started
        store.drop("images")
    measures = measure([answer.ranking for answer in answers], ks=ks)
    return Run(
        subject=Subject(
            dataset.name,
            dataset.manifest_hash,
            len(dataset.gallery),
            len(dataset.queries),
            dataset.held_out,
        ),
        encoder=fingerprint,
        asked="images",
        collection="images",
        url="memory://",
        index="flat",
        metric="l2",
        measures=measures,
        answers=answers,
        labels=unique.labels(),
        seconds={**seconds, "search": searching},
        notes=[*notes, *unique.notes(), *measures.notes],
        max_pixels=max_pixels,
    )
