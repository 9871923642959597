"""One encoder's vectors in four forms: as they come, of unit length, each with a projection."""

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
from imgsearch.evaluation.contents import Contents
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.results import OnProgress, class_answers
from imgsearch.evaluation.run import Run, Subject
from imgsearch.images import MAX_PIXELS
from imgsearch.images.sources import content_id, read
from imgsearch.library.embedding import model_input
from imgsearch.types import Fingerprint, Matrix, Record
from imgsearch.wording import counted

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
    """Return a run for each form of the vectors: "raw", "normalised", and both "→ DIM".

    The images are embedded once. Every form is searched exactly, by L2, as the published figures
    were; for unit vectors that is the order of the cosine. → DIM is multiplication by a matrix
    (d, `dim`) of N(0, 1 / `dim`), drawn from `seed`, which keeps lengths on average; there is none
    where `dim` is not below d.

    Source of the projection: Johnson, Lindenstrauss, Extensions of Lipschitz mappings into a
    Hilbert space, 1984.

    Raises:
        DatasetError: no image could be used.
        EncoderError: the encoder cannot be built, or an embedding is zero or not finite.
    """
    encoder = load(**Recipe.of(model, weights, options).config())
    items = [*dataset.gallery, *(dataset.queries if dataset.held_out else ())]
    started = monotonic()
    well, features, failed = _embedded(encoder, items, max_pixels, on_progress)
    seconds = {"index": monotonic() - started}
    forms = {"raw": features, "normalised": unit(features)}
    if dim < features.shape[1]:
        drawn = np.random.default_rng(seed).standard_normal((features.shape[1], dim))
        matrix = drawn / np.sqrt(dim)
        for name in tuple(forms):
            projected = (forms[name].astype(np.float64) @ matrix).astype(np.float32)
            forms[f"{name} → {dim}"] = projected
    lost = (
        [f"{counted(len(failed), 'image')} could not be used, the first: {failed[0]}"]
        if failed
        else []
    )
    return {
        name: _run(
            dataset,
            well,
            form,
            replace(encoder.fingerprint, dim=form.shape[1], normalized=name == "normalised"),
            seconds,
            [*dataset.notes, *lost],
            ks,
            max_pixels,
        )
        for name, form in forms.items()
    }


def _embedded(
    encoder: Encoder, items: Sequence[Item], max_pixels: int, on_progress: OnProgress | None
) -> tuple[list[tuple[Item, str]], Matrix, list[str]]:
    """Return the items that could be used with their ids, their features, the others' errors."""
    well: list[tuple[Item, str]] = []
    failed: list[str] = []
    made: list[Matrix] = []
    for start in range(0, len(items), _BATCH):
        inputs = []
        for item in items[start : start + _BATCH]:
            try:
                content = read(str(item.path))
                inputs.append(model_input(encoder, content, str(item.path), max_pixels=max_pixels))
            except ImgSearchError as error:
                failed.append(str(error))
            else:
                well.append((item, content_id(content)))
        if inputs:
            made.append(encoder.features(inputs))
        if on_progress:
            on_progress("embed", min(start + _BATCH, len(items)), len(items))
    if not made:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {failed[:1]}")
    return well, np.concatenate(made), failed


def _run(
    dataset: Dataset,
    well: Sequence[tuple[Item, str]],
    vectors: Matrix,
    fingerprint: Fingerprint,
    seconds: Mapping[str, float],
    notes: Sequence[str],
    ks: Sequence[int],
    max_pixels: int,
) -> Run:
    gallery = set(dataset.gallery)
    contents = Contents(dataset.root)
    records = []
    for (item, id_), vector in zip(well, vectors, strict=True):
        if item in gallery and contents.add(id_, item):
            records.append(Record(id_, vector, {"path": str(item.path)}))
    asked = set(dataset.queries)
    places = [place for place, (item, _) in enumerate(well) if item in asked]
    with backends.connect(f"memory://variants-{uuid.uuid4().hex}") as store:
        collection = store.create("images", Schema(vectors.shape[1], "l2", Index("flat")))
        collection.upsert(records)
        started = monotonic()
        k = max(ks)
        hits = collection.search(np.ascontiguousarray(vectors[places]), k=k + 1)
        queries = [(*well[place], each) for place, each in zip(places, hits, strict=True)]
        answers = class_answers(dataset, queries, contents, k)
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
        labels=contents.labels(),
        seconds={**seconds, "search": searching},
        notes=[*notes, *contents.notes(), *measures.notes],
        max_pixels=max_pixels,
    )
