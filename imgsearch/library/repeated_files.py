"""Outcomes of files that have the content of an earlier file in the same load."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeAlias

from imgsearch.images import sources
from imgsearch.library.progress import Candidate, FailedFile, Outcome

_Settled: TypeAlias = str | FailedFile | None
"""The failure or the label of a content. None if no file states a label."""


class OutcomeCounter(Protocol):
    """Interface for counting file outcomes, implemented by `Tally`."""

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count files with this outcome."""

    def failed(self, failed: FailedFile) -> None:
        """Count a file that was not added."""

    def contradict(self, file: Candidate, label: str, known_path: Callable[[], str]) -> None:
        """Note a file whose label differs from `label`, the one used for its content."""


class RepeatedFiles:
    """Decides the outcome of every file of a load, independently of how files are chunked.

    The first file of each content decides. If it fails, later files with this content fail, too;
    otherwise they are skipped. If the first file states no label, the first label of a later file
    is written. Uses about 130 bytes of memory per content. `known_path` returns the stored path
    for a content id.
    """

    def __init__(self, counter: OutcomeCounter, known_path: Callable[[str], str]) -> None:
        self._counter, self._known_path = counter, known_path
        self._settled: dict[bytes, _Settled] = {}
        self._waiting: dict[str, list[Candidate]] = {}  # later files, by content id

    def firsts(self, files: Iterable[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """Return the first file of each new content, and later files whose label must be written.

        The caller must call `settle` for each first file.
        """
        firsts: list[Candidate] = []
        relabeled: list[Candidate] = []
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

    def is_open(self, file: Candidate) -> bool:
        """Return whether the first file with this content has no outcome yet."""
        return file.id in self._waiting

    def settle(self, file: Candidate, failure: FailedFile | None = None) -> list[Candidate]:
        """Record the outcome of a first file; return later files whose label must be written."""
        self._settled[_key(file)] = file.label if failure is None else failure
        repeats = self._waiting.pop(file.id)
        return [relabeled for repeat in repeats for relabeled in self._repeat(repeat)]

    def _repeat(self, file: Candidate) -> list[Candidate]:
        """Count a later file with settled content, or return it if its label must be written."""
        settled = self._settled[_key(file)]
        if isinstance(settled, FailedFile):
            self._counter.failed(_renamed(settled, sources.printable(file.path)))
        elif file.label is None or file.label == settled:
            self._counter.count("skipped")
        elif settled is None:
            self._settled[_key(file)] = file.label
            return [file]
        else:
            self._counter.contradict(file, settled, lambda: self._known_path(file.id))
            self._counter.count("skipped")
        return []


def _key(file: Candidate) -> bytes:
    return bytes.fromhex(file.id)[:16]  # half of a sha256 is enough to avoid collisions


def _renamed(failure: FailedFile, path: str) -> FailedFile:
    """Return the failure for another file with the same content."""
    reason = failure.reason
    if reason.startswith(failure.path):
        reason = path + reason.removeprefix(failure.path)
    return FailedFile(path, failure.stage, failure.error, reason)
