"""What a sync of folders changes, worked out from the contents of files before and after.

Paths are absolute. A content is the sha256 of a file's bytes, which is also the id of its image.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import sep
from typing import Final

from imgsearch.filters import composed
from imgsearch.images import sources
from imgsearch.types import Failure

_FEW: Final = 10  # images that may be removed without confirmation
_SHARE: Final = 0.2  # of the images below a folder
_NAMED: Final = 1_000  # deleted paths in a report; all are counted


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Report of a sync. Of the images that the folders hold, every file has one outcome.

    `added`: files with new images. `changed`: files whose image was replaced, because they have
    other bytes. `renamed`: files with the image of a file that no longer exists.
    `deleted`: images that were removed, because no file has them any more.
    `unchanged`: files whose images are stored; `updated` of these images got another label.
    `failed`: files that were not added; `failures` has the first 1,000 of them.
    `ignored`: files that are not images. `deleted_paths` has the first 1,000 paths of deleted
    images. `reasons` are sentences why the sync must be confirmed. After a dry run nothing was
    changed, and undecodable files count as added.
    """

    added: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0
    ignored: int = 0
    updated: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    failures: tuple[Failure, ...] = ()
    deleted_paths: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of each file, as counts, and the contents to delete with their paths."""

    added: int
    changed: int
    renamed: int
    unchanged: int
    deleted: Mapping[str, Sequence[str]]

    @classmethod
    def of(
        cls, before: Mapping[str, str], after: Mapping[str, str], removed: Collection[str]
    ) -> "Plan":
        """Compare the stored contents by path with the present ones, in the order of `after`.

        Paths in `before` that are neither in `after` nor `removed` keep their contents: they lie
        elsewhere, or cannot be read now.
        """
        kept = {
            content
            for path, content in before.items()
            if path not in removed and after.get(path, content) == content
        }
        lost: dict[str, list[str]] = {}
        for path in removed:
            if before[path] not in kept:
                lost.setdefault(before[path], []).append(path)
        replaced = {before[path] for path in after if path in before} - kept
        stored = set(before.values())
        added = changed = renamed = unchanged = 0
        for path, content in after.items():
            old, is_lost = before.get(path), content in lost or content in replaced
            lost.pop(content, None)
            replaced.discard(content)
            if old == content:
                unchanged += 1
            elif old is not None:
                changed += 1
            elif is_lost:
                renamed += 1
            elif content in stored:
                unchanged += 1
            else:
                added += 1
            stored.add(content)
        return cls(added, changed, renamed, unchanged, lost)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below the folders `roots`.

    `missing` roots do not exist. `unlisted` folders cannot be listed, so files below them may
    exist. `labels` maps the path of each image file to the label that its folder states.
    """

    roots: Sequence[str]
    labels: Mapping[str, str | None] = field(default_factory=dict)
    missing: Sequence[str] = ()
    unlisted: Sequence[str] = ()
    ignored: int = 0


def reasons(listing: Listing, before: Mapping[str, str], plan: Plan) -> tuple[str, ...]:
    """Return why a sync must be confirmed, as sentences. Empty if it needs no confirmation."""
    sentences: list[str] = []
    lost = [path for paths in plan.deleted.values() for path in paths]
    for folder in listing.unlisted:
        if number := len(contents_below(folder, before)):
            name = sources.printable(folder)
            sentences.append(f"{name} cannot be listed, and {number:,} of its images are stored")
    for root in listing.roots:
        stored = contents_below(root, before)
        if not stored or root in listing.unlisted:
            continue
        name, number = sources.printable(root), len(contents_below(root, before, only=lost))
        if root in listing.missing:
            sentences.append(f"{name} does not exist, and {len(stored):,} of its images are stored")
        elif not below(root, listing.labels):
            sentences.append(f"{name} has no images, and {len(stored):,} of its images are stored")
        elif number > max(_FEW, _SHARE * len(stored)):
            sentences.append(f"{number:,} of {len(stored):,} images below {name} would be removed")
    return tuple(sentences)


def below(folder: str, paths: Iterable[str]) -> list[str]:
    """Return the paths below a folder, in any Unicode normalization form."""
    start = comparable(folder).rstrip(sep) + sep
    return [path for path in paths if comparable(path).startswith(start)]


def contents_below(
    folder: str, before: Mapping[str, str], *, only: Iterable[str] | None = None
) -> set[str]:
    """Return the contents of paths below a folder, or of `only` these paths."""
    return {before[path] for path in below(folder, before if only is None else only)}


def comparable(path: str) -> str:
    """Return a path in its stored and composed form."""
    return path if path.isascii() else composed(sources.printable(path))


def named(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the first paths in their printable form, sorted."""
    return tuple(sources.printable(path) for path in sorted(paths)[:_NAMED])
