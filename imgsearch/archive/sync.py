"""Adds a folder to an archive, and keeps the archive in step with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, time_ns

from imgsearch.archive.analysis import Analysis
from imgsearch.archive.archive import Archive
from imgsearch.archive.clip_marks import ClipMarks, Replaced, path_of
from imgsearch.archive.clips import kept_moment
from imgsearch.archive.upload import Incoming, inside
from imgsearch.catalog import Entry
from imgsearch.errors import CollectionNotFound, ConfigError
from imgsearch.filters import composed
from imgsearch.images import metadata, sources, videos
from imgsearch.images.sampling import Sampling
from imgsearch.library.file_facts import lacking
from imgsearch.library.file_index import FileIndex, FileRead, FileStat, read_content
from imgsearch.library.progress import Progress, Report, SyncReport
from imgsearch.library.sync import doubtful_files, refuse
from imgsearch.library.sync_plan import Listing, Plan, below, named, reasons, removed_paths
from imgsearch.types import Failure

_KIND = "folders"  # the file index of archives
_SOURCE = "folder"  # of their catalog entries


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a folder is added to a collection.

    With `remove`, images whose files no longer exist are deleted; `dry_run` and `confirm` are as
    for `Library.sync`. With `in_place`, originals are not copied. `only` are the printable paths of
    the files to add, None for all. `exclude` is as for `Library.add`; `analysis` and `frames` are
    as for `Archive.add`.
    """

    collection: str = "images"
    remove: bool = True
    dry_run: bool = False
    confirm: bool = False
    in_place: bool = False
    only: frozenset[str] | None = None
    exclude: Sequence[str] = ()
    analysis: Analysis = field(default_factory=Analysis)
    frames: str | float | Sampling = 1.0


