"""Evaluation of an existing collection with its own labeled images as queries."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Final

import numpy as np

from imgsearch.backends import Collection
from imgsearch.backends.checks import can_compare
from imgsearch.backends.regions import WHOLE, has_regions
from imgsearch.datasets.dataset import check_labels
from imgsearch.errors import DatasetError, FieldInvalid
from imgsearch.evaluation.embedding_map import embedding_map
from imgsearch.evaluation.metrics import measure
from imgsearch.evaluation.results import OnProgress, judge_hits
from imgsearch.evaluation.run import SEED, Run, Subject
from imgsearch.filters import Filter, composed
from imgsearch.text import counted
from imgsearch.types import Fingerprint, Hit

_BATCH: Final = 100  # queries in one search
_PATH: Final = "path"


def evaluate_collection(
    collection: Collection,
    url: str,
    *,
    label: str = "label",
    most: int = 1_000,
    ks: Sequence[int] = (1, 5, 10),
    effort: int | None = None,
    seed: int = SEED,
    mapped: bool = False,
    encoder: Fingerprint | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Measure how well a collection's stored vectors find images of the same class.

    At most `most` images are drawn as queries, and each is left out of its own hits. The field
    `label` is the class; images without a label are not queries, and count as wrong hits. Regions
    are left out. Nothing is embedded or written. Neighbors that the index misses count as misses;
    `effort` is the search effort. `mapped` adds a map of the collection. The report shows `url`,
    and `encoder` if the collection does not record its own encoder.

    Raises:
        DatasetError: no class has two images, or two labels differ only in case or in leading or
            trailing whitespace.
        FieldInvalid: the collection does not declare the field `label`.
    """
    if label not in collection.schema.fields:
        fields = ", ".join(sorted(collection.schema.fields)) or "none"
        raise FieldInvalid(
            f"collection {collection.name!r} has no field {label!r}; it has: {fields}. Name the "
            "field that holds the label with label_field= or --label-field."
        )
    where = WHOLE if has_regions(collection) else None
    rows = collection.iterate(where=where, vectors=False)
    facts = {
        row.id: (composed(str(row.fields.get(label, ""))), str(row.fields.get(_PATH, row.id)))
        for row in rows
    }
    labels = {id_: frozenset({name} if name else ()) for id_, (name, _) in facts.items()}
    sizes = Counter(name for name, _ in facts.values() if name)
    check_labels(sizes)
    if not any(size > 1 for size in sizes.values()):
        raise DatasetError(
            f"collection {collection.name!r} holds "
            f"{counted(sum(sizes.values()), 'labeled image')} of "
            f"{counted(len(sizes), 'class')}; no class has two images, so no query has a hit"
        )
    labeled_ids = sorted(id_ for id_, (name, _) in facts.items() if name)
    query_ids = sorted(np.random.default_rng(seed).permutation(labeled_ids)[:most])
    started = monotonic()
    results = _search(collection, query_ids, where, effort, max(ks), on_progress)
    answers = [
        judge_hits(path, name, own, hits, labels, k=max(ks), wanted=sizes[name])
        for own, hits in results
        for name, path in [facts[own]]
    ]
    measures = measure([answer.ranking for answer in answers], ks=ks)
    schema, number = collection.schema, len(query_ids)
    return Run(
        subject=Subject(collection.name, _manifest(facts), len(facts), number, held_out=False),
        encoder=schema.encoder or encoder or Fingerprint("unknown", schema.dim),
        asked="images",
        collection=collection.name,
        url=url,
        index=str(schema.index),
        metric=schema.metric,
        measures=measures,
        answers=answers,
        labels=labels,
        seconds={"search": monotonic() - started},
        map=embedding_map(collection, seed=seed) if mapped else None,
        notes=[
            *_notes(len(facts), len(labeled_ids), number, number - len(answers)),
            *_encoder_notes(collection, encoder),
            *measures.notes,
        ],
    )


def _search(
    collection: Collection,
    ids: Sequence[str],
    where: Filter | None,
    effort: int | None,
    k: int,
    on_progress: OnProgress | None,
) -> list[tuple[str, Sequence[Hit]]]:
    results: list[tuple[str, Sequence[Hit]]] = []
    for start in range(0, len(ids), _BATCH):
        stored = collection.get(ids[start : start + _BATCH], vectors=True)
        queries = {id_: row.vector for id_, row in stored.items() if can_compare(row.vector)}
        if queries:
            matrix = np.stack(list(queries.values()))
            hits = collection.search(matrix, k=k + 1, where=where, effort=effort)
            results += zip(queries, hits, strict=True)
        if on_progress:
            on_progress("search", min(start + _BATCH, len(ids)), len(ids))
    return results


def _manifest(facts: dict[str, tuple[str, str]]) -> str:
    """Return the sha256 of all ids and labels. Ids made by imgsearch are content hashes."""
    lines = sorted(json.dumps([id_, name]) for id_, (name, _) in facts.items())
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _encoder_notes(collection: Collection, encoder: Fingerprint | None) -> list[str]:
    """Return one note if the collection does not record its encoder, otherwise an empty list."""
    if collection.schema.encoder is not None:
        return []
    if encoder is None:
        return ["The collection does not record which encoder made its vectors."]
    return [f"The collection does not record that {encoder.model} made its vectors."]


def _notes(total: int, labeled: int, drawn: int, invalid: int) -> list[str]:
    notes = []
    if labeled < total:
        notes.append(
            f"{total - labeled} of {total} images have no label: they are not queries, and count "
            "as wrong hits."
        )
    if drawn < labeled:
        notes.append(f"{drawn} of {labeled} labeled images were drawn as queries.")
    if invalid:
        queries = counted(invalid, "drawn query has", "drawn queries have")
        notes.append(f"{queries} a vector that cannot be compared.")
    return notes
