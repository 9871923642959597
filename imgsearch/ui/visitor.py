"""What the visitor of the page may use, by the API key in the sign-in cookie."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from imgsearch.archive import Archive, Jobs, KeyRow, LimitedArchive, LimitedJobs
from imgsearch.archive.limited import denied

Check: TypeAlias = Callable[[str, str], KeyRow | None]
"""Called with an API key and a scope; returns the key, or None for one without a limit.

Raises `AccessDenied` unless the key has the scope.
"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """An archive and its jobs, limited to the collections of the visitor's key.

    `collections` are their names, None without a limit. `jobs` is None if folders cannot be added.
    """

    archive: Archive
    jobs: Jobs | None = None
    collections: tuple[str, ...] | None = None

    @classmethod
    def of(cls, key: KeyRow | None, archive: Archive, jobs: Jobs | None = None) -> Self:
        """Return the visitor with a key, None for a page without keys."""
        if key is None or key.collections is None:
            return cls(archive, jobs)
        limited = LimitedArchive(archive, key.collections)
        limited_jobs = None if jobs is None else LimitedJobs(jobs, limited)
        return cls(limited, limited_jobs, key.collections)

    def require_all(self) -> None:
        """Check that the key is valid for all collections.

        Raises:
            CollectionDenied: it is limited to some.
        """
        if self.collections is not None:
            raise denied(self.collections, "all collections")


Require: TypeAlias = Callable[[Any, str], Visitor]
"""Called with a request and a scope; returns the visitor, or raises `AccessDenied`."""
