"""dedup: find groups of near-duplicates in a library, and optionally remove all but one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import Number
from imgsearch.cli.search import thumb
from imgsearch.library.duplicates import Group, Member
from imgsearch.report.html import Result, Words, results_page
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.deduplication import Deduplication
    from imgsearch.evaluation.verification import Counts, Unverified

_SHOWN: Final = 200  # groups on a page: about 10 MB with a few pictures each
_LISTED: Final = 20  # unverified pairs in the terminal, so that the groups stay visible
_WORDS: Final = Words("Kept", "Near-duplicate", "near-duplicates", "No near-duplicates.")


@click.command()
@options.store
@options.encoder
@options.fields
@click.option(
    "--precision",
    type=Number(0, 1, min_open=True),
    default=0.99,
    show_default=True,
    help="Share of true near-duplicates that the measured threshold must reach.",
)
@click.option("--threshold", type=Number(), help="Score to use instead of a measured one.")
@click.option(
    "--sample",
    type=click.IntRange(min=4),
    default=200,
    show_default=True,
    help="Number of images to change in 14 ways and compare with five times as many.",
)
@click.option("--stored", is_flag=True, help="Compare only the stored vectors, without `classic`.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page of the groups to this file.",
)
@click.option("--remove", is_flag=True, help="Remove all but one image of each group.")
@click.option(
    "--unread",
    is_flag=True,
    help="Group (with --remove: remove) images whose files cannot be read, too.",
)
@click.option(
    "--keep",
    "apart",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Two images, by path or id, that are not duplicates: later runs do not group them.",
)
@click.option(
    "--forget",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Two images that --keep named, and that may be grouped again.",
)
@click.option("--again", is_flag=True, help="Measure and compare again, without earlier results.")
@click.option("--yes", is_flag=True, help="Remove without confirmation.")
@options.as_json
def dedup(
    db: str | None,
    collection: str,
    precision: float,
    threshold: float | None,
    sample: int,
    html: Path | None,
    **rest: Any,
) -> None:
    """Find groups of near-duplicates in the library.

    Two images are candidates if their score reaches a threshold. The threshold is measured on a
    sample of the library's images, each changed in 14 ways, and is saved for `search
    --hide-duplicates`. If a check on other images does not confirm it, the command fails. The
    pixels of candidates are then compared: a group contains the images that show the same picture
    as its kept image. Pairs that differ, are unclear or unreadable are listed; --unread also groups
    the unreadable ones. Only --remove removes images from the library, and no file is changed.

    Measurements (also failed ones), comparisons and the files' `classic` vectors are kept in the
    store, so the next run reads only new and changed images. --again repeats all. With --keep or
    --forget nothing else is done.

    The score combines the library's vectors with `classic` vectors, so the first run reads all
    files. In libraries that use `classic`, in libraries of more than 50,000 images, and with
    --stored, --threshold or --unread, only the stored vectors are compared. `search` always uses
    the threshold of the stored vectors.
    """
    from imgsearch.evaluation.deduplication import find_duplicates

    as_json: bool = rest["as_json"]
    encoder: dict[str, Any] = {name: rest[name] for name in ("model", "weights")}
    encoder |= {"options": options.parse_options(rest["options"]), **options.field_names(rest)}
    settings = Settings.from_environment()
    with (
        options.open_library(settings, db, collection=collection, **encoder) as library,
        show.progress(hidden=as_json) as bars,
    ):
        if rest["apart"] or rest["forget"]:
            _review(library, rest["apart"], rest["forget"], as_json=as_json)
            return
        _check_removable(library, remove=rest["remove"])
        result = find_duplicates(
            library,
            precision=precision,
            threshold=threshold,
            sample=sample,
            stored=rest["stored"],
            unread=rest["unread"],
            again=rest["again"],
            on_progress=bars.update,
            on_note=show.note,
        )
    others = [other.id for group in result.groups for other in group.others]
    facts = _facts(result)
    summary = (
        f"Found {counted(len(others), 'duplicate')} in {counted(len(result.groups), 'group')} "
        f"({counted(result.images, 'image')} checked)"
    )
    if html is not None:
        about = {"library": library.url, "result": summary}
        _write_page(html, result.groups, {**about, **facts})
    if not as_json:
        _print_groups(result.groups)
        _print_unverified(result.unverified)
        _print_facts(summary, facts)
    removed = None
    if rest["remove"]:
        removed = _remove(settings, db, collection, others, confirmed=rest["yes"])
        if not as_json:
            show.note(f"Removed {counted(removed or 0, 'image')} from the library. Files are kept.")
    if as_json:
        show.echo_json({**_to_json(result), "removed": removed})


def _review(
    library: Any,
    apart: Sequence[tuple[str, str]],
    forget: Sequence[tuple[str, str]],
    *,
    as_json: bool,
) -> None:
    """Remember or forget pairs that are not duplicates."""
    memory = library.duplicate_memory
    kept = [sorted(memory.keep_apart(*pair)) for pair in apart]
    forgotten = sum(memory.forget_apart(*pair) for pair in forget)
    total = len(memory.apart())
    if as_json:
        show.echo_json({"kept": kept, "forgotten": forgotten, "apart": total})
    else:
        show.note(
            f"Pairs marked as different: {len(kept)} added, {forgotten} removed, {total:,} in all"
        )


def _check_removable(library: Any, *, remove: bool) -> None:
    """Check that --remove is possible, before the measurement starts.

    Raises:
        SchemaMismatch: the collection has no encoder note.
    """
    if remove:
        library.collection.require_encoder()


def _facts(result: "Deduplication") -> dict[str, str]:
    """Return title → text of the lines about the threshold, the comparison and the encoder."""
    return {
        **_threshold_facts(result.threshold, result.measured),
        **_comparison_facts(result.counts),
        **_space_facts(result.space, result.unreadable),
        **({"measured": "in an earlier run; --again repeats it"} if result.reused else {}),
        **({"kept apart": counted(result.apart, "pair")} if result.apart else {}),
    }


def _threshold_facts(threshold: float, measured: Mapping[str, Any] | None) -> dict[str, str]:
    """Return title → text of the lines about the threshold."""
    if measured is None:
        return {"threshold": f"{threshold:.4f}, as given; its precision is unknown"}
    checked, rare = measured["checked"], measured["rare"]
    facts = {
        "threshold": f"{threshold:.4f}, for a precision of {measured['wanted']:g} on "
        f"{counted(measured['chosen']['queries'], 'image')} of the library",
        f"on {checked['queries']} others": f"precision {show.figure(checked, 'precision')}, "
        f"recall {show.figure(checked, 'recall')}, where each has one changed copy",
        "where one in ten has": f"precision {show.figure(rare, 'precision')}",
        "changed": f"{measured['changed']} of these images, in 14 ways; in brackets 95 % intervals",
    }
    if checked["precision"] < measured["wanted"]:
        facts["not confirmed"] = (
            "the checked precision is below the wanted one, but its interval reaches it"
        )
    if checked["precision"] == 1:
        # Source: Hanley, Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, JAMA 1983
        facts["no wrong pair"] = f"so at most 3 in {checked['queries']} images have one (95 %)"
    if measured["copies"]:
        facts["left out"] = (
            f"{counted(measured['copies'], 'pair')} of the library that "
            f"{'shows' if measured['copies'] == 1 else 'show'} the same picture"
        )
    if measured["unclear"]:
        facts["unclear"] = (
            f"{counted(measured['unclear'], 'pair is', 'pairs are')} not in these figures, because "
            f"pixels cannot decide; if all are wrong, precision "
            f"{show.figure(measured['cautious'], 'precision')}"
        )
    if measured["unread"]:
        facts["not read"] = f"{counted(measured['unread'], 'file')} of the sample"
    return facts


def _comparison_facts(counts: "Counts") -> dict[str, str]:
    """Return title → text of the lines about the comparison at full size."""
    if not (counts.same or counts.unverified):
        return {}
    facts = {
        "compared": f"{counted(counts.same, 'pair shows', 'pairs show')} the same picture at "
        f"full size"
    }
    parts = {
        "show different pictures": counts.different,
        "are unclear: a part may differ or be covered, or has too little detail": counts.unclear,
        "could not be read (--unread groups them, too)": counts.unread,
        "were not compared, because nearer ones are different": counts.skipped,
    }
    if lines := [f"{number} {text}" for text, number in parts.items() if number]:
        facts["not verified"] = f"{counted(counts.unverified, 'pair')}, of which {'; '.join(lines)}"
    return facts


def _space_facts(space: str, unreadable: int) -> dict[str, str]:
    """Return title → text of the lines about the combined encoder."""
    if not space:
        return {}
    facts = {"score": f"of {space}; --stored compares only the stored vectors"}
    if unreadable:
        facts["not compared"] = (
            f"{counted(unreadable, 'unreadable file')}; --unread compares their stored vectors"
        )
    return facts


def _print_facts(summary: str, facts: Mapping[str, str]) -> None:
    show.note(summary)
    for name, line in facts.items():
        show.note(f"  {name}: {line}")


def _print_unverified(pairs: Sequence["Unverified"]) -> None:
    rows = [
        (f"{pair.other.score:.4f}", pair.verdict, _path(pair.kept), _path(pair.other))
        for pair in pairs[:_LISTED]
    ]
    if rows:
        show.note("Similar by score, but not verified as near-duplicates:")
        show.table(("score", "verdict", "path", "path"), rows, right=1)
    if len(pairs) > _LISTED:
        show.note(f"… and {counted(len(pairs) - _LISTED, 'more pair')}; --json lists all")


def _print_groups(groups: Sequence[Group]) -> None:
    rows = []
    for number, group in enumerate(groups, 1):
        rows.append((str(number), "kept", _path(group.kept)))
        rows += [("", f"{other.score:.4f}", _path(other)) for other in group.others]
    if rows:
        show.table(("group", "score", "path"), rows, right=2)


def _write_page(html: Path, groups: Sequence[Group], facts: Mapping[str, str]) -> None:
    results = [
        Result(
            thumb(_path(group.kept)),
            [thumb(_path(other), score=other.score) for other in group.others],
        )
        for group in groups[:_SHOWN]
    ]
    if len(groups) > _SHOWN:
        facts = {**facts, "shown": f"the first {_SHOWN} groups"}
    show.write(html, results_page("Near-duplicates", results, facts=facts, words=_WORDS))
    show.note(f"Page written to {html}")


def _remove(
    settings: Settings, db: str | None, collection: str, ids: Sequence[str], *, confirmed: bool
) -> int:
    """Remove images from the library after confirmation, and return their number."""
    if not ids:
        return 0
    if not confirmed:
        click.confirm(
            f"Remove {counted(len(ids), 'image')} from the library?", abort=True, err=True
        )
    with options.open_library(settings, db, collection=collection) as library:
        removed: int = library.remove(*ids)
    return removed


def _path(member: Member) -> str:
    return str(member.fields.get("path", member.id))


def _to_json(result: "Deduplication") -> dict[str, Any]:
    return {
        "threshold": result.threshold,
        "joined": bool(result.space),
        "not_read": result.unreadable,
        "measured": result.measured,
        "reused": result.reused,
        "apart": result.apart,
        "images": result.images,
        "groups": [_group_to_json(group) for group in result.groups],
        "compared": result.counts.to_dict(),
        "unverified": [pair.to_dict() for pair in result.unverified],
    }


def _group_to_json(group: Group) -> dict[str, Any]:
    return {
        "kept": {"id": group.kept.id, "fields": dict(group.kept.fields)},
        "others": [{**asdict(other), "fields": dict(other.fields)} for other in group.others],
    }
