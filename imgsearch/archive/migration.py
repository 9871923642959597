"""Changes the model of an archive's collection: images are embedded anew from their originals."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from typing_extensions import override

from imgsearch.archive.archive import Archive
from imgsearch.archive.priority import Traffic
from imgsearch.backends import Collection
from imgsearch.catalog import Entry, State
from imgsearch.errors import ImgSearchError, MigrationIncomplete
from imgsearch.evaluation.model_comparison import SAMPLE, compare_models
from imgsearch.images.read_ahead import Early
from imgsearch.library.ingest import Ingest, Pace
from imgsearch.library.migration import Migration, MigrationOptions, MigrationReport, recipe_of
from imgsearch.library.progress import Progress
from imgsearch.library.stored_files import StoredFiles
from imgsearch.types import Failure, Record

_LARGEST: Final = 64  # images embedded at once, so that a search waits a second at most
_WHILE_BUSY: Final = 16  # images embedded at once while searches need the processor
_log = logging.getLogger(__name__)
_STATES: Final[tuple[State, ...]] = ("pending", "ready")


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """The model of a migration that runs as a job, and how it ends.

    `switch` and `skip_missing` are as for `MigrationOptions`. With `drop_former`, former
    collections are deleted after the switch. `sample` images are searched for with both models
    before the switch, to compare them; 0 compares none.
    """

    model: str
    switch: bool = False
    skip_missing: bool = False
    drop_former: bool = False
    sample: int = SAMPLE


@dataclass(frozen=True, slots=True)
class _Yielding(Pace):
    """Lets searches run between the parts of a migration."""

    traffic: Traffic
    canceled: Callable[[], bool]

    @property
    def busy(self) -> bool:
        """Whether searches need the processor now."""
        return self.traffic.busy

    def rest(self, worked: float) -> None:
        """Wait after `worked` seconds of work."""
        self.traffic.give_way(worked, self.canceled)


class _Originals(StoredFiles):
    """Reads the originals of a collection's images."""

    def __init__(self, archive: Archive, collection: str) -> None:
        self._archive, self._collection = archive, collection

    @override
    def read(self, record: Record) -> bytes:
        entry = self._entry(record)
        if entry is None:
            return super().read(record)
        return self._archive.picture(entry.id)

    @override
    def early(self, record: Record) -> Early | None:
        entry = self._entry(record)
        if entry is None:
            return super().early(record)
        if entry.original:  # a frame of a video, which is decoded to read it
            return None
        return Early(entry.size, partial(self._archive.picture, entry.id))

    @override
    def fault(self, record: Record) -> ImgSearchError | None:
        entry = self._entry(record)
        if entry is not None and entry.stored:
            return None
        return super().fault(record)

    def _entry(self, record: Record) -> Entry | None:
        """Return a catalog entry of an image.

        It is None for an image from before the library became part of the archive.
        """
        catalog = self._archive.catalog
        rows = catalog.of_contents(self._collection, [record.id], states=_STATES)
        entries = rows.get(record.id)
        return entries[0] if entries else None


def migration_of(
    archive: Archive,
    collection: str,
    *,
    canceled: Callable[[], bool] = lambda: False,
    on_filled: Callable[[Collection, Collection], None] | None = None,
) -> Migration:
    """Return the versions of a collection. A migration reads originals, and yields to searches.

    Raises:
        CollectionNotFound: the collection does not exist.
        SchemaMismatch: another program created the collection, or it has no fingerprint.
    """
    ingest = partial(
        Ingest,
        largest=_LARGEST,
        largest_while_busy=_WHILE_BUSY,
        pace=_Yielding(archive.traffic, canceled),
        canceled=canceled,
    )
    return archive.existing(collection).migration(
        files=_Originals(archive, collection),
        ingest=ingest,
        canceled=canceled,
        on_filled=on_filled,
    )


def migrate(
    archive: Archive,
    collection: str,
    request: MigrationRequest,
    *,
    canceled: Callable[[], bool],
    on_progress: Callable[[Progress], None],
    on_failure: Callable[[Failure], None],
    on_result: Callable[[Mapping[str, Any]], None],
) -> MigrationReport:
    """Change the model of a collection, for a job.

    `on_result` is called with the models, and with their comparison once all images are embedded.

    Raises:
        MigrationIncomplete: images cannot be embedded anew.
        ImgSearchError: as for `Library.migrate`.
    """
    result: dict[str, Any] = {"model": request.model, "comparison": None, "switched": False}

    def compare(former: Collection, new: Collection) -> None:
        result["comparison"] = _comparison(former, new, migration, request.sample)
        on_result(dict(result))

    migration = migration_of(archive, collection, canceled=canceled, on_filled=compare)
    options = MigrationOptions(request.switch, request.skip_missing)
    report = migration.run(
        recipe_of(request.model), options, on_progress=on_progress, on_failure=on_failure
    )
    result |= {"former_model": report.former_model, "missing": report.missing}
    on_result(result | {"model": report.model, "switched": report.switched})
    if canceled():
        return report
    if request.switch and not report.switched:
        raise MigrationIncomplete(report.load.notes[-1])
    if request.drop_former and report.switched:
        migration.drop_former()
    return report


def _comparison(
    former: Collection, new: Collection, migration: Migration, sample: int
) -> dict[str, Any] | None:
    """Return the comparison of the two models as JSON values; None if they cannot be compared."""
    if not sample:
        return None
    try:
        comparison = compare_models(former, new, sample=sample, read_image=migration.read_image)
    except ImgSearchError as error:  # e.g. fewer than two images
        _log.info("no comparison of the models: %s", error)
        return None
    values: dict[str, Any] = _finite(asdict(comparison))
    return values


def _finite(value: Any) -> Any:
    """Return JSON values with None for numbers that are not finite."""
    match value:
        case dict():
            return {name: _finite(item) for name, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value
