"""Indexes tried out on a collection's own vectors: recall against exact search, time, size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from imgsearch.backends import FieldNames, Metric, VectorBackend
from imgsearch.errors import ConfigError, IndexRefused
from imgsearch.evaluation.index.candidates import Candidate, candidates
from imgsearch.evaluation.index.trials import PREFIX, SEED, Measurement, OnProgress, Trials
from imgsearch.wording import counted

FEW: Final = 50_000  # rows below which Milvus scans much by brute force, whatever the index
_NEAR: Final = 1.1  # times of one run that differ by less are alike


@dataclass(frozen=True, slots=True)
class Tuning:
    """The measurements of indexes on a collection, and the recommendation.

    `url` is the store of the trials and `index` the collection's present index. `searched` records
    were searched by `queries` others. `best` is the cheapest measurement that reaches `target`, or
    None. `stay` means that the present index is recommended. `unmarked` means that the collection
    does not say which encoder made its vectors.
    """

    url: str
    collection: str
    index: str
    metric: Metric
    dim: int
    searched: int
    queries: int
    k: int
    target: float
    seed: int
    measurements: tuple[Measurement, ...]
    best: Measurement | None
    notes: tuple[str, ...]
    stay: bool = False
    unmarked: bool = False

    def rows(self) -> list[dict[str, Any]]:
        """Return the measurements as plain dicts, a row each, for a table or a data frame."""
        return [asdict(each) for each in self.measurements]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)


def tune(
    source: VectorBackend,
    collection: str,
    *,
    into: VectorBackend | None = None,
    indexes: Sequence[str] = (),
    k: int = 10,
    target: float = 0.95,
    queries: int = 200,
    seed: int = SEED,
    names: FieldNames = FieldNames(),  # noqa: B008 - frozen
    on_progress: OnProgress | None = None,
) -> Tuning:
    """Try indexes on the vectors of `collection`, and find the cheapest that reaches `target`.

    `indexes` have the syntax of `Candidate.parse`, "hnsw:M=16@64,128". By default the collection's
    own index and five common ones are tried. Trials are made in the store `into`, or in `source`.
    `names` gives the key and the vector field of another program's collection. At most half of the
    records become queries. All results except the times follow from the records and `seed`. Memory
    holds a batch of records and the queries.

    The cheapest index has the lowest p50; among those within 10 % of it, the least estimated
    memory. Below 50,000 records the collection's own index is recommended if it reaches the target,
    because differences in speed are chance at that size.

    Raises:
        ConfigError: an argument is out of range, the store builds none of the indexes, or the
            collection holds fewer than two records.
        CollectionNotFound: the collection does not exist.
        BackendError: a store failed, or the collection changed during the trials. The message names
            a trial collection that could not be dropped.
    """
    if not 0 < target <= 1:
        raise ConfigError(f"target is a recall above 0, at most 1, not {target}")
    if queries < 1:
        raise ConfigError(f"queries must be at least 1, not {queries}")
    asked = [Candidate.parse(text, k=k) for text in indexes]
    origin = source.open_named(collection, names)
    store = into or source
    total = origin.count()
    number = min(queries, total // 2)
    if not number:
        raise ConfigError(
            f"collection {collection!r} holds {counted(total, 'record')}: nothing to search"
        )
    tried, notes = _buildable(
        asked or candidates(origin.schema.index, rows=total - number, k=k), store
    )
    notes += _remains(store)
    tell = on_progress or (lambda _stage, _done, _total: None)
    trials = Trials(origin, store, number=number, k=k, seed=seed, tell=tell)
    found: list[Measurement] = []
    for candidate in tried:
        try:
            found += trials.run(candidate)
        except IndexRefused as error:
            notes.append(f"{candidate.index} was left out: {error}")
    present = _present(found, str(origin.schema.index), store, elsewhere=store.url != source.url)
    own = cheapest(present, target) if total < FEW else None
    return Tuning(
        url=store.url,
        collection=collection,
        index=str(origin.schema.index),
        metric=origin.schema.metric,
        dim=origin.schema.dim,
        searched=trials.truth.rows,
        queries=number,
        k=k,
        target=target,
        seed=seed,
        measurements=tuple(found),
        best=own or cheapest(found, target),
        notes=(*notes, *_cautions(found, trials.truth.rows, store)),
        stay=own is not None,
        unmarked=origin.schema.encoder is None,
    )


def cheapest(measurements: Iterable[Measurement], target: float) -> Measurement | None:
    """Return the fastest that reaches `target`; of those within 10 % of it the smallest."""
    enough = [each for each in measurements if each.recall >= target]
    if not enough:
        return None
    fastest = min(each.p50 for each in enough)
    near = [each for each in enough if each.p50 <= _NEAR * fastest]
    return min(near, key=lambda each: (each.memory, each.p50))


def _present(
    found: Iterable[Measurement], index: str, store: VectorBackend, *, elsewhere: bool
) -> list[Measurement]:
    """Return the measurements of the index that the collection has now.

    A store that builds only flat indexes searches flat, whatever the collection's index.
    """
    if elsewhere:
        return []
    now = "flat" if store.capabilities.indexes == {"flat"} else index
    return [each for each in found if each.index == now]


def _buildable(
    asked: Sequence[Candidate], store: VectorBackend
) -> tuple[list[Candidate], list[str]]:
    """Return the candidates that a store really builds, and a sentence on the others.

    Raises:
        ConfigError: it builds none of them.
    """
    kinds = store.capabilities.indexes
    kept = [each for each in asked if each.index.kind in kinds]
    others = sorted({each.index.kind for each in asked} - kinds)
    if not others:
        return kept, []
    exact = "it searches exactly; " if kinds == {"flat"} else ""
    said = f"{store.url} builds no {', '.join(others)}: {exact}it builds {', '.join(sorted(kinds))}"
    if not kept:
        raise ConfigError(f"{said}; try others, or in another store")
    return kept, [said]


def _remains(store: VectorBackend) -> list[str]:
    """Tell of trial collections that are there already."""
    there = [name for name in store.names() if name.startswith(PREFIX)]
    if not there:
        return []
    return [
        f"{store.url} holds {', '.join(there)}: of another tuning that runs just now, or of one "
        "that was killed, and then to be dropped"
    ]


def _cautions(found: Sequence[Measurement], searched: int, store: VectorBackend) -> Iterator[str]:
    """Yield what keeps the figures from being misread."""
    if searched < FEW:
        yield (
            f"{searched:,} vectors were searched: below about {FEW:,} the figures say little of an "
            "index; Milvus scans small segments by brute force, and small indexes find all"
        )
    for index in dict.fromkeys(each.index for each in found):
        of_index = [each for each in found if each.index == index]
        if (indexed := of_index[0].indexed) < searched:
            yield (
                f"{index}: {indexed:,} of {searched:,} rows were searched through the index, by "
                "the store's account, the others one by one"
            )
        recalls = {each.recall for each in of_index}
        if len(of_index) > 1 and recalls == {1.0}:
            yield (
                f"{index} found all with every effort: {store.url} may not have used it, but "
                "compared all rows"
            )
        if short := max(each.short for each in of_index):
            missed = counted(short, "query")
            yield f"{index} returned too few hits to up to {missed}; they count as misses"
