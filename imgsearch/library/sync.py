"""Keeps a library in step with folders: adds, replaces, renames and removes images."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Protocol

from imgsearch.errors import SourceError, SyncRefused
from imgsearch.images import sources
from imgsearch.images.references import Reference
from imgsearch.images.sampling import NONE, Sampling
from imgsearch.images.videos import reads_folders
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.file_facts import lacking
from imgsearch.library.file_index import FileIndex, FileStat
from imgsearch.library.progress import Progress, Report, SyncReport, Tally, absolute
from imgsearch.library.sync_plan import Listing, Plan, below, named, reasons, removed_paths
from imgsearch.library.tracked_files import TrackedFiles, drop_paths
from imgsearch.library.video_frames import VideoFrames
from imgsearch.library.video_sync import VideoSync
from imgsearch.types import Failure

_ADVICE: Final = (
    "Check that the right drive is mounted. If the folder is right, confirm the sync "
    "(confirm=True, or --yes)."
)


class Load(Protocol):
    """Adds files to the library."""

    def __call__(
        self, references: Iterable[Reference], tally: Tally, files: TrackedFiles
    ) -> Report:
        """Add the files, and return the report of the load."""


@dataclass
class FolderSync:
    """A sync of folders with one collection. `own_labels`: a user's steps set the labels.

    `wanted` are the facts of `FileFacts` that are read, also from unchanged files without them.
    `sampling` are the frames of videos. `on_progress` and `on_failure` are as for `Library.add`.
    """

    handle: CollectionHandle
    load: Load
    wanted: frozenset[str] = frozenset()
    own_labels: bool = False
    on_progress: Callable[[Progress], None] | None = None
    on_failure: Callable[[Failure], None] | None = None
    on_ignored: Callable[[str], None] | None = None
    exclude: Sequence[str] = ()
    sampling: Sampling = NONE
    _failed: set[str] = field(default_factory=set)

    def run(
        self, folders: Sequence[str | os.PathLike[str]], *, dry_run: bool, confirm: bool
    ) -> SyncReport:
        """Sync the folders; see `Library.sync`."""
        started, collection = monotonic(), self.handle.current()
        reads = reads_folders(self.sampling)
        whole = list_folders(folders, self.exclude, with_videos=reads)
        frames = VideoFrames(self.handle, self.sampling) if reads else None
        listing, videos = VideoSync.split(whole, frames)
        self._report_ignored(listing)
        index = self._complete_index(listing)
        before = {path: file.content for path, file in index.files.items()}
        for root in listing.missing:
            if not below(root, [*before, *videos.before]):
                raise SourceError(f"{sources.printable(root)}: no such folder", path=root)
        known, unread = _known(listing, index)
        removed = removed_paths(listing, before)
        if dry_run:
            after = known | self._read(unread, index)
            plan = Plan.of(before, _ordered(listing, after), removed)
            report = self._report(plan, listing, started, before=before, dry_run=True)
            return videos.added_to(report)
        if not confirm:
            plan = Plan.of(before, known, removed)
            paths = {path: path for path in unread}
            if doubtful := doubtful_files(listing, before, plan, paths, index):
                contents = self._read(doubtful, index)
                plan = Plan.of(before, _ordered(listing, known | contents), removed)
                known, _ = _known(listing, index)
            refuse((*reasons(listing, before, plan), *videos.reasons))
        self._failed.clear()
        files = TrackedFiles(index, self.handle.exif)
        loaded = self._load(listing, known, files, videos.to_read)
        VideoFrames(self.handle, self.sampling).remove(videos.removed)
        deleted = self._remove(removed_paths(listing, before), index)
        if collection is not None:
            index.finish(collection)  # without a load, too
        failed = {path for path in listing.labels if sources.printable(path) in self._failed}
        after = {
            path: index.files[path].content
            for path in listing.labels
            if path in index.files and path not in failed
        }
        plan = Plan.of(before, after, removed)
        report = self._report(plan, listing, started, loaded=loaded, deleted=deleted)
        return videos.added_to(report, self._failed)

    def _complete_index(self, listing: Listing) -> FileIndex:
        collection = self.handle.current()
        index = FileIndex(self.handle.backend, collection)
        if collection is not None and not index.complete:
            index.rebuild(collection)
        for path in listing.labels:
            index.adopt(path)
        return index

    def _report_ignored(self, listing: Listing) -> None:
        if self.on_ignored is not None:
            for path in listing.ignored:
                self.on_ignored(path)

    def _load(
        self,
        listing: Listing,
        known: Mapping[str, str],
        files: TrackedFiles,
        videos: Sequence[Reference],
    ) -> Report | None:
        """Add new and changed files, and set changed labels. Returns None without such files."""
        index = files.index
        stale = self._relabeled(listing, index) | lacking(index, known.values(), self.wanted)
        chosen = [
            Reference(path, label)
            for path, label in listing.labels.items()
            if path not in known or known[path] in stale
        ]
        chosen += videos
        if not chosen:
            return None
        tally = Tally(len(chosen), self.on_progress, self._on_failure)
        report = self.load(chosen, tally, files)
        if stale := self._relabeled(listing, index):  # the first of equal files decides
            again = [
                Reference(path, label)
                for path, label in listing.labels.items()
                if path in index.files and index.files[path].content in stale
            ]
            self.load(again, Tally(len(again)), files)
        return report

    def _relabeled(self, listing: Listing, index: FileIndex) -> set[str]:
        """Return the contents whose files state another label than the stored one.

        As in `Library.add`, the first file decides, or the first one that states a label.
        """
        if self.own_labels:
            return set()
        stated: dict[str, str | None] = {}
        for path, label in listing.labels.items():
            file = index.files.get(path)
            if file is not None and stated.get(file.content) is None:
                stated[file.content] = label
        return {
            content
            for content, label in stated.items()
            if label is not None and index.labels.get(content, label) != label
        }

    def _remove(self, removed: Sequence[str], index: FileIndex) -> list[str]:
        """Remove the images of files that no longer exist; return their contents."""
        collection = self.handle.current()
        if collection is None or not removed:
            return []
        dropped: dict[str, list[str]] = {}
        for path in removed:
            if (file := index.files.get(path)) is not None:
                for content in {file.content} | index.further.get(path, set()):
                    dropped.setdefault(content, []).append(path)
        deleted, _ = drop_paths(collection, index, dropped, removed=set(removed))
        index.forget(removed)
        collection.flush()
        index.finish(collection)
        return deleted

    def _read(self, paths: Iterable[str], index: FileIndex) -> dict[str, str]:
        """Return the contents of files. Unreadable files are noted, and left out."""
        contents: dict[str, str] = {}
        for path in paths:
            if (content := index.read(path)) is None:
                self._failed.add(sources.printable(path))
            else:
                contents[path] = content
        return contents

    def _on_failure(self, failure: Failure) -> None:
        self._failed.add(failure.path)
        if self.on_failure is not None:
            self.on_failure(failure)

    def _report(
        self,
        plan: Plan,
        listing: Listing,
        started: float,
        *,
        before: Mapping[str, str] | None = None,
        loaded: Report | None = None,
        deleted: Sequence[str] = (),
        dry_run: bool = False,
    ) -> SyncReport:
        lost = plan.deleted if dry_run else {key: plan.deleted.get(key, ()) for key in deleted}
        return SyncReport(
            added=plan.added,
            changed=plan.changed,
            renamed=len(plan.renames),
            deleted=len(lost),
            unchanged=plan.unchanged,
            failed=len(self._failed) if loaded is None else loaded.failed,
            ignored=len(listing.ignored) + (0 if loaded is None else loaded.ignored),
            updated=0 if loaded is None else max(0, loaded.updated - len(plan.renames)),
            seconds=monotonic() - started,
            dry_run=dry_run,
            failures=() if loaded is None else loaded.failures,
            deleted_paths=named(path for paths in lost.values() for path in paths),
            reasons=() if before is None else reasons(listing, before, plan),
            notes=() if loaded is None else loaded.notes,
        )


def refuse(reasons: tuple[str, ...]) -> None:
    """Refuse a sync if there are reasons.

    Raises:
        SyncRefused: there are.
    """
    if reasons:
        text = "; ".join(reasons)
        raise SyncRefused(f"nothing was changed: {text}. {_ADVICE}", reasons=reasons)


def list_folders(
    folders: Sequence[str | os.PathLike[str]],
    exclude: Sequence[str] = (),
    *,
    with_videos: bool = False,
) -> Listing:
    """List the images below folders; the options are as for `sources.references`.

    Raises:
        SourceError: a path is not a folder, or is empty.
    """
    if any(not os.fspath(folder) for folder in folders):
        raise SourceError("the name of a folder is empty. Use . for the current folder.")
    labels: dict[str, str | None] = {}
    ignored: list[str] = []
    missing: list[str] = []
    unlisted: list[str] = []
    roots = list(dict.fromkeys(map(absolute, folders)))
    for root in roots:
        try:
            mode = os.stat(root).st_mode  # noqa: PTH116 - pathlib raises for a NUL
        except FileNotFoundError:
            missing.append(root)
            continue
        except (OSError, ValueError) as error:
            raise SourceError(f"{sources.printable(root)}: cannot be read", path=root) from error
        if not stat.S_ISDIR(mode):
            raise SourceError(f"{sources.printable(root)}: is not a folder", path=root)
        try:
            walk = sources.references(
                root,
                on_ignored=ignored.append,
                on_unlisted=unlisted.append,
                exclude=exclude,
                with_videos=with_videos,
            )
        except SourceError:
            unlisted.append(root)
            continue
        for reference in walk:
            labels.setdefault(reference.path, reference.label)
    return Listing(roots, labels, missing, unlisted, ignored)


def _known(listing: Listing, index: FileIndex) -> tuple[dict[str, str], list[str]]:
    """Return the contents of unchanged files of stored images, and the paths of other files."""
    known: dict[str, str] = {}
    unread: list[str] = []
    for path in listing.labels:
        content = index.content(path, FileStat.of(path)) if path in index.files else None
        if content is None or content not in index.labels:
            unread.append(path)
        else:
            known[path] = content
    return known, unread


def doubtful_files(
    listing: Listing,
    before: Mapping[str, str],
    plan: Plan,
    unread: Mapping[str, str],
    index: FileIndex | None,
) -> list[str]:
    """Return the unread files whose contents decide whether a sync must be confirmed.

    These are files of stored images, and files that may have a lost content, by their sizes.
    `unread` maps stored paths to paths on disk, and the result holds stored paths.
    """
    changed = [path for path in unread if path in before]
    if not reasons(listing, before, plan, changed):
        return []
    known = {} if index is None else index.files
    lost = [*plan.lost_paths, *(unread[path] for path in changed)]
    sizes = {file.stat.size for path in lost if (file := known.get(path)) and file.stat}
    if any(path not in known or known[path].stat is None for path in lost):
        return list(unread)

    def has_size(path: str) -> bool:
        stat = FileStat.of(path)
        return stat is not None and stat.size in sizes

    return [name for name, path in unread.items() if name in before or has_size(path)]


def _ordered(listing: Listing, contents: Mapping[str, str]) -> dict[str, str]:
    return {path: contents[path] for path in listing.labels if path in contents}
