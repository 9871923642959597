"""Stores that are read-only: every write raises the same error."""

from abc import abstractmethod
from collections.abc import Sequence

from typing_extensions import override

from imgsearch.backends.base import VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.schema import Schema
from imgsearch.errors import StoreReadOnly
from imgsearch.types import Record


class ReadOnlyBackend(VectorBackend):
    """A store that refuses all writes."""

    @property
    @abstractmethod
    def refusal(self) -> StoreReadOnly:
        """The error of all writes."""

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        raise self.refusal

    @override
    def drop(self, name: str) -> None:
        self.open(name)
        raise self.refusal

    @override
    def set_alias(self, alias: str, name: str) -> None:
        raise self.refusal

    @override
    def _declare(self, collection: Collection, schema: Schema) -> None:
        raise self.refusal


class ReadOnlyCollection(Collection):
    """A collection that refuses all writes by the error `refusal`."""

    refusal: StoreReadOnly

    @property
    @override
    def keeps_notes(self) -> bool:
        return False

    @override
    def flush(self) -> None:
        """Do nothing, because nothing is written."""

    @override
    def require_own(self) -> None:
        raise self.refusal

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        raise self.refusal

    @override
    def _delete(self, ids: Sequence[str]) -> None:
        raise self.refusal
