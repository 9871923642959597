"""Runs the shards of a job by an engine, and counts their outcomes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imgsearch.backends.vectors.folder import TRIES, ShardOutcome
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.jobs.engines import Engine
from imgsearch.jobs.listing import Listing
from imgsearch.jobs.shard import ShardWork
from imgsearch.library.progress import Progress, Report, Tally
from imgsearch.text import counted
from imgsearch.types import Failure

_LOSSES: Final = 10  # times that one run starts a shard whose worker dies

_SUMMED: Final = ("added", "skipped", "failed", "updated", "decoded", "embedded")


@dataclass
class JobRun:
    """A run of the shards that are not done."""

    job: JobWriter
    work: ShardWork
    engine: Engine
    listing: Listing

    def run(
        self,
        on_progress: Callable[[Progress], None] | None,
        on_failure: Callable[[Failure], None] | None,
    ) -> Report:
        """Run the shards; return the report. Images of shards that are done count as skipped.

        Raises:
            ImgSearchError: an error of the planner, or one that every shard would have.
        """
        before = self.job.shards()
        earlier = sum(self.job.outcome(shard).sources for shard in before)

        def show(now: Progress) -> None:
            if on_progress is not None:
                listed = earlier + self.listing.listed
                on_progress(replace(now, found=max(now.found, listed, now.done)))

        tally = Tally(earlier, show, on_failure)
        tally.count("skipped", earlier)
        try:
            with self.engine.connected():  # one for all rounds
                self._run_all(self.listing.shards(), tally, show)
        finally:
            self.listing.stop()
        for sentence in (*self.listing.notes, *self._notes(len(before), tally.now)):
            tally.note(sentence)
        tally.count("ignored", self.listing.ignored)
        return tally.report()

    def _run_all(
        self, shards: Iterator[int], tally: Tally, show: Callable[[Progress], None]
    ) -> None:
        """Run shards until they are done or given up. A shard whose worker died runs again."""
        losses = Counter[int]()
        while True:
            lost = []

            def on_progress(now: Progress) -> None:
                sums = {name: getattr(now, name) + getattr(tally.now, name) for name in _SUMMED}
                show(replace(tally.now, **sums))

            for shard, outcome in self.engine.map(self.work, shards, on_progress):
                if outcome is None:
                    lost.append(shard)
                else:
                    self._count(shard, outcome, tally)
                tally.report_progress()
            losses.update(lost)
            again = [
                shard
                for shard in lost
                if losses[shard] < _LOSSES and not self.job.is_given_up(shard)
            ]
            if not again:
                return
            shards = iter(again)

    def _count(self, shard: int, outcome: ShardOutcome, tally: Tally) -> None:
        tally.count("found", outcome.sources)
        tally.count("added", outcome.rows)
        tally.count("embedded", outcome.rows)
        tally.count("skipped", outcome.skipped)
        for failure in self.job.failures([shard]):
            tally.failed(failure)

    def _notes(self, before: int, now: Progress) -> Iterator[str]:
        progress = self.job.progress()
        if progress.is_complete and not (now.added or now.failed):
            yield f"nothing to do: {counted(before, 'shard is', 'shards are')} done"
        if progress.abandoned:
            yield abandoned(self.job, progress.abandoned)


def abandoned(job: JobWriter, shards: Sequence[int]) -> str:
    """Return a sentence about shards that were given up."""
    names = ", ".join(f"{shard:06}" for shard in shards[:5]) + ", …" * (len(shards) > 5)
    number = counted(len(shards), "shard was", "shards were")
    return (
        f"{number} given up, because {TRIES} attempts died at the same place: {names}. To try "
        f"again: imgsearch embed --to {job.files.title} --retry"
    )
