"""A collection that is there already, measured by its own images: each looks for its class."""

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
from imgsearch.evaluation.results import OnProgress, judged
from imgsearch.evaluation.run import SEED, Run, Subject
from imgsearch.filters import Filter, composed
from imgsearch.types import Fingerprint, Hit
from imgsearch.wording import counted

_BATCH: Final = 100  # queries searched for in one call
_PLACE: Final = "path"


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
    """Return how well a collection finds images of the same class, by the vectors that it holds.

    At most `most` images are drawn as queries, and each is left out of its own hits. The field
    `label` is the class; images without one are not queries, and count as wrong hits. Regions of
    images are left out. Nothing is embedded or written, and neighbours that the index misses are
    missing here, too. `effort` is the search effort. The report shows `url`, and `encoder` where
    the collection notes none; it encodes nothing.

    Raises:
        DatasetError: no class has two images, or two classes differ only by case.
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
        row.id: (composed(str(row.fields.get(label, ""))), str(row.fields.get(_PLACE, row.id)))
        for row in rows
    }
    labels = {id_: frozenset({name} if name else ()) for id_, (name, _) in facts.items()}
    sizes = Counter(name for name, _ in facts.values() if name)
    check_labels(sizes)
    if not any(size > 1 for size in sizes.values()):
        raise DatasetError(
            f"collection {collection.name!r} holds "
            f"{counted(sum(sizes.values()), 'labelled image')} of "
            f"{counted(len(sizes), 'class')}; no class has two images, so no query has a hit"
        )
    labelled = sorted(id_ for id_, (name, _) in facts.items() if name)
    drawn = sorted(np.random.default_rng(seed).permutation(labelled)[:most])
    started = monotonic()
    answers = _answers(collection, drawn, where, effort, max(ks), on_progress)
    judgements = [
        judged(path, name, own, hits, labels, k=max(ks), wanted=sizes[name])
        for own, hits in answers
        for name, path in [facts[own]]
    ]
    measures = measure([answer.ranking for answer in judgements], ks=ks)
    schema = collection.schema
    return Run(
        subject=Subject(collection.name, _manifest(facts), len(facts), len(drawn), held_out=False),
        encoder=schema.encoder or encoder or Fingerprint("unknown", schema.dim),
        asked="images",
        collection=collection.name,
        url=url,
        index=str(schema.index),
        metric=schema.metric,
        measures=measures,
        answers=judgements,
        labels=labels,
        seconds={"search": monotonic() - started},
        map=embedding_map(collection, seed=seed) if mapped else None,
        notes=[
            *_notes(len(facts), len(labelled), len(drawn), len(drawn) - len(answers)),
            *_doubts(collection, encoder),
            *measures.notes,
        ],
    )


def _answers(
    collection: Collection,
    drawn: Sequence[str],
    where: Filter | None,
    effort: int | None,
    k: int,
    on_progress: OnProgress | None,
) -> list[tuple[str, Sequence[Hit]]]:
    found: list[tuple[str, Sequence[Hit]]] = []
    for start in range(0, len(drawn), _BATCH):
        stored = collection.get(drawn[start : start + _BATCH], vectors=True)
        queries = {id_: row.vector for id_, row in stored.items() if can_compare(row.vector)}
        if queries:
            matrix = np.stack(list(queries.values()))
            hits = collection.search(matrix, k=k + 1, where=where, effort=effort)
            found += zip(queries, hits, strict=True)
        if on_progress:
            on_progress("search", min(start + _BATCH, len(drawn)), len(drawn))
    return found


def _manifest(facts: dict[str, tuple[str, str]]) -> str:
    """Return the sha256 of ids and labels; ids are the contents' hashes where we wrote them."""
    lines = sorted(json.dumps([id_, name]) for id_, (name, _) in facts.items())
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _doubts(collection: Collection, encoder: Fingerprint | None) -> list[str]:
    """Return a note where a collection does not record its encoder."""
    if collection.schema.encoder is not None:
        return []
    if encoder is None:
        return ["The collection does not say which encoder made its vectors."]
    return [f"Nothing vouches that {encoder.model} made the vectors; no figure depends on it."]


def _notes(there: int, labelled: int, drawn: int, lost: int) -> list[str]:
    notes = []
    if labelled < there:
        notes.append(f"{there - labelled} of {there} images have no label: no queries, and wrong.")
    if drawn < labelled:
        notes.append(f"{drawn} of {labelled} labelled images were drawn as queries.")
    if lost:
        queries = counted(lost, "drawn query has", "drawn queries have")
        notes.append(f"{queries} a vector that cannot be compared.")
    return notes
