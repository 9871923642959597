"""A tour of a library by its own images: neighbors, texts, near-duplicates, a map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from imgsearch.errors import CollectionNotFound, TextUnknown, TextUnsupported
from imgsearch.evaluation.deduplication import Deduplication, find_duplicates
from imgsearch.evaluation.embedding_map import EmbeddingMap, embedding_map
from imgsearch.evaluation.options import OnProgress
from imgsearch.library.hits import Hits
from imgsearch.library.library import Library
from imgsearch.types import Record

_NEAR: Final = 0.9  # of these pairs the pixels are compared
_SAMPLE: Final = 2_000  # images by which the texts are chosen
# common subjects of photographs
_SUBJECTS: Final = (
    "a dog", "a cat", "a bird", "a horse", "a cow", "an elephant", "a fish", "an insect",
    "a flower", "a tree", "a forest", "a mountain", "a beach", "the sea", "a lake", "a river",
    "snow", "a sunset", "the sky at night", "a garden", "a field", "a street", "a city at night",
    "a bridge", "a church", "a castle", "a house", "a tower", "a boat", "a ship", "a car", "a bus",
    "a train", "an airplane", "a bicycle", "a motorcycle", "a road sign", "food on a plate",
    "a pizza", "a cake", "fruit", "vegetables", "a cup of coffee", "a bottle", "a table", "a chair",
    "a bed", "a kitchen", "a computer", "a telephone", "a book", "a clock", "a guitar", "a piano",
    "a ball", "a balloon", "people on a beach", "a person skiing", "a wedding", "a baby", "a toy",
    "a wall", "a page of text", "a map",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Walkthrough:
    """Searches of a library by its own images and by texts, its near-duplicates, and its map.

    `images` is the number of images. `neighbors` are images with their nearest others, `texts` are
    texts with their hits, empty if the encoder takes no texts. `offered` is the number of texts
    that were tried. `duplicates` have pixels that show the same picture.
    """

    images: int
    neighbors: Sequence[tuple[Record, Hits]]
    texts: Sequence[tuple[str, Hits]]
    offered: int
    duplicates: Deduplication
    map: EmbeddingMap


def walkthrough(
    library: Library,
    *,
    queries: int = 12,
    texts: Sequence[str] = (),
    most_texts: int = 6,
    k: int = 5,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Walkthrough:
    """Return searches of `library` by up to `queries` of its images and `most_texts` texts.

    The texts are the `texts`, or common subjects of photographs, that stand out most: their best
    image is nearer than the others by the most standard deviations. Images are found without
    themselves. The same library and seed give the same searches.

    Raises:
        CollectionNotFound: the library has no images.

    >>> import imgsearch
    >>> with imgsearch.open("memory://walk", model="classic") as library:
    ...     walkthrough(library)
    Traceback (most recent call last):
        ...
    imgsearch.errors.CollectionNotFound: memory://walk has no images to show
    """
    count = library.count()
    if not count:
        raise CollectionNotFound(f"{library.url} has no images to show")
    collection = library.collection
    ids = sorted(record.id for record in collection.iterate(vectors=False))
    drawn = sorted(np.random.default_rng(seed).permutation(ids)[: max(_SAMPLE, queries)])
    records = collection.get(drawn, vectors=True)
    chosen = [records[drawn[place * len(drawn) // queries]] for place in range(queries)]
    unique = list({record.id: record for record in chosen}.values())
    neighbors = [(record, _others(library, record, k)) for record in unique]
    chosen_texts = _outstanding(library, list(records.values()), texts or _SUBJECTS, most_texts)
    return Walkthrough(
        count,
        neighbors,
        [(text, library.search(text, k=k)) for text in chosen_texts],
        len(texts or _SUBJECTS),
        find_duplicates(library, threshold=_NEAR, on_progress=on_progress),
        embedding_map(collection, seed=seed),
    )


def _others(library: Library, record: Record, k: int) -> Hits:
    """Return the `k` images nearest to a stored image, without itself."""
    assert record.vector is not None  # noqa: S101 - records were read with vectors
    hits = library.search(record.vector, k=k + 1)
    return Hits([hit for hit in hits if hit.id != record.id][:k])


def _outstanding(
    library: Library, records: Sequence[Record], texts: Sequence[str], most: int
) -> list[str]:
    """Return the texts whose best image stands out most, in the order of `texts`."""
    known = [(text, vector) for text in texts if (vector := _embedded(library, text)) is not None]
    if not known or len(records) < 2:
        return [text for text, _ in known][:most]
    stored = np.stack([record.vector for record in records if record.vector is not None])
    scores = stored @ np.stack([vector for _, vector in known]).T  # images x texts
    heights = (scores.max(axis=0) - scores.mean(axis=0)) / (scores.std(axis=0) + 1e-9)
    best: dict[int, int] = {}  # the best image of a text → the text that stands out most there
    for place in np.argsort(-heights, kind="stable"):
        best.setdefault(int(scores[:, place].argmax()), int(place))
    return [known[place][0] for place in sorted(list(best.values())[:most])]


def _embedded(library: Library, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
    try:
        vector: np.ndarray[tuple[int], np.dtype[np.float32]] = library.embed([text])[0]
    except (TextUnsupported, TextUnknown):
        return None
    return vector
