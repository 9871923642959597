"""Outcomes of files that have the content of an earlier file in the same load."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Generic, TypeAlias, TypeVar

from imgsearch.images import sources
from imgsearch.library.progress import Candidate, Tally
from imgsearch.types import Failure

_Settled: TypeAlias = str | Failure | None
"""The failure or the label of a content. None if no file states a label."""

F = TypeVar("F", bound=Candidate)


class RepeatedFiles(Generic[F]):
    """Decides the outcome of every file of a load, independently of how files are chunked.

    The first file of each content decides. If it fails, later files with this content fail, too;
    otherwise they are skipped. If the first file states no label, the first label of a later file
    is written. Uses about 130 bytes of memory per content. `known_path` returns the stored path
    for a content id.
    """

    def __init__(self, tally: Tally, known_path: Callable[[str], str]) -> None:
        self._tally, self._known_path = tally, known_path
        self._settled: dict[bytes, _Settled] = {}
        self._waiting: dict[str, list[F]] = {}  # later files, by content id

    def firsts(self, files: Iterable[F]) -> tuple[list[F], list[F]]:
        """Return the first file of each new content, and later files whose label must be written.

        The caller must call `settle` for each first file.
        """
        firsts: list[F] = []
        relabeled: list[F] = []
        for file in files:
            if _key(file) in self._settled:
                relabeled += self._repeat(file)
            elif file.id in self._waiting:
                # the bytes are dropped, as many repeats may wait for one slow file
                self._waiting[file.id].append(replace(file, data=b""))
            else:
                self._waiting[file.id] = []
                firsts.append(file)
        return firsts, relabeled

    def is_open(self, file: F) -> bool:
        """Return whether the first file with this content has no outcome yet."""
        return file.id in self._waiting

    def settle(self, file: F, failure: Failure | None = None) -> list[F]:
        """Record the outcome of a first file; return later files whose label must be written."""
        self._settled[_key(file)] = file.label if failure is None else failure
        repeats = self._waiting.pop(file.id)
        return [relabeled for repeat in repeats for relabeled in self._repeat(repeat)]

    def _repeat(self, file: F) -> list[F]:
        """Count a later file with settled content, or return it if its label must be written."""
        settled = self._settled[_key(file)]
        if isinstance(settled, Failure):
            self._tally.failed(_renamed(settled, sources.printable(file.path)))
        elif file.label is None or file.label == settled:
            self._tally.count("skipped")
        elif settled is None:
            self._settled[_key(file)] = file.label
            return [file]
        else:
            self._tally.contradict(file, settled, lambda: self._known_path(file.id))
            self._tally.count("skipped")
        return []


def _key(file: Candidate) -> bytes:
    return bytes.fromhex(file.id)[:16]  # half of a sha256 is enough to avoid collisions


def _renamed(failure: Failure, path: str) -> Failure:
    """Return the failure for another file with the same content."""
    reason = failure.reason
    if reason.startswith(failure.path):
        reason = path + reason.removeprefix(failure.path)
    return Failure(path, failure.stage, failure.error, reason)
