"""dedup: groups of near-duplicates in a library, shown, and on request removed but for one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import options, show
from imgsearch.cli.search import thumb
from imgsearch.cli.words import Number
from imgsearch.duplicates import Group, Member
from imgsearch.errors import PrecisionUnreached
from imgsearch.page import Result, Words, results_page
from imgsearch.settings import Settings
from imgsearch.wording import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.verification import Counts, Unverified

_SHOWN: Final = 200  # groups on a page: with a few pictures each some 10 MB
_LISTED: Final = 20  # pairs that are not verified: beside the groups, not instead of them
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
    help="Take the lowest threshold that is so precise on changes of the library's own images.",
)
@click.option("--threshold", type=Number(), help="Take this one; nothing is measured or kept.")
@click.option(
    "--sample",
    type=click.IntRange(min=4),
    default=200,
    show_default=True,
    help="Measure on so many images, changed in 14 ways, and five times as many neighbourhoods.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page of the groups.",
)
@click.option("--remove", is_flag=True, help="Keep one image of each group in the library.")
@click.option(
    "--unread",
    is_flag=True,
    help="Group, and with --remove remove, also images whose files cannot be read and compared.",
)
@click.option("--yes", is_flag=True, help="Remove without asking.")
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

    Two images are near if their score reaches a threshold. It is measured on a sample of the
    library's own images, each changed in 14 ways, and kept for `search --hide-duplicates`; a
    threshold that its own check denies is refused. Near images are then compared at full size: a
    group holds those that show the same picture as the one that is kept, and pairs that differ or
    cannot be read are listed apart. Nothing is removed without --remove, and files are never
    touched.
    """
    from imgsearch.duplicates import groups as near_groups
    from imgsearch.evaluation.verification import Verification

    as_json: bool = rest["as_json"]
    encoder: dict[str, Any] = {name: rest[name] for name in ("model", "weights")}
    encoder |= {"options": options.parsed(rest["options"]), **options.field_names(rest)}
    settings = Settings.from_environment()
    with (
        options.library(settings, db, collection=collection, **encoder) as library,
        show.progress(hidden=as_json) as bars,
    ):
        measured: dict[str, Any] | None = None
        _check_removable(library, remove=rest["remove"])
        if threshold is None:
            measured = _measured(library, precision, sample, bars)
            threshold = float(measured["threshold"])
        look = Verification()
        found = near_groups(
            library.collection,
            threshold,
            second_look=look,
            unread=rest["unread"],
            on_progress=lambda done, total: bars.tell("searching", done, total),
        )
        count = library.count()
    others = [other.id for group in found for other in group.others]
    told = {**_told(threshold, measured), **_compared(look.counts)}
    summary = (
        f"{counted(len(found), 'group')} with {counted(len(others), 'near-duplicate')} beside the "
        "kept images"
    )
    if html is not None:
        facts = {"library": f"{library.url} ({counted(count, 'image')})", "found": summary, **told}
        _write(html, found, facts)
    if not as_json:
        _print(found)
        _print_unverified(look.unverified)
        show.note(f"{summary}, among {counted(count, 'image')}")
        for name, line in told.items():
            show.note(f"  {name}: {line}")
    removed = None
    if rest["remove"]:
        removed = _removed(settings, db, collection, others, agreed=rest["yes"])
        if not as_json:
            show.note(f"{removed} removed from the library; the files are left alone")
    if as_json:
        show.echo_json(
            {
                "threshold": threshold,
                "measured": measured,
                "images": count,
                "groups": [_plain(group) for group in found],
                "compared": look.counts.to_dict(),
                "unverified": [pair.to_dict() for pair in look.unverified],
                "removed": removed,
            }
        )


def _check_removable(library: Any, *, remove: bool) -> None:
    """Refuse --remove before anything is measured.

    Raises:
        SchemaMismatch: the collection notes no encoder.
    """
    if remove:
        library.collection.require_encoder()


def _measured(library: Any, precision: float, sample: int, bars: show.Bars) -> dict[str, Any]:
    """Return what is measured on changes of the library's own images, and keep it.

    Nothing is kept for a collection that notes no encoder.

    Raises:
        PrecisionUnreached: no threshold is so precise; an earlier one that claims to be is
            forgotten.
    """
    from imgsearch.encoders import load
    from imgsearch.evaluation.near_duplicates import calibrate

    try:
        measured = calibrate(
            library.collection,
            load(**library.recipe.config()),
            precision=precision,
            sample=sample,
            on_progress=bars.tell,
        ).to_dict()
    except PrecisionUnreached:
        library.thresholds.forget_duplicates(precision)
        raise
    if library.collection.schema.encoder is not None:
        library.thresholds.keep_duplicates(measured)
    return measured


