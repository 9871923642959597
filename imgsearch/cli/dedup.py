"""dedup: show groups of near-duplicates in a library, and on request keep one image of each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import options, show
from imgsearch.cli.search import thumb
from imgsearch.cli.words import Number
from imgsearch.errors import PrecisionUnreached
from imgsearch.library.duplicates import Group, Member
from imgsearch.report.html import Result, Words, results_page
from imgsearch.settings import Settings
from imgsearch.wording import counted

if TYPE_CHECKING:
    from imgsearch.backends import Collection
    from imgsearch.encoders import Encoder
    from imgsearch.evaluation.verification import Counts, Unverified

_SHOWN: Final = 200  # groups on a page: with a few pictures each some 10 MB
_LISTED: Final = 20  # unverified pairs in the terminal, so that the groups stay in sight
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
    help="Share of right pairs that the measured threshold must reach.",
)
@click.option("--threshold", type=Number(), help="Use this score; nothing is measured or kept.")
@click.option(
    "--sample",
    type=click.IntRange(min=4),
    default=200,
    show_default=True,
    help="Images to measure on, each changed in 14 ways; five times as many give wrong pairs.",
)
@click.option("--stored", is_flag=True, help="Compare the stored vectors alone, without `classic`.")
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

    Two images are near if their score reaches a threshold. The threshold is measured on a sample of
    the library's own images, each changed in 14 ways, and kept for `search --hide-duplicates`. A
    threshold that fails its own check is refused. Near images, and less near ones that look alike,
    are then compared at full size. A group holds the images that show the same picture as its kept
    image. Pairs that differ, are unclear or cannot be read are listed; only --unread groups the
    last. Only --remove removes images from the library, and no file is changed.

    The score joins the library's vectors with vectors of `classic`, so all files are read. With
    --stored, --threshold or --unread, in libraries of `classic`, and above 50,000 images, the
    stored vectors alone are compared. `search` always uses the threshold of the stored vectors.
    """
    from imgsearch.evaluation.verification import Verification
    from imgsearch.library.duplicates import groups as near_groups

    as_json: bool = rest["as_json"]
    encoder: dict[str, Any] = {name: rest[name] for name in ("model", "weights")}
    encoder |= {"options": options.parsed(rest["options"]), **options.field_names(rest)}
    settings = Settings.from_environment()
    with (
        options.library(settings, db, collection=collection, **encoder) as library,
        show.progress(hidden=as_json) as bars,
    ):
        measured: dict[str, Any] | None = None
        candidates: float | None = None
        _check_removable(library, remove=rest["remove"])
        stored = rest["stored"] or rest["unread"] or threshold is not None
        look = Verification()
        with _space(library, bars, stored=stored) as (images, joined):
            if threshold is None:
                measured = _measured(library, images, joined, precision, sample, bars)
                threshold, candidates = measured["threshold"], measured["candidates"]
            found = near_groups(
                images,
                threshold,
                candidates=candidates,
                second_look=look,
                unread=rest["unread"],
                on_progress=lambda done, total: bars.tell("searching", done, total),
            )
            count = library.count()
            not_read = count - images.count() if joined else 0
    others = [other.id for group in found for other in group.others]
    facts = {
        **_threshold_facts(threshold, measured),
        **_comparison_facts(look.counts),
        **_space_facts(joined, not_read),
    }
    summary = (
        f"{counted(len(found), 'group')} with {counted(len(others), 'near-duplicate')} beside the "
        "kept images"
    )
    if html is not None:
        about = {"library": f"{library.url} ({counted(count, 'image')})", "found": summary}
        _write(html, found, {**about, **facts})
    if not as_json:
        _print(found)
        _print_unverified(look.unverified)
        _print_facts(f"{summary}, among {counted(count, 'image')}", facts)
    removed = None
    if rest["remove"]:
        removed = _removed(settings, db, collection, others, agreed=rest["yes"])
        if not as_json:
            show.note(f"{counted(removed or 0, 'image')} removed from the library; no file changed")
    if as_json:
        show.echo_json(
            {
                "threshold": threshold,
                "joined": joined is not None,
                "not_read": not_read,
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


@contextmanager
def _space(
    library: Any, bars: show.Bars, *, stored: bool
) -> "Iterator[tuple[Collection, Encoder | None]]":
    """Provide the collection to group, and the encoder of a joined space or None."""
    from imgsearch.encoders import load
    from imgsearch.evaluation.joined import is_joinable, joined

    if stored or not is_joinable(library.collection):
        yield library.collection, None
        return
    encoder = load(**library.recipe.config())
    with joined(library.collection, encoder, on_progress=bars.tell) as (images, both):
        yield images, both


def _measured(
    library: Any,
    images: "Collection",
    joined: "Encoder | None",
    precision: float,
    sample: int,
    bars: show.Bars,
) -> dict[str, Any]:
    """Measure a threshold on changes of the library's own images.

    The threshold of the stored vectors is kept for `search`.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`.
    """
    from imgsearch.evaluation.near_duplicates import calibrate

    if joined is None:
        return _measured_stored(library, precision, sample, bars)
    try:
        _measured_stored(library, precision, sample, bars)
    except PrecisionUnreached as error:
        show.note(f"no threshold is kept for search --hide-duplicates: {error}")
    return calibrate(
        images, joined, precision=precision, sample=sample, on_progress=bars.tell
    ).to_dict()


def _measured_stored(
    library: Any, precision: float, sample: int, bars: show.Bars
) -> dict[str, Any]:
    """Measure a threshold for the stored vectors, and keep it.

    Nothing is kept for a collection that notes no encoder.

    Raises:
        PrecisionUnreached: no threshold reaches `precision`. A kept threshold for this precision or
            a higher one is forgotten.
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


def _threshold_facts(threshold: float, measured: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the lines that describe the threshold, by their titles."""
    if measured is None:
        return {"threshold": f"{threshold:.4f}, as given; its precision is not known"}
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
            "the checked precision is lower than wanted, though its interval reaches it"
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
    """Return the lines that describe the comparison at full size, by their titles."""
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
        facts["not verified"] = f"{counted(counts.unverified, 'pair')}: {'; '.join(lines)}"
    return facts


def _space_facts(joined: "Encoder | None", not_read: int) -> dict[str, str]:
    """Return the lines that describe a joined space, by their titles."""
    if joined is None:
        return {}
    facts = {"score": f"of {joined.fingerprint.model}; --stored compares stored vectors alone"}
    if not_read:
        facts["not compared"] = (
            f"{counted(not_read, 'file')} that cannot be read; --unread compares stored vectors"
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
        show.note("near by score, not verified:")
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
    """Remove the images from the library after confirmation; return their number."""
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
