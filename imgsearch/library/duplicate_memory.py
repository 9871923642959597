"""What de-duplication remembers about a collection, in logs of the store's notes.

- pairs of images that a user keeps apart, because they are not duplicates
- comparisons of files, which are valid as long as both files have the same size and time
- measurements of thresholds, also failed ones, which are valid as long as nine of ten images are
  the same

The signatures of files are in `signature_memory`. A model change and a copy carry over all but the
measurements of another encoder, whose scores differ.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from imgsearch.backends import Collection, VectorBackend
from imgsearch.backends.note_log import MAX_PART, NoteLog
from imgsearch.errors import ImageNotFound
from imgsearch.filters import Field
from imgsearch.images.sources import printable
from imgsearch.library import signature_memory
from imgsearch.library.progress import absolute
from imgsearch.text import load_json

Pair: TypeAlias = frozenset[str]
"""The ids of two images."""

_SKETCH: Final = 128  # smallest ids, by which two sets of images are compared
_COMPARED: Final = 100_000  # comparisons, the latest ones: 20 MB
_SAME: Final = 0.9  # share of equal images up to which a measurement is used


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two files. `full` is False if only their signatures were compared."""

    verdict: str
    reason: str
    full: bool


class DuplicateMemory:
    """What de-duplication remembers about a collection. Not thread-safe.

    A collection that keeps no notes remembers nothing; see `Collection.keeps_notes`.
    """

    def __init__(self, store: VectorBackend, collection: Collection) -> None:
        self._collection = collection
        self._writable = collection.keeps_notes
        self._apart = NoteLog(store, collection, "apart")
        self._compared = NoteLog(store, collection, "compared")
        self._measured = NoteLog(store, collection, "measured")
        self._signatures = NoteLog(store, collection, signature_memory.KIND)

    def apart(self) -> set[Pair]:
        """Return the pairs that are not duplicates."""
        return {frozenset(pair) for pair in _lines(self._apart) if _is_pair(pair)}

    def keep_apart(self, one: str, other: str) -> Pair:
        """Remember that two images, by id or path, are not duplicates; return their ids.

        Raises:
            ImageNotFound: the collection has no such image, or both are the same.
            SchemaMismatch: another program created the collection.
        """
        pair = self._pair(one, other)
        self._write(self._apart, [sorted(known) for known in self.apart() | {pair}])
        return pair

    def forget_apart(self, one: str, other: str) -> bool:
        """Forget that two images are not duplicates; return whether it was remembered.

        Raises: as for `keep_apart`.
        """
        known, pair = self.apart(), self._pair(one, other)
        if pair not in known:
            return False
        self._write(self._apart, [sorted(other) for other in known - {pair}])
        return True

    def compared(self) -> dict[tuple[str, str], Comparison]:
        """Return the comparisons, by the identities of both files; see `identity_of`."""
        return {
            (line[0], line[1]): Comparison(str(line[2]), str(line[3]), bool(line[4]))
            for line in _lines(self._compared)
            if isinstance(line, list) and len(line) == 5
        }

    def keep_compared(self, compared: Mapping[tuple[str, str], Comparison]) -> None:
        """Replace the comparisons. Nothing is written for another program's collection."""
        if self._writable:
            lines = [[*pair, one.verdict, one.reason, one.full] for pair, one in compared.items()]
            self._write(self._compared, lines[-_COMPARED:])

    def take(self, former: "DuplicateMemory") -> None:
        """Add what was remembered of a former collection with the same images.

        Pairs, comparisons and signatures hold for every encoder, because they are about files. A
        measurement names its encoder.
        """
        apart, compared = former.apart(), former.compared()
        if apart - self.apart():
            pairs = self.apart() | apart
            self._write(self._apart, sorted(sorted(pair) for pair in pairs))
        if compared:
            self.keep_compared({**compared, **self.compared()})
        for log, old in (
            (self._measured, former._measured),
            (self._signatures, former._signatures),
        ):
            if log.head() is None and (head := old.head()) and (parts := old.parts(head)):
                self._collection.require_own()
                log.replace(parts, head.facts)

    def measured(self, wanted: Mapping[str, Any], ids: Iterable[str]) -> dict[str, Any] | None:
        """Return a measurement for the arguments `wanted`, if it was made on these images.

        Returns None if fewer than nine of ten images are the same.
        """
        lines = list(_lines(self._measured))
        sketch = _sketch(ids)
        for line in lines:
            if isinstance(line, dict) and line.get("wanted") == wanted:
                known = set(line.get("images", ()))
                union = sorted(known | set(sketch))[:_SKETCH]
                shared = known & set(sketch) & set(union)
                if union and len(shared) >= _SAME * len(union):
                    return dict(line["measured"])
        return None

    def keep_measured(
        self, wanted: Mapping[str, Any], ids: Iterable[str], measured: Mapping[str, Any]
    ) -> None:
        """Keep a measurement for the arguments `wanted`, made on the images with these ids."""
        if not self._writable:
            return
        others = [
            line
            for line in _lines(self._measured)
            if isinstance(line, dict) and line.get("wanted") != wanted
        ]
        new = {"wanted": dict(wanted), "images": _sketch(ids), "measured": dict(measured)}
        self._write(self._measured, [*others[-9:], new])

    def _pair(self, one: str, other: str) -> Pair:
        pair = frozenset((self._id(one), self._id(other)))
        if len(pair) == 1:
            raise ImageNotFound(f"{one!r} and {other!r} are the same image: name two images")
        return pair

    def _id(self, target: str) -> str:
        """Return the id of an image, given its id or the path of its file."""
        if target in self._collection.get([target]):
            return target
        path = printable(absolute(target))
        rows = self._collection.iterate(where=Field("path") == path, vectors=False)
        if (row := next(iter(rows), None)) is None:
            raise ImageNotFound(
                f"no image in {self._collection.name!r} has the id or path {target!r}"
            )
        return row.id.partition("#")[0]

    def _write(self, log: NoteLog, lines: Sequence[Any]) -> None:
        self._collection.require_own()
        log.replace(list(_parts(lines)), {})


def identity_of(id_: str, path: str) -> str | None:
    """Return what identifies a file in comparisons: its image's id, size and time.

    Returns None if it does not exist.
    """
    try:
        state = os.stat(path)  # noqa: PTH116 - any text may be a path
    except (OSError, ValueError):
        return None
    return f"{id_[:32]} {state.st_size} {state.st_mtime_ns}"


def _sketch(ids: Iterable[str]) -> list[str]:
    """Return the smallest ids. Similar sets have similar smallest ids.

    Source: Broder, On the resemblance and containment of documents, SEQUENCES 1997; ids are content
    hashes, so they are random.
    """
    return sorted({id_.partition("#")[0][:16] for id_ in ids})[:_SKETCH]


def _parts(lines: Sequence[Any]) -> Iterator[str]:
    part: list[str] = []
    size = 0
    for line in lines:
        text = json.dumps(line)
        length = len(json.dumps(text))  # with quotes escaped, as it lies in the note
        if size + length > MAX_PART and part:
            yield "\n".join(part)
            part, size = [], 0
        part.append(text)
        size += length
    if part:
        yield "\n".join(part)


def _lines(log: NoteLog) -> Iterator[Any]:
    head = log.head()
    if head is None:
        return
    for part in log.parts(head) or ():
        for line in part.splitlines():
            try:
                yield load_json(line)
            except ValueError:
                continue


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(isinstance(id_, str) for id_ in value)
    )
