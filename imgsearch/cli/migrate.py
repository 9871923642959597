"""migrate: change the model of a library."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import options, show
from imgsearch.cli.reports import failure_writer
from imgsearch.errors import ImgSearchError
from imgsearch.library.progress import Progress
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.model_comparison import ModelComparison
    from imgsearch.library.migration import Migration, MigrationReport
    from imgsearch.library.progress import Report


@click.command()
@options.store
@options.encoder
@click.option("--yes", is_flag=True, help="Replace the model without confirmation.")
@click.option("--skip-missing", is_flag=True, help="Leave out images that have no file.")
@click.option("--dry-run", is_flag=True, help="Check the files only; change nothing.")
@click.option("--drop-old", is_flag=True, help="Remove the vectors of former models.")
@click.option("--discard", is_flag=True, help="Remove the vectors of an unfinished migration.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a service that is not running: images are read from its originals.",
)
@click.option(
    "--regions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the object detector, if the library has regions.",
)
@click.option(
    "--sample",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Number of images that compare the two models; 0 skips the comparison.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a line of JSON for each image that cannot be embedded.",
)
@options.as_json
def migrate(
    report: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **config: Any,
) -> None:
    """Replace the model of a library: embed every image anew.

    Images are read from their files. Searches use the former model until the switch; an
    interrupted migration can be run again. The command compares both models on a sample, and asks
    before it switches. Images whose file is gone are reported, and prevent the switch without
    --skip-missing. The former vectors are kept until --drop-old, and a migration back is short.
    """
    model, drop, discard = config["model"], config["drop_old"], config["discard"]
    if not (model or drop or discard):
        raise click.UsageError("name the new --model, or pass --drop-old or --discard")
    if model and discard:
        raise click.UsageError("--discard deletes an unfinished migration; omit --model")
    facts: dict[str, Any] = {}
    with ExitStack() as stack:
        migration = _opened(stack, config)
        if discard:
            facts["discarded"] = migration.discard()
        if model:
            write_failure = failure_writer(stack, report)
            result = _migrate(migration, config, facts, write_failure, as_json=as_json)
            if not as_json:
                _print_failures(result.load, report)
        if drop:
            facts["dropped"] = migration.drop_former()
    _show(facts, as_json=as_json)
    if model and not config["dry_run"] and not facts["switched"] and config["yes"]:
        sys.exit(1)


def _opened(stack: ExitStack, config: dict[str, Any]) -> "Migration":
    """Open the library, or the archive, that the options select."""
    settings, collection = Settings.from_environment(), config["collection"]
    if config["data"] is None:
        place = {"collection": collection, "regions": config["regions"]}
        library = stack.enter_context(options.open_library(settings, config["db"], **place))
        migration: Migration = library.migration()
        return migration
    from imgsearch.archive import migration_of

    archive = stack.enter_context(options.open_archive(settings, config["data"], config["db"]))
    return migration_of(archive, collection)


def _migrate(
    migration: "Migration",
    config: dict[str, Any],
    facts: dict[str, Any],
    on_failure: Any,
    *,
    as_json: bool,
) -> "MigrationReport":
    """Embed, compare, ask and switch; return the report of the embedding, and fill in `facts`."""
    from imgsearch.library.migration import MigrationOptions, recipe_of

    kwargs = options.parse_options(config["options"])
    recipe = recipe_of(config["model"], config["weights"], kwargs)
    wanted = MigrationOptions(skip_missing=config["skip_missing"], dry_run=config["dry_run"])
    with show.progress(hidden=as_json) as bars:

        def update(now: Progress) -> None:
            counts = f"{now.added} embedded, {now.skipped} before, {now.failed} failed"
            bars.update("embedding", now.done, now.found, counts)

        result = migration.run(recipe, wanted, on_progress=update, on_failure=on_failure)
    facts |= asdict(result)
    if config["dry_run"] or result.switched:
        return result
    facts["comparison"] = _compare(migration, config["sample"], as_json=as_json)
    if result.missing and not config["skip_missing"]:
        return result
    if config["yes"] or _confirmed(result, as_json=as_json):
        facts["switched"] = migration.run(recipe, replace(wanted, switch=True)).switched
    return result


def _compare(migration: "Migration", sample: int, *, as_json: bool) -> dict[str, Any] | None:
    """Compare the two models on a sample, and print a table."""
    from imgsearch.evaluation.model_comparison import compare_models

    sides = migration.current, migration.shadow
    if not sample or sides[1] is None:
        return None
    try:
        comparison = compare_models(
            sides[0], sides[1], sample=sample, read_image=migration.read_image
        )
    except ImgSearchError as error:
        show.note(f"no comparison: {error}")
        return None
    if not as_json:
        models = [side.schema.encoder.model for side in sides if side and side.schema.encoder]
        show.table(("", *models), list(rows(comparison)))
    return asdict(comparison)


def rows(comparison: "ModelComparison") -> Iterator[tuple[str, str, str]]:
    """Yield the rows of a table: a measure, the former model's value and the new model's."""
    for label in comparison.labels:
        yield f"{label.measure} of labels", f"{label.first:.3f}", f"{label.second:.3f}"
    if (copies := comparison.copies) is not None:
        yield "changed copies found first", f"{copies.first:.3f}", f"{copies.second:.3f}"
    yield f"same neighbors, first {comparison.k}", "", f"{comparison.agreement:.3f}"
    yield "same nearest image", "", f"{comparison.same_nearest:.3f}"


def _confirmed(result: "MigrationReport", *, as_json: bool) -> bool:
    """Ask on a terminal whether to switch."""
    if as_json or not sys.stdin.isatty():
        return False
    return click.confirm(f"Search with {result.model} instead of {result.former_model}?")


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.echo_json(facts)
        return
    if "model" in facts:
        show.note(_sentence(facts))
    if "discarded" in facts:
        show.note(f"{counted(int(facts['discarded']), 'unfinished migration')} discarded")
    if "dropped" in facts:
        show.note(f"{counted(facts['dropped'], 'former collection')} dropped")


def _sentence(facts: dict[str, Any]) -> str:
    """Return the outcome of a migration."""
    load, missing = facts["load"], facts["missing"]
    if facts["switched"]:
        return (
            f"searches use {facts['model']} now. --drop-old deletes the vectors of "
            f"{facts['former_model']}; measure thresholds again."
        )
    counts = (
        f"{load['added']} embedded, {load['skipped']} before, "
        f"{counted(missing, 'image')} cannot be embedded, in {load['seconds']:.1f} s"
    )
    advice = "restore the files, or pass --skip-missing" if missing else "pass --yes to switch"
    return f"{counts}; searches still use {facts['former_model']}: {advice}"


def _print_failures(load: "Report", report: Path | None) -> None:
    for failed in load.failures[:10]:
        show.note(f"  {show.printable(failed.reason)}")
    if load.failed > 10:
        where = f"all are in {report}" if report else "--report FILE names all"
        show.note(f"  … and {load.failed - 10} more; {where}")
