"""Unique images in a dataset: equal files count once, and contradictory labels are noted."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from imgsearch.datasets.dataset import Item
from imgsearch.text import counted

_NAMED: Final = 5  # contradictions noted one by one


class UniqueImages:
    """The first item for each content id, and notes about equal items with other labels."""

    def __init__(self, root: Path, items: Iterable[tuple[str, Item]] = ()) -> None:
        self._root = root
        self._first: dict[str, Item] = {}
        self._notes: dict[str, None] = {}
        for id_, item in items:
            self.add(id_, item)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._first

    def add(self, id_: str, item: Item) -> bool:
        """Add an item. Returns True if no earlier item has the same content."""
        first = self._first.setdefault(id_, item)
        self._compare(item, first, "which comes first and counts")
        return first is item

    def labels(self) -> dict[str, frozenset[str]]:
        """Return the label of the first item for each content id, as a set of one."""
        return {id_: frozenset({item.label}) for id_, item in self._first.items()}

    def check_query(self, id_: str, item: Item) -> None:
        """Add a note if the gallery holds the query's content with another label."""
        if id_ in self._first:
            self._compare(item, self._first[id_], "in the gallery")

    def add_notes(self, other: "UniqueImages") -> None:
        """Add the notes of `other`."""
        self._notes |= other._notes

    def notes(self) -> Iterator[str]:
        """Yield a sentence for each of the first five contradictions, and one for the rest."""
        yield from list(self._notes)[:_NAMED]
        if (more := len(self._notes) - _NAMED) > 0:
            images = counted(more, "more image has", "more images have")
            yield f"{images} another label than an equal one."

    def _compare(self, item: Item, first: Item, why: str) -> None:
        if item.label != first.label:
            self._notes[
                f"{self._name(item)} is {item.label!r}, but the same image {self._name(first)} "
                f"is {first.label!r}, {why}."
            ] = None

    def _name(self, item: Item) -> str:
        inside = item.path.is_relative_to(self._root)
        return str(item.path.relative_to(self._root) if inside else item.path)
