"""The outcome of each content of one load: further files of a content share that of its first."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeAlias

from imgsearch import sources
from imgsearch.loading import Candidate, FailedFile, Outcome

_Outcome: TypeAlias = str | FailedFile | None
"""Why a content failed, or the label that was stated for it, None for no statement."""


class Counter(Protocol):
    """Counts the outcomes of files, as `Tally` does."""

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count files with this outcome."""

    def failed(self, failed: FailedFile) -> None:
        """Count a file that did not go in."""

    def contradict(self, file: Candidate, label: str, known_path: Callable[[], str]) -> None:
        """Note a file that states another label than `label`, which counts for its content."""


class Ledger:
    """Decides what the files of one load count for, whatever the chunks they are read in.

    The first file of a content decides; a later one fails with it, or is skipped. Where the first
    states no label, the first label that a later file states is written. Some 130 bytes of memory
    a content. `known_path` returns the path of a content that was written.
    """

    def __init__(self, counter: Counter, known_path: Callable[[str], str]) -> None:
        self._counter, self._known_path = counter, known_path
        self._settled: dict[bytes, _Outcome] = {}
        self._waiting: dict[str, list[Candidate]] = {}  # later files of unsettled contents

    def firsts(self, files: Iterable[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """Return the first file of each new content, and later files whose label is to be written.

        Every content that is returned first has to be settled.
        """
        firsts: list[Candidate] = []
        labelled: list[Candidate] = []
        for file in files:
            if _key(file) in self._settled:
                labelled += self._repeat(file)
            elif file.id in self._waiting:
                self._waiting[file.id].append(replace(file, data=b""))  # may wait long
            else:
                self._waiting[file.id] = []
                firsts.append(file)
        return firsts, labelled

    def is_open(self, file: Candidate) -> bool:
        """Return whether the content's first file has no outcome yet."""
        return file.id in self._waiting

    def settle(self, file: Candidate, failure: FailedFile | None = None) -> list[Candidate]:
        """Note the outcome of a content's first file; return later ones with a label to write."""
        self._settled[_key(file)] = file.label if failure is None else failure
        repeats = self._waiting.pop(file.id)
        return [labelled for repeat in repeats for labelled in self._repeat(repeat)]

    def _repeat(self, file: Candidate) -> list[Candidate]:
        """Count a later file of a settled content, or return it if its label is to be written."""
        outcome = self._settled[_key(file)]
        if isinstance(outcome, FailedFile):
            self._counter.failed(_renamed(outcome, sources.printable(file.path)))
        elif file.label is None or file.label == outcome:
            self._counter.count("skipped")
        elif outcome is None:
            self._settled[_key(file)] = file.label
            return [file]
        else:
            self._counter.contradict(file, outcome, lambda: self._known_path(file.id))
            self._counter.count("skipped")
        return []


def _key(file: Candidate) -> bytes:
    return bytes.fromhex(file.id)[:16]  # half of a sha256 tells contents apart


def _renamed(failure: FailedFile, path: str) -> FailedFile:
    """Return the failure of another file with the same content."""
    reason = failure.reason
    if reason.startswith(failure.path):
        reason = path + reason.removeprefix(failure.path)
    return FailedFile(path, failure.stage, failure.error, reason)
