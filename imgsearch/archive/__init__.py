"""The archive: originals, catalog and vectors, kept in step. The service and the page use it."""

from imgsearch.archive.archive import Archive
from imgsearch.archive.jobs import Jobs
from imgsearch.archive.opening import opened, opened_keys
from imgsearch.archive.outcomes import (
    Added,
    CollectionState,
    Counts,
    Found,
    Original,
    Repaired,
    Stages,
)
from imgsearch.archive.upload import Incoming
from imgsearch.catalog import Entry, Job, JobFailure, KeyRow, Order, State

__all__ = [
    "Added",
    "Archive",
    "CollectionState",
    "Counts",
    "Entry",
    "Found",
    "Incoming",
    "Job",
    "JobFailure",
    "Jobs",
    "KeyRow",
    "Order",
    "Original",
    "Repaired",
    "Stages",
    "State",
    "opened",
    "opened_keys",
]
