"""The videos of a sync: each is one file, whose frames are added and removed together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from imgsearch.images.references import Reference
from imgsearch.images.sources import printable
from imgsearch.images.videos import is_video
from imgsearch.library.progress import SyncReport
from imgsearch.library.sync_plan import Listing, Plan, named, reasons, removed_paths
from imgsearch.library.video_frames import VideoFrames


@dataclass(frozen=True)
class VideoSync:
    """The changes of the videos below folders.

    `before` and `after` have a mark for each stored and each listed video; see `VideoFrames`.
    """

    listing: Listing
    before: Mapping[str, str]
    after: Mapping[str, str]

    @classmethod
    def split(cls, listing: Listing, frames: VideoFrames | None) -> tuple[Listing, Self]:
        """Return the listing without its videos, and the sync of the videos.

        Without `frames` stored videos stay as they are.
        """
        if frames is None:
            return listing, cls(replace(listing, labels={}), {}, {})
        labels = {path: label for path, label in listing.labels.items() if is_video(path)}
        images = {path: listing.labels[path] for path in listing.labels if path not in labels}
        after = {path: frames.mark(path) for path in labels}
        videos = cls(replace(listing, labels=labels, ignored=()), frames.stored, after)
        return replace(listing, labels=images), videos

    @property
    def removed(self) -> list[str]:
        """The stored videos whose files do not exist."""
        return removed_paths(self.listing, self.before)

    @property
    def to_read(self) -> list[Reference]:
        """The videos that are new or have changed."""
        return [
            Reference(path, label)
            for path, label in self.listing.labels.items()
            if self.before.get(path) != self.after[path]
        ]

    @property
    def reasons(self) -> Sequence[str]:
        """Sentences why the sync must be confirmed."""
        if not self.before:
            return ()
        plan = Plan.of(self.before, self.after, self.removed)
        return reasons(self.listing, self.before, plan, noun="videos")

    def added_to(self, report: SyncReport, failed: Collection[str] = ()) -> SyncReport:
        """Return the report with the videos counted, each as one file, without failed videos.

        `failed` are paths in their printable form.
        """
        after = {path: mark for path, mark in self.after.items() if printable(path) not in failed}
        plan = Plan.of(self.before, after, self.removed)
        removed = plan.lost_paths
        return replace(
            report,
            added=report.added + plan.added,
            changed=report.changed + plan.changed,
            renamed=report.renamed + len(plan.renames),
            deleted=report.deleted + len(removed),
            unchanged=report.unchanged + plan.unchanged,
            deleted_paths=(*report.deleted_paths, *named(removed)),
            reasons=(*report.reasons, *self.reasons) if report.dry_run else report.reasons,
        )
