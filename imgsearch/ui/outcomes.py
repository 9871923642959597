"""HTML of the progress and the outcome of an addition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imgsearch.library.progress import Progress
from imgsearch.types import Failure
from imgsearch.ui.gallery import notice, progress, table

SHOWN: Final = 200
"""The failures in a table, which is followed by the number of the rest."""

_FAILURES: Final = ("Name", "Stage", "Reason")


def bar(now: Progress) -> str:
    """Return a progress bar with counts."""
    counts = f"{now.done} of {now.found}: {now.decoded} decoded, {now.embedded} embedded"
    return progress(now.done, now.found, counts)


def sentence(now: Progress, *, state: str = "done", more: str = "") -> str:
    """Return the outcome of an addition as a notice, with `more` counts."""
    parts = [f"{now.added} added"]
    parts += [f"{now.updated} updated"] * bool(now.updated)
    parts += [f"{now.skipped} already in the collection"] * bool(now.skipped)
    parts += [f"{now.failed} failed"] * bool(now.failed)
    parts += [more] * bool(more)
    ending = "" if state == "done" else f" The job is {state}."
    return notice(f"{', '.join(parts)}.{ending}", kind="warning" if now.failed else "note")


def failure_table(failed: Sequence[Failure]) -> str:
    """Return a table of failures, "" without any."""
    if not failed:
        return ""
    rows = [_cells(failure) for failure in failed]
    more = len(rows) - SHOWN
    return table(_FAILURES, rows[:SHOWN]) + notice(f"and {more} more" if more > 0 else "")


def _cells(failure: Failure) -> tuple[str, str, str]:
    """Return a failure's table cells. The reason does not repeat name and stage."""
    reason = failure.reason.removeprefix(f"{failure.path}: ")
    reason = reason.removesuffix(f" (stage: {failure.stage})")
    return Path(failure.path).name, failure.stage, reason or failure.error
