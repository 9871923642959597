"""The page of a walkthrough: searches by image and text, near-duplicates, a map, next commands."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from imgsearch.evaluation.walkthrough import Walkthrough
from imgsearch.library.duplicates import Group
from imgsearch.report.html import Result, ResultGroup, Section, Thumb, commands, results_page
from imgsearch.report.sections import drawn_map, jpeg
from imgsearch.text import counted
from imgsearch.types import Hit

_GROUPS: Final = 12  # groups of near-duplicates on the page


def page(
    title: str,
    walk: Walkthrough,
    *,
    lead: str,
    facts: Mapping[str, str],
    next_commands: Sequence[str],
    images: ResultGroup | None = None,
    labels: Mapping[str, Collection[str]] | None = None,
) -> str:
    """Return the HTML page. It must be saved as UTF-8.

    `lead` is the first line: which images these are. `images` replaces the searches by the
    library's own images, and `labels` (by id) the names of folders, in colors of the map.
    """
    by_folder = {
        id_: (Path(path).parent.name,)
        for id_, path in zip(walk.map.ids, walk.map.paths, strict=True)
    }
    color = "folder" if labels is None else "class"
    return results_page(
        title,
        [],
        lead=lead,
        facts=facts,
        groups=[images or _neighbors(walk), _texts(walk), _duplicates(walk)],
        last=[
            drawn_map(
                walk.map,
                by_folder if labels is None else labels,
                title="Map of the images",
                color=color,
            ),
            Section("What to type next", commands(next_commands)),
        ],
    )


def _neighbors(walk: Walkthrough) -> ResultGroup:
    results = []
    for record, hits in walk.neighbors:
        path = str(record.fields.get("path", ""))
        results.append(
            Result(
                Thumb(jpeg(path), _name(path), title=path),
                [_thumb(hit, score=hit.score) for hit in hits],
            )
        )
    return ResultGroup(
        "Searches by image",
        results,
        f"{len(results)} of the {counted(walk.images, 'image')}, spread evenly, each with the "
        "nearest others. The score is the cosine: 1 is the same direction.",
    )


def _texts(walk: Walkthrough) -> ResultGroup:
    if not walk.texts:
        return ResultGroup("Searches by text", [], "This encoder takes images only.")
    results = [
        Result(Thumb(b"", f"“{text}”", title=text), [_thumb(hit) for hit in hits])
        for text, hits in walk.texts
    ]
    return ResultGroup(
        "Searches by text",
        results,
        f"{len(results)} of {walk.offered} texts, chosen because one image stands out for each. "
        "Ranks are shown, because scores of texts are lower than scores of images. A text always "
        "has nearest images, also if none shows it.",
    )


def _duplicates(walk: Walkthrough) -> ResultGroup:
    groups = walk.duplicates.groups
    others = sum(len(group.others) for group in groups)
    note = f"{counted(others, 'image')} in {counted(len(groups), 'group')} " if groups else "None "
    note += f"among {counted(walk.images, 'image')}, after a comparison of pixels. "
    if len(groups) > _GROUPS:
        note += f"The first {_GROUPS} groups are shown. "
    note += "imgsearch dedup looks more closely."
    return ResultGroup("Near-duplicates", [_group(group) for group in groups[:_GROUPS]], note)


def _group(group: Group) -> Result:
    path = str(group.kept.fields.get("path", ""))
    others = [str(other.fields.get("path", "")) for other in group.others]
    return Result(
        Thumb(jpeg(path), _name(path), title=path),
        [Thumb(jpeg(other), _name(other), title=other) for other in others],
    )


def _thumb(hit: Hit, *, score: float | None = None) -> Thumb:
    path = str(hit.fields.get("path", ""))
    return Thumb(jpeg(path), _name(path), score=score, title=path)


def _name(path: str) -> str:
    """Return the folder's and the file's name."""
    return "/".join(Path(path).parts[-2:])
