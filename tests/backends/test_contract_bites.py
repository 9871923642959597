"""Faulty stores: a test of the contract catches each of them."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from imgsearch.backends import Collection, FieldNames, Schema
from imgsearch.backends import checks as checks_module
from imgsearch.backends.base import require_schema
from imgsearch.backends.filter_plan import Plan
from imgsearch.backends.memory import Backend, MemoryCollection, Rows
from imgsearch.errors import CollectionNotFound, SchemaMismatch
from imgsearch.fields import FieldType
from imgsearch.filters import (
    And,
    Compare,
    Field,
    Filter,
    Glob,
    IsNull,
    Leaf,
    Not,
    Or,
    StartsWith,
    Where,
    to_filter,
)
from imgsearch.testing.contract import test_bits as bits
from imgsearch.testing.contract import test_filters as filters
from imgsearch.testing.contract import test_indexes as indexes
from imgsearch.testing.contract.bench import FOREIGN, Bench, unit
from imgsearch.types import Hit, Matrix, Record
from tests.backends import test_contract as contract


class Forgetful(MemoryCollection):
    """Searches the state before the last write."""

    last: Sequence[Record] = ()

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        super()._upsert(self.last)
        self.last = records


class DistancesAsScores(MemoryCollection):
    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        hits_by_query = super()._search(queries, **options)
        return [[Hit(h.id, h.distance, h.score, h.fields) for h in hits] for hits in hits_by_query]


class FurthestFirst(MemoryCollection):
    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        return [hits[::-1] for hits in super()._search(queries, **options)]


class RootOfDistance(MemoryCollection):
    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        hits_by_query = super()._search(queries, **options)
        if self.schema.metric != "l2":
            return hits_by_query
        return [
            [Hit(h.id, 1 - h.distance**0.5 / 2, h.distance**0.5, h.fields) for h in hits]
            for hits in hits_by_query
        ]


class ShareOfBits(MemoryCollection):
    """Reports the share of different bits instead of their number."""

    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        hits_by_query = super()._search(queries, **options)
        if self.schema.metric != "hamming":
            return hits_by_query
        return [
            [Hit(h.id, h.score, h.distance / self.schema.dim, h.fields) for h in hits]
            for hits in hits_by_query
        ]


class ReturnsBits(MemoryCollection):
    """Returns 0 and 1 instead of unit vectors."""

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        records = super()._get(ids, vectors=vectors)
        return {
            name: r if r.vector is None else Record(r.id, (r.vector > 0) * np.float32(1), r.fields)
            for name, r in records.items()
        }


class TakesAnyMetric(Backend):
    """Accepts bits, and compares them as floats."""

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        if schema.metric == "hamming":
            schema = replace(schema, metric="cosine")
        return super().create(name, schema)


class Unnormalized(MemoryCollection):
    """Uses the inner product as cosine, which is correct only for unit vectors."""

    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        if self.schema.metric != "cosine":
            return super()._search(queries, **options)
        norms = np.linalg.norm(queries, axis=1)
        return [
            [Hit(h.id, h.score * norm, 1 - h.score * norm, h.fields) for h in hits]
            for hits, norm in zip(super()._search(queries, **options), norms, strict=True)
        ]


class Fieldless(MemoryCollection):
    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        hits_by_query = super()._search(queries, **options)
        return [[Hit(h.id, h.score, h.distance, {}) for h in hits] for hits in hits_by_query]


class Stringly(MemoryCollection):
    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        super()._upsert(
            [Record(r.id, r.vector, {n: str(v) for n, v in r.fields.items()}) for r in records]
        )


class Greedy(MemoryCollection):
    """Ignores k."""

    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        return super()._search(queries, **{**options, "k": 16_384})


class OneAnswer(MemoryCollection):
    """Returns the hits of the first query for the whole batch."""

    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        return super()._search(queries[:1], **options) * len(queries)


class FiltersAfterwards(MemoryCollection):
    """Filters the nearest k instead of searching the matching rows."""

    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        where = options.pop("where")
        matching_ids = {r.id for r in self.iterate(where=where)}
        hits_by_query = super()._search(queries, where=None, **options)
        return [[hit for hit in hits if hit.id in matching_ids] for hits in hits_by_query]


class Unfiltered(MemoryCollection):
    @override
    def _places(self, where: Filter | None) -> Any:
        return super()._places(None)


class NotEqualMeansLess(MemoryCollection):
    @override
    def _places(self, where: Filter | None) -> Any:
        return super()._places(twisted(where))


def twisted(where: Filter | None) -> Filter | None:
    match where:
        case Compare(name, "!=", value):
            return Compare(name, "<", value)
        case And(left, right) | Or(left, right):
            return type(where)(twisted(left), twisted(right))  # type: ignore[arg-type]
        case Not(inner):
            return Not(twisted(inner))  # type: ignore[arg-type]
    return where


class FirstWins(MemoryCollection):
    @override
    def upsert(self, records: Iterable[Record]) -> None:
        first: dict[str, Record] = {}
        for record in records:
            first.setdefault(record.id, record)
        super().upsert(first.values())


class KeepsOldFields(MemoryCollection):
    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        old = self._get([r.id for r in records], vectors=False)
        super()._upsert(
            [
                Record(r.id, r.vector, {**(old[r.id].fields if r.id in old else {}), **r.fields})
                for r in records
            ]
        )


class Appends(MemoryCollection):
    """Keeps both of two rows with the same id."""

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        stored = self._get([r.id for r in records], vectors=True).values()
        super()._upsert([Record(r.id + "\N{ZERO WIDTH SPACE}", r.vector, r.fields) for r in stored])
        super()._upsert(records)


class PartlyWritten(MemoryCollection):
    """Checks records one by one while writing."""

    @override
    def upsert(self, records: Iterable[Record]) -> None:
        for record in records:
            super().upsert([record])


class NanTaken(MemoryCollection):
    @override
    def upsert(self, records: Iterable[Record]) -> None:
        self._upsert(
            [
                checked
                for record in records
                for checked in (
                    checks_module.check_records(self.schema, [record])
                    if record.vector is None or np.isfinite(record.vector).all()
                    else [record]
                )
            ]
        )


class DeletesLie(MemoryCollection):
    @override
    def delete(self, ids: Sequence[str]) -> int:
        super().delete(ids)
        return len(ids)


class Undead(MemoryCollection):
    @override
    def _delete(self, ids: Sequence[str]) -> None:
        super()._delete(ids[1:])


class CountLags(MemoryCollection):
    seen = 0

    @override
    def _count(self, where: Filter | None) -> int:
        before, self.seen = self.seen, super()._count(where)
        return before


class MissesChunkEnds(MemoryCollection):
    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        rows = enumerate(super()._iterate(where, vectors=vectors, batch=batch))
        return (row for at, row in rows if (at + 1) % (batch + 1))


class RepeatsChunkEnds(MemoryCollection):
    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        for at, row in enumerate(super()._iterate(where, vectors=vectors, batch=batch), 1):
            yield from [row] * (2 if at % batch == 0 else 1)


class ReadsOnePage(MemoryCollection):
    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        return super()._get(ids[:1_000], vectors=vectors)


class TakesAnyScore(MemoryCollection):
    @override
    def search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        return super().search(queries, **{**options, "min_score": None})


class IgnoresCase(MemoryCollection):
    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        lower = {id_.lower() for id_ in ids}
        return super()._get([i for i in self._all.ids if i.lower() in lower], vectors=vectors)


class LendsItsOwn(MemoryCollection):
    """Returns stored objects instead of copies."""

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        places = {i: self._all.places[i] for i in ids if i in self._all.places}
        return {
            i: Record(i, self._all.vectors[at] if vectors else None, self._all.fields[at])
            for i, at in places.items()
        }


class HalfRecall(MemoryCollection):
    """Searches only every second row."""

    @override
    def _places(self, where: Filter | None) -> Any:
        places = super()._places(where)
        return places[::2] if len(places) > 1_000 else places


class BlankWhileFlushing(MemoryCollection):
    """Loses its rows for a moment at every hundredth write, as during a flush."""

    searched: threading.Event | None = None

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        self.searched = self.searched or threading.Event()
        super()._upsert(records)
        if self._blank():
            self.searched.wait(5)  # seconds; a reader searches long before, on any machine

    def _blank(self) -> bool:
        return len(self._all.ids) % 100 == 0 and len(self._all.ids) > 50

    @override
    def _search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        if self.searched and self._blank():
            self.searched.set()
            return [[] for _ in queries]
        return super()._search(queries, **options)


class IgnoresOffset(MemoryCollection):
    @override
    def search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        return super().search(queries, **{**options, "offset": 0})


class OffsetFromK(MemoryCollection):
    """Removes the offset from the k hits instead of continuing behind it."""

    @override
    def search(self, queries: Matrix, **options: Any) -> list[list[Hit]]:
        offset = options.pop("offset", 0)
        return [hits[offset:] for hits in super().search(queries, **options)]


class IgnoresPrefix(MemoryCollection):
    @override
    def _places(self, where: Filter | None) -> Any:
        return super()._places(None if isinstance(where, StartsWith) else where)


class PrefixAsPattern(MemoryCollection):
    """Uses the prefix as a pattern like SQL's LIKE, where _ is any character."""

    @override
    def _places(self, where: Filter | None) -> Any:
        if not isinstance(where, StartsWith):
            return super()._places(where)
        pattern = re.compile(re.escape(where.prefix).replace("_", "."), re.DOTALL)
        texts = [str(fields[where.field]) for fields in self._all.fields]
        return np.array([i for i, text in enumerate(texts) if pattern.match(text)], dtype=np.intp)


