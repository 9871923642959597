"""An existing collection as a gallery, with its own labeled images as queries."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from imgsearch.backends import Collection
from imgsearch.backends.checks import can_compare
from imgsearch.backends.regions import WHOLE, has_regions
from imgsearch.datasets.dataset import check_labels
from imgsearch.errors import DatasetError, FieldInvalid
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.evaluation.results import Answer, Answers, Gallery, Subject, judge
from imgsearch.filters import Filter, composed
from imgsearch.text import counted
from imgsearch.types import Fingerprint

_BATCH: Final = 100  # queries in one search
_PATH: Final = "path"
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class StoredGallery(Gallery):
    """The images of a collection. `paths` maps ids to paths, or to ids without a path."""

    paths: Mapping[str, str]

    def draw(self, most: int, *, seed: int) -> list[str]:
        """Return the ids of at most `most` images with a label, sorted."""
        labeled = sorted(id_ for id_, names in self.labels.items() if names)
        return sorted(np.random.default_rng(seed).permutation(labeled)[:most])


def stored(
    collection: Collection, url: str, *, label: str, encoder: Fingerprint | None
) -> StoredGallery:
    """Return the images of a collection, without regions.

    `encoder` is reported if the collection does not record its own encoder.

    Raises:
        DatasetError: no class has two images, or two labels differ only in case or in leading or
            trailing whitespace.
        FieldInvalid: the collection does not declare the field `label`.
    """
    schema = collection.schema
    if label not in schema.fields:
        fields = ", ".join(sorted(schema.fields)) or "none"
        raise FieldInvalid(
            f"collection {collection.name!r} has no field {label!r}; it has: {fields}. Name the "
            "field that holds the label with label_field= or --label-field."
        )
    names, paths = {}, {}
    for row in collection.iterate(where=_where(collection), vectors=False):
        names[row.id] = composed(str(row.fields.get(label, "")))
        paths[row.id] = str(row.fields.get(_PATH, row.id))
    sizes = Counter(name for name in names.values() if name)
    check_labels(sizes)
    if not any(size > 1 for size in sizes.values()):
        raise DatasetError(
            f"collection {collection.name!r} holds "
            f"{counted(sum(sizes.values()), 'labeled image')} of "
            f"{counted(len(sizes), 'class')}; no class has two images, so no query has a hit"
        )
    return StoredGallery(
        collection=collection,
        url=url,
        index=str(schema.index),
        encoder=schema.encoder or encoder or Fingerprint(_UNKNOWN, schema.dim),
        subject=Subject(
            collection.name, _manifest(names), len(names), sizes.total(), held_out=False
        ),
        labels={id_: frozenset({name} if name else ()) for id_, name in names.items()},
        seconds={},
        paths=paths,
    )


def search_stored(
    gallery: StoredGallery, options: EvaluationOptions, *, ids: Sequence[str], effort: int | None
) -> Answers:
    """Search with the stored vectors of the images `ids`. `effort` is the search effort."""
    collection, k = gallery.collection, options.k
    answers: list[Answer] = []
    for start in range(0, len(ids), _BATCH):
        rows = collection.get(ids[start : start + _BATCH], vectors=True)
        queries = {id_: row.vector for id_, row in rows.items() if can_compare(row.vector)}
        if queries:
            matrix, where = np.stack(list(queries.values())), _where(collection)
            results = collection.search(matrix, k=k + 1, where=where, effort=effort)
            for own, hits in zip(queries, results, strict=True):
                (label,) = gallery.labels[own]
                relevant = gallery.of_class(label)
                answers.append(judge(gallery.paths[own], label, hits, relevant, k=k, own=own))
        options.report("search", min(start + _BATCH, len(ids)), len(ids))
    return Answers("images", len(ids), answers, list(_notes(gallery, len(ids), len(answers))))


def _where(collection: Collection) -> Filter | None:
    return WHOLE if has_regions(collection) else None


def _manifest(names: Mapping[str, str]) -> str:
    """Return the sha256 of all ids and labels. Ids made by imgsearch are content hashes."""
    lines = sorted(json.dumps([id_, name]) for id_, name in names.items())
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _notes(gallery: StoredGallery, drawn: int, judged: int) -> Iterator[str]:
    total, labeled = gallery.subject.gallery, gallery.subject.queries
    if labeled < total:
        yield (
            f"{total - labeled} of {total} images have no label: they are not queries, and count "
            "as wrong hits."
        )
    if drawn < labeled:
        yield f"{drawn} of {labeled} labeled images were drawn as queries."
    if judged < drawn:
        queries = counted(drawn - judged, "drawn query has", "drawn queries have")
        yield f"{queries} a vector that cannot be compared."
    if gallery.collection.schema.encoder is None:
        name = gallery.encoder.model
        which = "which encoder" if name == _UNKNOWN else f"that {name}"
        yield f"The collection does not record {which} made its vectors."
