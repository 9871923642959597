"""Sentences about the outcome of a load or a sync."""

from collections.abc import Mapping

from imgsearch.cli import show
from imgsearch.library.progress import Report, SyncReport
from imgsearch.text import counted

_SYNC = ("added", "changed", "renamed", "deleted", "unchanged")


def summary(verb: str, report: Report, *, place: str) -> str:
    """Return the outcome of a load into `place`: "Added 490 images in 24 s; 4 failed (…)".

    Numbers of zero are left out, except the first.
    """
    seen = report.added + report.updated + report.skipped + report.failed
    parts = {
        "updated": report.updated,
        f"skipped (already in {place})": report.skipped,
        _failed(report.failed): report.failed,
    }
    texts = [*_texts(parts), *_ignored(report.ignored)]
    first = f"{verb} {counted(report.added, 'image')} in {duration(report.seconds)}"
    return "; ".join([first if seen else "No images found", *([", ".join(texts)] if texts else [])])


def sync_summary(report: SyncReport) -> str:
    """Return the outcome of a sync, or of a dry run: "1 added, 2 deleted, 4 failed (listed below)".

    Numbers of zero are left out.
    """
    parts = {name: getattr(report, name) for name in _SYNC}
    parts["failed" if report.dry_run else _failed(report.failed)] = report.failed
    return ", ".join(_texts(parts)) or "no images found"


def duration(seconds: float) -> str:
    """Format a duration: "1.4 s", "24 s".

    >>> duration(1.44), duration(24.2)
    ('1.4 s', '24 s')
    """
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:,.0f} s"


def _failed(number: int) -> str:
    below = "listed below" if number <= show.LISTED else f"the first {show.LISTED} are listed below"
    return f"failed ({below})"


def _ignored(number: int) -> list[str]:
    return [f"{counted(number, 'other file')} ignored"] if number else []


def _texts(parts: Mapping[str, int]) -> list[str]:
    return [f"{number:,} {text}" for text, number in parts.items() if number]