class GlobStopsAtSlash(MemoryCollection):
    """Matches globs like a shell, where * matches no slash."""

    @override
    def _places(self, where: Filter | None) -> Any:
        if not isinstance(where, Glob):
            return super()._places(where)
        texts = [str(fields[where.field]) for fields in self._all.fields]
        pairs = enumerate(texts)
        return np.array(
            [
                i
                for i, text in pairs
                if fnmatchcase(text, where.pattern) and text.count("/") == where.pattern.count("/")
            ],
            dtype=np.intp,
        )


class TranslatesNothing(MemoryCollection):
    """Leaves every condition to imgsearch."""

    @override
    def translates(self, leaf: Leaf) -> bool:
        return False


class FiltersNearestOnly(TranslatesNothing):
    """Filters the nearest hits and fetches no more."""

    @override
    def _filtered(self, queries: Matrix, k: int, plan: Plan, effort: int | None) -> list[list[Hit]]:
        hits_by_query = self._search(queries, k=k, where=None, effort=effort)
        return [[hit for hit in hits if plan.accepts(hit.fields)] for hits in hits_by_query]


class IgnoresItsOwnPart(TranslatesNothing):
    """Returns what the store's part of the filter accepts."""

    @override
    def _plan(self, where: Where | None) -> Plan:
        plan = super()._plan(where)
        return Plan(plan.native, plan.native, {})


