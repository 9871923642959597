"""Compares the vectors of two models for the same images, before a library changes its model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from imgsearch import encoders, images
from imgsearch.backends import Collection
from imgsearch.backends.checks import can_compare
from imgsearch.backends.regions import WHOLE, has_regions
from imgsearch.encoders import Encoder, Recipe
from imgsearch.errors import DatasetError, FieldInvalid, ImgSearchError
from imgsearch.evaluation.comparison import Difference, paired_difference
from imgsearch.evaluation.metrics import Measures, measure
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.evaluation.stored import StoredGallery, search_stored, stored
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.library.stored_files import ReadImage, read_file
from imgsearch.types import Pixels, Record

SAMPLE: Final = 200
"""The number of images that are queries."""

_COPIES: Final = 25  # images of the sample that are also changed; 100 changes take some seconds
_CHANGES: Final = ("thumbnail_96", "center_crop_80", "jpeg_10", "gray")  # as copies often are
_EDGE: Final = 400  # pixels; the changes are made for this size
_BATCH: Final = 100  # queries in one search
_SEED: Final = 2026


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """How two models find the neighbors of `queries` images, among at most `k` hits.

    `labels` has precision@k and recall@k, where hits with the query's label are right. It is empty
    if no label has two images. `copies` is the share of changed images (made smaller, cropped,
    compressed, without colors) whose original is the first hit; None if the images or the former
    model cannot be read. `agreement` is the share of neighbors that both models return, and
    `same_nearest` the share of queries with the same nearest image. Both do not say which model is
    better.
    """

    queries: int
    k: int
    labels: tuple[Difference, ...]
    copies: Difference | None
    agreement: float
    same_nearest: float


def compare_models(
    former: Collection,
    new: Collection,
    *,
    sample: int = SAMPLE,
    k: int = 10,
    read_image: ReadImage = read_file,
) -> ModelComparison:
    """Compare the stored vectors of two collections, which hold the same images.

    At most `sample` images of both collections are queries, and each is left out of its own hits.
    Images are read for `copies` only.

    Raises:
        DatasetError: the collections have fewer than two images in common.
        BackendError: a store failed.
    """
    ids = _shared_ids(former, new, sample)
    if len(ids) < 2:
        raise DatasetError(
            "cannot compare the models: the collections have fewer than two images in common."
        )
    mine, theirs = (_neighbors(side, ids, k) for side in (former, new))
    pairs = [(mine[id_], theirs[id_]) for id_ in ids if mine.get(id_) and theirs.get(id_)]
    return ModelComparison(
        queries=len(ids),
        k=k,
        labels=_label_differences(former, new, sample, k),
        copies=_copies(former, new, ids[:_COPIES], read_image),
        agreement=_mean(len({*a} & {*b}) / max(len(a), len(b)) for a, b in pairs),
        same_nearest=_mean(float(a[0] == b[0]) for a, b in pairs),
    )


def _shared_ids(former: Collection, new: Collection, sample: int) -> list[str]:
    """Return at most `sample` ids that both collections have, in random order."""
    where = WHOLE if has_regions(former) else None
    known = sorted(record.id for record in former.iterate(where=where, vectors=False))
    drawn = [known[at] for at in np.random.default_rng(_SEED).permutation(len(known))]
    shared: list[str] = []
    for start in range(0, len(drawn), _BATCH):
        batch = drawn[start : start + _BATCH]
        known_ids = new.get(batch)
        shared += [id_ for id_ in batch if id_ in known_ids]
        if len(shared) >= sample:
            break
    return shared[:sample]


def _neighbors(collection: Collection, ids: Sequence[str], k: int) -> dict[str, list[str]]:
    """Return the ids of each image's nearest other images, by its id."""
    neighbors: dict[str, list[str]] = {}
    where = WHOLE if has_regions(collection) else None
    for start in range(0, len(ids), _BATCH):
        rows = collection.get(ids[start : start + _BATCH], vectors=True)
        vectors = {id_: row.vector for id_, row in rows.items() if can_compare(row.vector)}
        if vectors:
            results = collection.search(np.stack(list(vectors.values())), k=k + 1, where=where)
            for id_, hits in zip(vectors, results, strict=True):
                neighbors[id_] = [hit.id for hit in hits if hit.id != id_][:k]
    return neighbors


def _label_differences(
    former: Collection, new: Collection, sample: int, k: int
) -> tuple[Difference, ...]:
    """Return the differences in precision@k and recall@k of the label; empty without labels."""
    try:
        gallery = stored(former, "", label="label", encoder=None)
    except (DatasetError, FieldInvalid):
        return ()
    ids = gallery.draw(sample, seed=_SEED)
    known = new.get(ids)
    ids = [id_ for id_ in ids if id_ in known]
    try:
        mine, theirs = (_by_query(gallery, side, ids, k) for side in (former, new))
    except DatasetError:  # no drawn image has another one of its label
        return ()
    shared = sorted(mine.keys() & theirs.keys())
    if not shared:
        return ()
    return tuple(
        paired_difference(
            f"{name}@{k}",
            np.array([mine[query][name] for query in shared]),
            np.array([theirs[query][name] for query in shared]),
        )
        for name in ("precision", "recall")
    )


def _by_query(
    gallery: StoredGallery, side: Collection, ids: Sequence[str], k: int
) -> dict[str, Mapping[str, float]]:
    """Return precision and recall of each query in one collection, by the query's id.

    Raises:
        DatasetError: no query has a relevant image.
    """
    options = EvaluationOptions(ks=(k,))
    answers = search_stored(replace(gallery, collection=side), options, ids=ids, effort=None)
    measures: Measures = measure([answer.ranking for answer in answers.answers], ks=(k,))
    columns = {name: measures.per_query[f"{name}@{k}"] for name in ("precision", "recall")}
    return {
        query: {name: float(values[at]) for name, values in columns.items()}
        for at, query in enumerate(measures.names)
    }


def _copies(
    former: Collection, new: Collection, ids: Sequence[str], read_image: ReadImage
) -> Difference | None:
    """Return how often the first hit of a changed image is its original, in both collections."""
    try:
        pairs = [(side, _encoder(side)) for side in (former, new)]
    except ImgSearchError:  # the former model was removed, or its weights are gone
        return None
    pictures = list(_pictures(former.get(ids), read_image))
    if not pictures:
        return None
    mine, theirs = (
        np.concatenate([_ranks_first(*pair, id_, pixels) for id_, pixels in pictures])
        for pair in pairs
    )
    return paired_difference("copies", mine, theirs)


def _encoder(collection: Collection) -> Encoder:
    recipe = Recipe.from_json(collection.schema.note) or Recipe()
    encoder = encoders.load(**recipe.config())
    collection.require(encoder.fingerprint)
    return encoder


def _pictures(records: Mapping[str, Record], read_image: ReadImage) -> Iterator[tuple[str, Pixels]]:
    for id_, record in records.items():
        try:
            small = Image.fromarray(images.decode(read_image(record), path=id_))
        except ImgSearchError:
            continue
        small.thumbnail((_EDGE, _EDGE))
        yield id_, np.array(small)


def _ranks_first(
    collection: Collection, encoder: Encoder, id_: str, pixels: Pixels
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return 1 for each change of an image whose first hit is the image, otherwise 0."""
    vectors = encoder.encode([TRANSFORMS[name](pixels) for name in _CHANGES])
    where = WHOLE if has_regions(collection) else None
    results = collection.search(vectors, k=1, where=where)
    return np.array([float(bool(hits) and hits[0].id == id_) for hits in results])


def _mean(values: Iterator[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else 0.0