@dataclass
class ArchiveSync:
    """A sync of one folder. The callbacks are as for `Archive.add`."""

    archive: Archive
    options: SyncOptions = SyncOptions()
    canceled: Callable[[], bool] = lambda: False
    on_progress: Callable[[Progress], None] = lambda _progress: None
    on_failure: Callable[[Failure], None] = lambda _failure: None
    _stats: dict[str, FileStat | None] = field(default_factory=dict)
    _clips: ClipMarks = field(init=False)

    def __post_init__(self) -> None:
        self._clips = ClipMarks(Sampling.parse(self.options.frames))

    def run(self, folder: str | Path) -> SyncReport:
        """Add the folder's new and changed files, and delete images of files that do not exist.

        Unchanged files are not read, unless they were added without the metadata that the archive
        reads now. A file with other bytes replaces its image. A renamed file gets a new image id,
        and keeps the label and fields that a user has set. A video is one file: if it has changed
        or is gone, so have all its frames.

        Raises:
            SourceError: the folder is outside the archive's roots, or does not exist.
            ConfigError: `folder` is a list file.
            SyncRefused: as for `Library.sync`.
            EncoderError, BackendError, CatalogError, ObjectStoreError: as for `Archive.add`.
        """
        started, options = monotonic(), self.options
        root = inside(Path(folder), self.archive.roots)
        if not root.is_dir():
            raise ConfigError(f"{root.name} is a list, which cannot be synced. Sync folders.")
        listing, items = self._list(root)
        index = self._file_index()
        rows = [
            row
            for row in self.archive.catalog.places(options.collection, _SOURCE)
            if below(str(root), [path_of(row)])
        ]
        images = (row for row in rows if row.state == "ready" and not row.original)
        before = {row.place: row.content for row in images} | self._clips.stored(rows, index)
        known = self._known(items, before, index)
        removed = removed_paths(listing, before) if options.remove else []
        plan = self._plan(listing, before, known, removed, items, index)
        why = reasons(listing, before, plan) if options.remove else ()
        if options.dry_run:
            return _report(plan, listing, started, reasons=why, dry_run=True)
        refuse(() if options.confirm else why)
        known = self._known(items, before, index)
        again = self._lacking(index, known)
        settled = {place: content for place, content in known.items() if place not in again}
        chosen = [item for place, item in items.items() if place not in settled]
        report, entries = self._add(chosen, settled)
        self._index(index, entries, chosen)
        new = {entry.place: entry.content for entry in entries} | self._clips.marks
        contents = known | new
        after = {place: contents[place] for place in items if place in contents}
        plan = Plan.of_references(before, after, removed)
        replaced, renames = Replaced(rows, entries, after), dict[str, str]()
        old = [] if self.canceled() else replaced.removed(set(removed))
        if not self.canceled():
            renames = {path: place for place, path in plan.renames.items()}
        old += replaced.outdated()
        self._keep_values(replaced.successors(old, renames))
        self.archive.delete([row.id for row in old])
        return _report(plan, listing, started, loaded=report)

    def _file_index(self) -> FileIndex | None:
        """Return the index of the folders' files, or None if the collection does not exist."""
        try:
            return self.archive.existing(self.options.collection).file_index(_KIND)
        except CollectionNotFound:
            return None

    def _lacking(self, index: FileIndex | None, known: Mapping[str, str]) -> set[str]:
        """Return the unchanged files from which not all facts were read."""
        if index is None:
            return set()
        images = [content for content in known.values() if "@" not in content]
        contents = lacking(index, images, self._facts())
        return {place for place, content in known.items() if content in contents}

    def _facts(self) -> tuple[str, ...]:
        return self.archive.existing(self.options.collection).exif

    def _list(self, root: Path) -> tuple[Listing, dict[str, Incoming]]:
        """Return the listing of a folder, and its images by printable place."""
        ignored: list[str] = []
        unlisted: list[str] = []
        files = self.archive.folder(
            root,
            ignored.append,
            on_unlisted=unlisted.append,
            exclude=self.options.exclude,
            with_videos=videos.reads_folders(self._clips.sampling),
        )
        items = {sources.printable(item.place): item for item in files}
        labels = {place: item.label for place, item in items.items()}
        if self.options.only is not None:
            items = {place: item for place, item in items.items() if place in self.options.only}
        return Listing([str(root)], labels, (), unlisted, ignored), items

    def _plan(
        self,
        listing: Listing,
        before: Mapping[str, str],
        known: Mapping[str, str],
        removed: list[str],
        items: Mapping[str, Incoming],
        index: FileIndex | None,
    ) -> Plan:
        """Return the plan. Files are read if a dry run or the decision to refuse needs it."""
        options, plan = self.options, Plan.of_references(before, known, removed)
        unread = {place: item.place for place, item in items.items() if place not in known}
        doubtful = list(unread)
        if not options.dry_run:
            if options.confirm or not options.remove:
                return plan
            doubtful = doubtful_files(listing, before, plan, unread, index)
        contents = dict(known)
        for place in doubtful:
            path = unread[place]
            if items[place].is_video:
                content = self._clips.of_file(path)
            else:
                content = read_content(path) if index is None else index.read(path)
            if content is not None:
                contents[place] = content
        ordered = {place: contents[place] for place in items if place in contents}
        return Plan.of_references(before, ordered, removed)

    def _add(
        self, items: list[Incoming], known: Mapping[str, str]
    ) -> tuple[Report | None, tuple[Entry, ...]]:
        number = len(known)

        def update(now: Progress) -> None:
            self.on_progress(replace(now, found=now.found + number, skipped=now.skipped + number))

        update(Progress(len(items)))
        if not items:
            return None, ()
        added = self.archive.add(
            map(self._noted, items),
            collection=self.options.collection,
            found=len(items),
            in_place=self.options.in_place,
            background=True,
            analysis=self.options.analysis,
            frames=self._clips.sampling,
            on_video=self._clips.note,
            cancelled=self.canceled,
            on_progress=update,
            on_failure=self.on_failure,
        )
        return added.report, added.entries

    def _noted(self, item: Incoming) -> Incoming:
        """Return the item with a reader that notes the file's status."""
        if item.is_video:
            return item

        def read() -> bytes:
            now, stat = time_ns(), FileStat.of(item.place)
            self._stats[item.place] = None if stat is None else stat.settled(now)
            return sources.read(item.place)

        return replace(item, reader=read)

    def _index(
        self, index: FileIndex | None, entries: tuple[Entry, ...], items: Sequence[Incoming]
    ) -> None:
        """Save the contents of the files that were read."""
        index = index or self._file_index()
        if index is None:
            return
        contents = {entry.place: entry.content for entry in entries}
        for path, stat in self._stats.items():
            if (content := contents.get(sources.printable(path))) is not None:
                index.set(path, FileRead(content, stat))
                index.note_facts(content, self._facts(), path)
        self._clips.save(items, index)
        index.finish(self.archive.existing(self.options.collection).collection)

    def _keep_values(self, replaced: Mapping[str, Entry]) -> None:
        """Give new entries the labels and fields that a user has set in the old ones: id → new.

        Fields that were read from a file with other bytes are left out.
        """
        of_files: set[str] = set()
        if replaced:
            exif = self.archive.existing(self.options.collection).exif
            of_files = {*metadata.PLACES, *exif}
        for id_, old in self.archive.catalog.find(list(replaced)).items():
            new = replaced[id_]
            stated = sources.label_text(Path(old.place).parent.name)
            is_own = bool(old.label) and composed(old.label) != stated
            changed = of_files if old.content != new.content else ()
            kept = {k: v for k, v in old.fields.items() if k not in changed}
            fields = kept_moment({**new.fields, **kept}, new.fields)
            if is_own or fields != new.fields:
                self.archive.update(
                    new.id, label=old.label if is_own else None, fields=fields or None
                )

    def _known(
        self, items: Mapping[str, Incoming], before: Mapping[str, str], index: FileIndex | None
    ) -> dict[str, str]:
        """Return the contents of unchanged files by printable place."""
        known: dict[str, str] = {}
        for place, item in items.items():
            if place not in before:
                continue
            unchanged = self._clips.unchanged if item.is_video else _unchanged
            content = unchanged(item.place, index)
            if content is not None and before[place] == content and self._clips.is_current(content):
                known[place] = content
        return known


def _unchanged(path: str, index: FileIndex | None) -> str | None:
    return None if index is None else index.content(path, FileStat.of(path))


def _report(
    plan: Plan,
    listing: Listing,
    started: float,
    *,
    loaded: Report | None = None,
    reasons: tuple[str, ...] = (),
    dry_run: bool = False,
) -> SyncReport:
    lost = plan.lost_paths
    return SyncReport(
        added=plan.added,
        changed=plan.changed,
        renamed=len(plan.renames),
        deleted=len(lost),
        unchanged=plan.unchanged,
        failed=0 if loaded is None else loaded.failed,
        ignored=len(listing.ignored),
        updated=0 if loaded is None else loaded.updated,
        seconds=monotonic() - started,
        dry_run=dry_run,
        failures=() if loaded is None else loaded.failures,
        deleted_paths=named(lost),
        reasons=reasons,
        notes=() if loaded is None else loaded.notes,
    )
