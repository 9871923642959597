"""Counts the stages of an addition to an archive, and collects failures and notes."""

from collections.abc import Callable
from typing import Final

from imgsearch.archive.outcomes import Stages
from imgsearch.library.progress import Candidate, FailedFile, Outcome, contradiction

_KEPT: Final = 1_000  # failures and notes in a result; all failures are counted and reported


class StageCounter:
    """Counts images by stage and reports each change. Not thread-safe."""

    def __init__(
        self,
        *,
        on_stages: Callable[[Stages], None],
        on_failure: Callable[[FailedFile], None],
    ) -> None:
        self._on_stages, self._on_failure = on_stages, on_failure
        self.stages = Stages()
        self.failures: list[FailedFile] = []
        self.notes: list[str] = []

    def add(self, **counts: int) -> None:
        """Add to the counts by stage, and report the new counts."""
        self.stages = self.stages.plus(**counts)
        self._on_stages(self.stages)

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count images with this outcome."""
        if number:
            self.add(**{outcome: number})

    def failed(self, failed: FailedFile) -> None:
        """Count an image that was not added."""
        if len(self.failures) < _KEPT:
            self.failures.append(failed)
        self._on_failure(failed)
        self.add(failed=1)

    def contradict(self, file: Candidate, label: str, known_path: Callable[[], str]) -> None:
        """Note that an image was added earlier with another label, which is kept."""
        if len(self.notes) < _KEPT:
            self.notes.append(contradiction(file, label, known_path()))
