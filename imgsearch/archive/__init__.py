"""Originals, catalogue and vectors in step: what the service and the page translate."""

from imgsearch.archive.archive import Archive
from imgsearch.archive.incoming import Incoming
from imgsearch.archive.jobs import Jobs
from imgsearch.archive.opening import opened
from imgsearch.archive.outcomes import (
    Added,
    CollectionState,
    Counts,
    Found,
    Original,
    Repaired,
    Stages,
)

__all__ = [
    "Added",
    "Archive",
    "CollectionState",
    "Counts",
    "Found",
    "Incoming",
    "Jobs",
    "Original",
    "Repaired",
    "Stages",
    "opened",
]
