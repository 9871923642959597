"""The changes of a sync of folders, worked out from the contents of files before and after.

Paths are absolute. A content is the sha256 of a file's bytes, which is also the id of its image.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import sep
from typing import Final

from imgsearch.filters import composed
from imgsearch.images import sources

_FEW: Final = 10  # images that may be removed or replaced without confirmation
_SHARE: Final = 0.2  # of the images below a folder
_NAMED: Final = 1_000  # deleted paths in a report; all are counted


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of each file, as counts, and the contents to delete with their paths.

    `renames` maps the new path of each renamed file to an old one. `replaced` are the paths of
    changed files whose former contents no file has any more.
    """

    added: int
    changed: int
    files: int
    renames: Mapping[str, str]
    deleted: Mapping[str, Sequence[str]]
    replaced: Sequence[str] = ()

    @classmethod
    def of(
        cls, before: Mapping[str, str], after: Mapping[str, str], removed: Collection[str]
    ) -> "Plan":
        """Compare the stored contents by path with the present ones, in the order of `after`.

        Files of the same content share an image. Paths in `before` that are neither in `after` nor
        `removed` keep their contents: they lie elsewhere, or cannot be read now.
        """
        kept = {
            content
            for path, content in before.items()
            if path not in removed and after.get(path, content) == content
        }
        replaced = {before[path]: path for path in after if path in before}
        lost = _by_content(removed, before, without=kept)
        old_paths = {**replaced, **{content: paths[0] for content, paths in lost.items()}}
        old_paths = {content: path for content, path in old_paths.items() if content not in kept}
        stored, added, renames = set(before.values()), 0, {}
        for path, content in after.items():
            if path not in before and content in old_paths:
                renames[path] = old_paths[content]
            added += path not in before and content not in stored
            old_paths.pop(content, None)
            lost.pop(content, None)
            stored.add(content)
        replaced_paths = _replaced(before, after, without=kept)
        return cls(added, _changed(before, after), len(after), renames, lost, replaced_paths)

    @classmethod
    def of_references(
        cls, before: Mapping[str, str], after: Mapping[str, str], removed: Collection[str]
    ) -> "Plan":
        """Compare like `of`, but each file has an image of its own, as in an archive."""
        lost = _by_content(removed, before)
        added, renames = 0, {}
        for path, content in after.items():
            if path in before:
                continue
            if lost.get(content):
                renames[path] = lost[content].pop(0)
            else:
                added += 1
        deleted = {content: paths for content, paths in lost.items() if paths}
        replaced = _replaced(before, after)
        return cls(added, _changed(before, after), len(after), renames, deleted, replaced)

    @property
    def unchanged(self) -> int:
        """The number of files whose images are stored."""
        return self.files - self.added - self.changed - len(self.renames)

    @property
    def lost_paths(self) -> list[str]:
        """The paths of images that are deleted."""
        return [path for paths in self.deleted.values() for path in paths]


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below the folders `roots`.

    `missing` roots do not exist. `unlisted` folders cannot be listed, so files below them may
    exist. `labels` maps the path of each image file to the label that its folder states. `ignored`
    paths are passed over.
    """

    roots: Sequence[str]
    labels: Mapping[str, str | None] = field(default_factory=dict)
    missing: Sequence[str] = ()
    unlisted: Sequence[str] = ()
    ignored: Sequence[str] = ()


def _by_content(
    paths: Iterable[str], contents: Mapping[str, str], *, without: Collection[str] = ()
) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for path in paths:
        if contents[path] not in without:
            grouped.setdefault(contents[path], []).append(path)
    return grouped


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    return sum(before.get(path, content) != content for path, content in after.items())


def _replaced(
    before: Mapping[str, str], after: Mapping[str, str], *, without: Collection[str] = ()
) -> list[str]:
    present = {*after.values(), *without}
    return [path for path in after if path in before and before[path] not in present]


def reasons(
    listing: Listing,
    before: Mapping[str, str],
    plan: Plan,
    unread: Iterable[str] = (),
    *,
    noun: str = "images",
) -> tuple[str, ...]:
    """Return why a sync must be confirmed, as sentences. Empty if it needs no confirmation.

    `unread` are stored paths whose files may have other bytes now. They count as replaced. `noun`
    names what the paths are.
    """
    sentences: list[str] = []
    lost, replaced = plan.lost_paths, [*plan.replaced, *unread]
    for folder in listing.unlisted:
        if number := len(below(folder, before)):
            name = sources.printable(folder)
            sentences.append(f"{name} cannot be listed, and {number:,} of its {noun} are stored")
    for root in listing.roots:
        stored = len(below(root, before))
        if not stored or root in listing.unlisted:
            continue
        name, number = sources.printable(root), len(below(root, lost))
        others = len(below(root, replaced))
        if root in listing.missing:
            sentences.append(f"{name} does not exist, and {stored:,} of its {noun} are stored")
        elif not below(root, listing.labels):
            sentences.append(f"{name} has no {noun}, and {stored:,} of its {noun} are stored")
        elif number + others > max(_FEW, _SHARE * stored):
            sentences.append(_losses(name, stored, number, others, noun))
    return tuple(sentences)


def _losses(folder: str, stored: int, removed: int, replaced: int, noun: str) -> str:
    if removed and replaced:
        both = f"{removed:,} would be removed and {replaced:,} replaced"
        return f"of {stored:,} {noun} below {folder}, {both}"
    outcome = "removed" if removed else "replaced"
    return f"{removed or replaced:,} of {stored:,} {noun} below {folder} would be {outcome}"


def removed_paths(listing: Listing, before: Mapping[str, str]) -> list[str]:
    """Return the stored paths below the folders whose files certainly do not exist."""
    kept = {path for folder in listing.unlisted for path in below(folder, before)}
    stored = {path for root in listing.roots for path in below(root, before)}
    return [path for path in sorted(stored - listing.labels.keys() - kept) if _is_removed(path)]


def _is_removed(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def below(folder: str, paths: Iterable[str]) -> list[str]:
    """Return the paths below a folder, in any Unicode normalization form."""
    start = comparable(folder).rstrip(sep) + sep
    return [path for path in paths if comparable(path).startswith(start)]


def comparable(path: str) -> str:
    """Return a path in its stored and composed form."""
    return path if path.isascii() else composed(sources.printable(path))


def named(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the first paths in their printable form, sorted."""
    return tuple(sources.printable(path) for path in sorted(paths)[:_NAMED])
