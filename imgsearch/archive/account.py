"""What one addition to an archive has done so far, told to its caller at each change."""

from collections.abc import Callable
from typing import Final

from imgsearch.archive.outcomes import Stages
from imgsearch.loading import Candidate, FailedFile, Outcome, contradiction

_KEPT: Final = 1_000  # failures and notes that the outcome keeps; all failures are counted and told


class Account:
    """Counts of one addition; used from one thread."""

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

    def tell(self, **more: int) -> None:
        """Add to stages, and report them."""
        self.stages = self.stages.plus(**more)
        self._on_stages(self.stages)

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count images with this outcome."""
        if number:
            self.tell(**{outcome: number})

    def failed(self, failed: FailedFile) -> None:
        """Count an image that did not go in."""
        if len(self.failures) < _KEPT:
            self.failures.append(failed)
        self._on_failure(failed)
        self.tell(failed=1)

    def contradict(self, file: Candidate, label: str, known_path: Callable[[], str]) -> None:
        """Note that an image was added before with another label, which counts."""
        if len(self.notes) < _KEPT:
            self.notes.append(contradiction(file, label, known_path()))
