"""The catalog: image metadata, jobs and API keys in SQLite, MySQL or MariaDB."""

from imgsearch.catalog.entry import (
    MAX_LABEL,
    MAX_NAME,
    ORDERS,
    Deletion,
    Entry,
    Order,
    Page,
    Place,
    State,
    Video,
    entry_id,
)
from imgsearch.catalog.job import Job, JobFailurePage, JobKind, JobPage, JobStateName
from imgsearch.errors import MissingExtra

try:
    from imgsearch.catalog.catalog import Catalog
    from imgsearch.catalog.keys import KeyRow
except ModuleNotFoundError as error:
    if error.name not in ("sqlalchemy", "alembic"):
        raise
    raise MissingExtra(
        f"the catalog needs {error.name}", extra="service", name=error.name
    ) from error

__all__ = [
    "MAX_LABEL",
    "MAX_NAME",
    "ORDERS",
    "Catalog",
    "Deletion",
    "Entry",
    "Job",
    "JobFailurePage",
    "JobKind",
    "JobPage",
    "JobStateName",
    "KeyRow",
    "Order",
    "Page",
    "Place",
    "State",
    "Video",
    "entry_id",
]