class NullOnlyIfMissing(MemoryCollection):
    """Distinguishes a zero from a missing value, which stores cannot."""

    @override
    def _plan(self, where: Where | None) -> Plan:
        if where is not None and isinstance(to_filter(where), IsNull):
            return super()._plan(Field(next(iter(self.schema.fields))).isin([]))
        return super()._plan(where)


class ForgetsToIndex(MemoryCollection):
    """Forgets the last rows when it builds its index."""

    @override
    def indexed(self) -> int:
        return super().indexed() - 1


class Lenient(Backend):
    """Creates missing collections."""

    @override
    def open(self, name: str) -> Collection:
        return super().create(name, Schema(4))


class Unnoticing(Backend):
    """Opens any existing collection of the name."""

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        try:
            return super().open(name)
        except LookupError:
            return super().create(name, schema)


class ForgetsFingerprint(Backend):
    @override
    def open(self, name: str) -> Collection:
        collection = super().open(name)
        old = collection.schema
        collection.schema = Schema(old.dim, old.metric, old.index, old.fields)
        return collection


class StaleAlias(Backend):
    """Keeps the first target of an alias."""

    @override
    def set_alias(self, alias: str, name: str) -> None:
        if alias not in self._content().aliases:
            super().set_alias(alias, name)


class AliasAsCopy(Backend):
    """Lists an alias as a collection."""

    @override
    def names(self) -> list[str]:
        return sorted([*super().names(), *self._content().aliases])


