"""Changes the model of an archive's collection: images are embedded anew from their originals."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from imgsearch.archive.archive import Archive
from imgsearch.archive.priority import Traffic
from imgsearch.catalog import State
from imgsearch.errors import ImgSearchError, MigrationIncomplete
from imgsearch.library.ingest import Ingest, Pace
from imgsearch.library.migration import Migration, MigrationOptions, MigrationReport, recipe_of
from imgsearch.library.progress import Progress
from imgsearch.library.stored_files import file_fault, read_file
from imgsearch.types import Failure, Record

_LARGEST: Final = 64  # images embedded at once, so that a search waits a second at most
_WHILE_BUSY: Final = 16  # images embedded at once while searches need the processor
_STATES: Final[tuple[State, ...]] = ("pending", "ready")


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """The model of a migration that runs as a job, and how it ends.

    `switch` and `skip_missing` are as for `MigrationOptions`. With `drop_former`, former
    collections are deleted after the switch.
    """

    model: str
    switch: bool = False
    skip_missing: bool = False
    drop_former: bool = False


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


def migration_of(
    archive: Archive, collection: str, *, canceled: Callable[[], bool] = lambda: False
) -> Migration:
    """Return the versions of a collection. A migration reads originals, and yields to searches.

    Raises:
        CollectionNotFound: the collection does not exist.
        SchemaMismatch: another program created the collection, or it has no fingerprint.
    """

    def read_original(record: Record) -> bytes:
        rows = archive.catalog.of_contents(collection, [record.id], states=_STATES)
        if not rows.get(record.id):  # from before the library became part of the archive
            return read_file(record)
        return b"".join(archive.original(rows[record.id][0].id).parts or ())

    def fault(record: Record) -> ImgSearchError | None:
        rows = archive.catalog.of_contents(collection, [record.id], states=_STATES)
        if rows.get(record.id) and rows[record.id][0].stored:
            return None
        return file_fault(record)

    ingest = partial(
        Ingest,
        largest=_LARGEST,
        largest_while_busy=_WHILE_BUSY,
        pace=_Yielding(archive.traffic, canceled),
        canceled=canceled,
    )
    return archive.existing(collection).migration(
        read_image=read_original, fault=fault, ingest=ingest, canceled=canceled
    )


def migrate(
    archive: Archive,
    collection: str,
    request: MigrationRequest,
    *,
    canceled: Callable[[], bool],
    on_progress: Callable[[Progress], None],
    on_failure: Callable[[Failure], None],
) -> MigrationReport:
    """Change the model of a collection, for a job.

    Raises:
        MigrationIncomplete: images cannot be embedded anew.
        ImgSearchError: as for `Library.migrate`.
    """
    migration = migration_of(archive, collection, canceled=canceled)
    options = MigrationOptions(request.switch, request.skip_missing)
    report = migration.run(
        recipe_of(request.model), options, on_progress=on_progress, on_failure=on_failure
    )
    if canceled():
        return report
    if request.switch and not report.switched:
        raise MigrationIncomplete(report.load.notes[-1])
    if request.drop_former and report.switched:
        migration.drop_former()
    return report
