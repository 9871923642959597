"""Index tuning on a collection's own vectors: recall against exact search, time and size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from imgsearch.backends import FieldNames, Metric, VectorBackend, versions
from imgsearch.errors import ConfigError, IndexRefused
from imgsearch.evaluation.index.candidates import FEW, Candidate, candidates
from imgsearch.evaluation.index.trials import PREFIX, SEED, Measurement, OnProgress, Trials
from imgsearch.text import counted

_NEAR: Final = 1.1  # ratio of search times; smaller ratios are noise


@dataclass(frozen=True, slots=True)
class Tuning:
    """The measurements of indexes on a collection, and the recommendation.

    `url` is the store of the trials, and `index` the collection's present index. `searched` is the
    number of searched records, and `queries` the number of other records, used as queries. `best`
    is the recommended measurement, or None if no index reaches `target`. `stay` means that the
    present index is recommended. `unmarked` means that the collection does not record which encoder
    made its vectors.
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
        """Return each measurement as a dict, for a table or a data frame."""
        return [asdict(measurement) for measurement in self.measurements]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-serializable values."""
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
    """Measure indexes on the vectors of `collection`; recommend the cheapest that reaches `target`.

    `indexes` have the syntax of `Candidate.parse`, such as "hnsw:M=16@64,128". By default the
    collection's own index and five common ones are tried. Trials run in the store `into`, or in
    `source`. `names` gives the key and the vector field of another program's collection. At most
    half of the records become queries. All results except the times are determined by the records
    and `seed`. Memory holds one batch of records and the queries.

    The cheapest index is the one with the least estimated memory among those whose p50 is within
    10 % of the fastest. Below 50,000 records the collection's own index is recommended if it
    reaches the target, because differences in speed are due to chance at that size.

    Raises:
        ConfigError: an argument is out of range, the store builds none of the indexes, or the
            collection holds fewer than two records.
        CollectionNotFound: the collection does not exist.
        BackendError: a store failed, or the collection changed during the trials. The message names
            a trial collection that could not be dropped.
    """
    if not 0 < target <= 1:
        raise ConfigError(f"target must be a recall above 0 and at most 1, not {target}")
    if queries < 1:
        raise ConfigError(f"queries must be at least 1, not {queries}")
    wanted = [Candidate.parse(text, k=k) for text in indexes]
    origin = versions.open_named(source, collection, names)
    store = into or source
    total = origin.count()
    number = min(queries, total // 2)
    if not number:
        raise ConfigError(
            f"cannot tune collection {collection!r}: it holds {counted(total, 'record')}. Add more "
            "images first."
        )
    tried, notes = _buildable(
        wanted
        or candidates(
            origin.schema.index,
            rows=total - number,
            k=k,
            dim=origin.schema.dim,
            kinds=store.capabilities.indexes,
        ),
        store,
    )
    notes += _leftover_notes(store)
    report = on_progress or (lambda _stage, _done, _total: None)
    trials = Trials(origin, store, number=number, k=k, seed=seed, report=report)
    measurements: list[Measurement] = []
    for candidate in tried:
        try:
            measurements += trials.run(candidate)
        except IndexRefused as error:
            notes.append(f"{candidate.index} was left out: {error}")
    elsewhere = store.url != source.url
    present = _present(measurements, str(origin.schema.index), store, elsewhere=elsewhere)
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
        measurements=tuple(measurements),
        best=own or cheapest(measurements, target),
        notes=(*notes, *_cautions(measurements, trials.truth.rows, store)),
        stay=own is not None,
        unmarked=origin.schema.encoder is None,
    )


def cheapest(measurements: Iterable[Measurement], target: float) -> Measurement | None:
    """Return the smallest index that reaches `target` and is within 10 % of the fastest such index.

    Returns None if no index reaches `target`.
    """
    enough = [measurement for measurement in measurements if measurement.recall >= target]
    if not enough:
        return None
    fastest = min(measurement.p50 for measurement in enough)
    near = [measurement for measurement in enough if measurement.p50 <= _NEAR * fastest]
    return min(near, key=lambda measurement: (measurement.memory, measurement.p50))


def _present(
    measurements: Iterable[Measurement], index: str, store: VectorBackend, *, elsewhere: bool
) -> list[Measurement]:
    """Return the measurements of the collection's present index.

    Returns an empty list if the trials run in another store. A store that builds only flat indexes
    ignores the collection's index and searches exactly.
    """
    if elsewhere:
        return []
    present = "flat" if store.capabilities.indexes == {"flat"} else index
    return [measurement for measurement in measurements if measurement.index == present]


def _buildable(
    wanted: Sequence[Candidate], store: VectorBackend
) -> tuple[list[Candidate], list[str]]:
    """Return the candidates that a store can build, and a note about the remaining ones.

    Raises:
        ConfigError: the store can build none of them.
    """
    kinds = store.capabilities.indexes
    kept = [candidate for candidate in wanted if candidate.index.kind in kinds]
    others = sorted({candidate.index.kind for candidate in wanted} - kinds)
    if not others:
        return kept, []
    exact = "it searches exactly; " if kinds == {"flat"} else ""
    note = f"{store.url} builds no {', '.join(others)}: {exact}it builds {', '.join(sorted(kinds))}"
    if not kept:
        raise ConfigError(f"{note}. Try another index or store.")
    return kept, [note]


def _leftover_notes(store: VectorBackend) -> list[str]:
    """Return a note about trial collections that other tunings left behind."""
    leftovers = [name for name in store.names() if name.startswith(PREFIX)]
    if not leftovers:
        return []
    return [
        f"{store.url} holds {', '.join(leftovers)} of another tuning. Drop it if that tuning was "
        "killed."
    ]


def _cautions(
    measurements: Sequence[Measurement], searched: int, store: VectorBackend
) -> Iterator[str]:
    """Yield sentences about the limits of the figures."""
    if searched < FEW:
        yield (
            f"{searched:,} vectors were searched: below about {FEW:,} the figures do not "
            "distinguish indexes, because Milvus scans small segments by brute force"
        )
    for index in dict.fromkeys(measurement.index for measurement in measurements):
        of_index = [measurement for measurement in measurements if measurement.index == index]
        if (indexed := of_index[0].indexed) < searched:
            yield (
                f"{index}: the store reports {indexed:,} of {searched:,} rows as indexed; others "
                "were compared one by one"
            )
        recalls = {measurement.recall for measurement in of_index}
        if len(of_index) > 1 and recalls == {1.0}:
            yield (
                f"{index} found all neighbors with every effort: {store.url} may have compared all "
                "rows instead of using the index"
            )
        if short := max(measurement.short for measurement in of_index):
            queries = counted(short, "query")
            yield f"{index} returned too few hits for up to {queries}; missing hits are misses"