class DropsThroughAliases(Backend):
    @override
    def drop(self, name: str) -> None:
        super().drop(self._content().aliases.get(name, name))


class MovesAliasInTwoSteps(Backend):
    @override
    def set_alias(self, alias: str, name: str) -> None:
        if name in self.names() and self._content().aliases.pop(alias, None):
            threading.Event().wait(0.01)  # a slow second step
        super().set_alias(alias, name)


class IgnoresFieldNames(Backend):
    @override
    def open_named(self, name: str, names: FieldNames) -> Collection:
        return self.open(name)


class ForgetsToDrop(Backend):
    @override
    def drop(self, name: str) -> None:
        rows = self._content().collections.get(name) or Rows(Schema(4), self._content())
        super().drop(name)
        rows.dropped = False


class DeclaresForNewRecords(Backend):
    """Adds fields without giving the records their zeros."""

    @override
    def _declare(self, collection: Collection, schema: Schema) -> None:
        self._content().collections[collection.name].schema = schema


class HoldsOnToTheDropped(MemoryCollection):
    """Fails permanently after its collection was dropped, even if it is created again."""

    @override
    def _rows(self) -> Rows:
        if self._all.dropped:
            raise CollectionNotFound(self.name)
        return self._all


class TakesAnySuccessor(MemoryCollection):
    """Continues with any collection that has its name now."""

    @override
    def _rows(self) -> Rows:
        self._all = self._all.shelf.collections[self.name]
        return self._all


class SharedStore(Backend):
    """A store in which another program created the collections of `foreign_names`."""

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        super().__init__(url, token=token, timeout=timeout)
        self.foreign_names: set[str] = set()

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        if name in self.foreign_names:
            require_schema(self.open(name), schema)
        return super().create(name, schema)

    @override
    def open(self, name: str) -> Collection:
        collection = super().open(name)
        collection.foreign = collection.name in self.foreign_names
        return collection


class WritesToForeign(MemoryCollection):
    @override
    def upsert(self, records: Iterable[Record], *, foreign: bool = False) -> None:
        super().upsert(records, foreign=True)


class DeletesFromForeign(MemoryCollection):
    @override
    def delete(self, ids: Sequence[str], *, foreign: bool = False) -> int:
        return super().delete(ids, foreign=True)


class CreatesForeign(SharedStore):
    """Returns another program's collection from `create`."""

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        return self.open(name) if name in self.names() else super().create(name, schema)


class TakesForeignForOwn(SharedStore):
    @override
    def open(self, name: str) -> Collection:
        collection = super().open(name)
        collection.foreign = False
        return collection


class NeverWritesToForeign(MemoryCollection):
    """Rejects writes to another program's collection even on request."""

    @override
    def upsert(self, records: Iterable[Record], *, foreign: bool = False) -> None:
        super().upsert(records)

    @override
    def delete(self, ids: Sequence[str], *, foreign: bool = False) -> int:
        return super().delete(ids)