def _told(threshold: float, measured: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what a reader has to know of the threshold."""
    if measured is None:
        return {"threshold": f"{threshold:.4f}, given by hand: its precision is not known"}
    checked, rare = measured["checked"], measured["rare"]
    told = {
        "threshold": f"{threshold:.4f}, for a precision of {measured['wanted']:g} on "
        f"{counted(measured['chosen']['queries'], 'image')} of the library",
        f"on {checked['queries']} others": f"precision {show.figure(checked, 'precision')}, "
        f"recall {show.figure(checked, 'recall')}, where each has one changed copy",
        "where one in ten has": f"precision {show.figure(rare, 'precision')}",
        "changed": f"{measured['changed']} of these images, in 14 ways; in brackets 95 % intervals",
    }
    if checked["precision"] < measured["wanted"]:
        told["not confirmed"] = (
            "the precision lies below, though its interval reaches what you want"
        )
    if checked["precision"] == 1:
        # Source: Hanley, Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, JAMA 1983
        told["no wrong pair"] = f"so at most 3 in {checked['queries']} images have one (95 %)"
    if measured["copies"]:
        told["left out"] = (
            f"{counted(measured['copies'], 'pair')} of the library, the same by their pixels"
        )
    if measured["unclear"]:
        told["unclear"] = (
            f"{counted(measured['unclear'], 'pair counts', 'pairs count')} as wrong, though "
            f"pixels alone cannot tell"
        )
    if measured["unread"]:
        told["not read"] = f"{counted(measured['unread'], 'file')} of the sample"
    return told


def _compared(counts: "Counts") -> dict[str, str]:
    """Return what a reader should know of the comparison at full size."""
    if not (counts.same or counts.unverified):
        return {}
    facts = {
        "compared": f"{counted(counts.same, 'pair shows', 'pairs show')} the same picture at "
        f"full size"
    }
    parts = {
        "show different pictures": counts.different,
        "have too little detail to tell": counts.unclear,
        "could not be read (--unread takes them all the same)": counts.unread,
        "were not compared, as nearer ones are different": counts.skipped,
    }
    if lines := [f"{number} {text}" for text, number in parts.items() if number]:
        facts["not verified"] = f"{counted(counts.unverified, 'pair')}: {'; '.join(lines)}"
    return facts


def _print_unverified(pairs: Sequence["Unverified"]) -> None:
    rows = [
        (f"{pair.other.score:.4f}", pair.verdict, _path(pair.kept), _path(pair.other))
        for pair in pairs[:_LISTED]
    ]
    if rows:
        show.note("near by their score, not verified:")
        show.table(("score", "verdict", "path", "path"), rows, right=1)
    if len(pairs) > _LISTED:
        show.note(f"and {counted(len(pairs) - _LISTED, 'more pair')}; --json has all")


def _print(found: Sequence[Group]) -> None:
    rows = []
    for number, group in enumerate(found, 1):
        rows.append((str(number), "kept", _path(group.kept)))
        rows += [("", f"{other.score:.4f}", _path(other)) for other in group.others]
    if rows:
        show.table(("group", "score", "path"), rows, right=2)


def _write(html: Path, found: Sequence[Group], facts: Mapping[str, str]) -> None:
    results = [
        Result(
            thumb(_path(group.kept)),
            [thumb(_path(other), score=other.score) for other in group.others],
        )
        for group in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        facts = {**facts, "shown": f"the first {_SHOWN} groups"}
    show.write(html, results_page("Near-duplicates", results, facts=facts, words=_WORDS))
    show.note(f"page written to {html}")


def _removed(
    settings: Settings, db: str | None, collection: str, ids: Sequence[str], *, agreed: bool
) -> int:
    """Remove the images from the library, if a person agrees; return how many there were."""
    if not ids:
        return 0
    if not agreed:
        click.confirm(
            f"Remove {counted(len(ids), 'image')} from the library?", abort=True, err=True
        )
    with options.library(settings, db, collection=collection) as library:
        removed: int = library.remove(*ids)
    return removed


def _path(member: Member) -> str:
    return str(member.fields.get("path", member.id))


def _plain(group: Group) -> dict[str, Any]:
    return {
        "kept": {"id": group.kept.id, "fields": dict(group.kept.fields)},
        "others": [{**asdict(other), "fields": dict(other.fields)} for other in group.others],
    }