CAUGHT: list[tuple[type, Callable[..., None]]] = [
    (Forgetful, contract.test_upserted_record_is_found_at_once),
    (DistancesAsScores, contract.test_scores_and_distances_by_hand),
    (FurthestFirst, contract.test_order_is_nearest_first),
    (RootOfDistance, contract.test_scores_and_distances_by_hand),
    (ShareOfBits, bits.test_distance_is_the_number_of_different_bits),
    (ReturnsBits, bits.test_components_above_zero_are_ones_and_come_back_as_unit_vectors),
    (FurthestFirst, bits.test_nearest_bits_are_found_in_every_index),
    (TakesAnyMetric, bits.test_reopened_collection_keeps_its_metric),
    (Unnormalized, contract.test_scores_and_distances_by_hand),
    (Fieldless, contract.test_fields_keep_their_types),
    (Stringly, contract.test_fields_keep_their_types),
    (Greedy, contract.test_order_is_nearest_first),
    (OneAnswer, contract.test_batch_of_queries_returns_hits_in_order),
    (FiltersAfterwards, filters.test_filter_applies_before_k),
    (Unfiltered, filters.test_every_comparison_matches_the_reference),
    (NotEqualMeansLess, filters.test_every_comparison_matches_the_reference),
    (NotEqualMeansLess, filters.test_any_tree_matches_the_reference),
    (FirstWins, contract.test_last_of_duplicates_in_one_call_counts),
    (KeepsOldFields, contract.test_upsert_replaces_vector_and_fields_whole),
    (Appends, contract.test_upserting_twice_changes_nothing),
    (PartlyWritten, contract.test_bad_record_is_refused_and_nothing_written),
    (NanTaken, contract.test_bad_record_is_refused_and_nothing_written),
    (DeletesLie, contract.test_delete_counts_existing_records),
    (Undead, contract.test_delete_counts_existing_records),
    (CountLags, contract.test_upserted_record_is_found_at_once),
    (MissesChunkEnds, contract.test_iterate_sees_each_record_once_across_chunks),
    (RepeatsChunkEnds, contract.test_iterate_sees_each_record_once_across_chunks),
    (ReadsOnePage, contract.test_iterate_sees_each_record_once_across_chunks),
    (TakesAnyScore, contract.test_min_score_omits_lower_scores),
    (IgnoresCase, contract.test_nasty_ids_are_ids_like_others),
    (LendsItsOwn, contract.test_changes_to_returned_records_are_not_stored),
    (HalfRecall, indexes.test_index_finds_the_true_neighbors),
    (BlankWhileFlushing, contract.test_readers_beside_a_writer_see_whole_records),
    (Lenient, contract.test_opening_a_missing_collection_names_it),
    (Unnoticing, contract.test_creating_with_another_schema_names_the_difference),
    (ForgetsFingerprint, contract.test_fingerprint_and_schema_are_remembered),
    (IgnoresOffset, contract.test_pages_follow_each_other),
    (OffsetFromK, contract.test_pages_follow_each_other),
    (IgnoresPrefix, filters.test_prefix_compares_the_beginning_of_a_text),
    (PrefixAsPattern, filters.test_prefix_compares_the_beginning_of_a_text),
    (GlobStopsAtSlash, filters.test_folders_globs_and_nulls_select_paths),
    (FiltersNearestOnly, filters.test_folders_globs_and_nulls_select_paths),
    (FiltersNearestOnly, filters.test_filter_applies_before_k),
    (IgnoresItsOwnPart, filters.test_any_tree_matches_the_reference),
    (NullOnlyIfMissing, filters.test_folders_globs_and_nulls_select_paths),
    (ForgetsToIndex, indexes.test_index_finds_the_true_neighbors),
    (StaleAlias, contract.test_alias_moves_between_collections),
    (AliasAsCopy, contract.test_alias_moves_between_collections),
    (DropsThroughAliases, contract.test_alias_is_dropped_with_its_collection),
    (MovesAliasInTwoSteps, contract.test_readers_of_an_alias_never_miss_it_while_it_moves),
    (IgnoresFieldNames, contract.test_fields_of_other_names_are_read_as_path_and_label),
    (WritesToForeign, contract.test_collection_of_another_program_is_read_and_never_written),
    (DeletesFromForeign, contract.test_collection_of_another_program_is_read_and_never_written),
    (CreatesForeign, contract.test_collection_of_another_program_is_read_and_never_written),
    (TakesForeignForOwn, contract.test_collection_of_another_program_is_read_and_never_written),
    (NeverWritesToForeign, contract.test_collection_of_another_program_is_written_on_request),
    (ForgetsToDrop, contract.test_drop_deletes_all_records),
    (DeclaresForNewRecords, contract.test_added_fields_are_filtered_and_hold_zeros_in_old_records),
    (HoldsOnToTheDropped, contract.test_open_collection_continues_after_it_was_created_again),
    (TakesAnySuccessor, contract.test_open_collection_refuses_another_one_of_its_name),
]
TESTS = [
    test
    for module in (bits, contract, filters, indexes)
    for name, test in vars(module).items()
    # memory does not survive the process
    if name.startswith("test_") and name != "test_records_outlive_the_connection_on_disk"
]


def store_of(liar: type) -> Backend:
    """Return a private memory store with the fault, or with faulty collections."""
    store_class = liar if issubclass(liar, Backend) else SharedStore

    class Lying(store_class):  # type: ignore[misc, valid-type]  # chosen at run time
        def create(self, name: str, schema: Schema) -> Collection:
            return lying(super().create(name, schema))

        def open(self, name: str) -> Collection:
            return lying(super().open(name))

    def lying(collection: Collection) -> Collection:
        if type(collection) is not MemoryCollection or not issubclass(liar, MemoryCollection):
            return collection
        liar_collection = liar(collection.name, collection._all)
        liar_collection.foreign = collection.foreign
        return liar_collection

    return Lying("memory://", token=None, timeout=1)


class StayingBench(Bench):
    """A bench that keeps its given store when reopened."""

    @override
    def reopen(self) -> None:
        return

    @override
    def foreign(self, *, dim: int = 4) -> str:
        assert isinstance(self.store, SharedStore)
        fields: dict[str, FieldType] = {"file": "str", "class": "str", "year": "int"}
        collection = self.collection(dim=dim, metric="l2", fields=fields)
        rows = [Record(str(n), unit(n, dim), row) for n, row in enumerate(FOREIGN, 1)]
        collection.upsert(rows)
        self.store.foreign_names.add(collection.name)
        return collection.name

    @override
    def clear(self) -> None:
        self.store._close()


def failures(store: Backend, test: Callable[..., None]) -> list[str]:
    """Run a contract test, with each of its parameters, and return its errors."""
    errors = []
    for values in arguments(test):
        bench = StayingBench("memory", "memory://", store)
        try:
            test(bench, **values)
        except (AssertionError, LookupError, SchemaMismatch, pytest.fail.Exception) as error:
            errors.append(repr(error)[:200])
    return errors


def arguments(test: Callable[..., None]) -> list[dict[str, Any]]:
    """Return the arguments that pytest.mark.parametrize passes to `test`."""
    calls: list[dict[str, Any]] = [{}]
    for mark in getattr(test, "pytestmark", []):
        names, values = mark.args[0], mark.args[1]
        split = [names] if isinstance(names, str) and "," not in names else list(names)
        rows = [dict(zip(split, v if len(split) > 1 else [v], strict=True)) for v in values]
        calls = [{**call, **row} for call in calls for row in rows]
    return calls


@pytest.mark.parametrize(("liar", "test"), CAUGHT, ids=lambda it: it.__name__)
def test_contract_catches_a_faulty_store(liar: type, test: Callable[..., None]) -> None:
    assert failures(store_of(liar), test)


@pytest.mark.parametrize("test", TESTS, ids=lambda it: it.__name__)
def test_correct_store_passes(test: Callable[..., None]) -> None:
    assert failures(store_of(SharedStore), test) == []


@pytest.mark.parametrize(
    "test",
    [test for name, test in vars(filters).items() if name.startswith("test_")],
    ids=lambda it: it.__name__,
)
def test_store_without_conditions_passes(test: Callable[..., None]) -> None:
    assert failures(store_of(TranslatesNothing), test) == []
