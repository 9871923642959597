"""evaluate: measure encoders on labeled images, or a collection on its own labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from imgsearch.cli import figures, options, show
from imgsearch.settings import Settings

if TYPE_CHECKING:
    from imgsearch.datasets.dataset import Dataset
    from imgsearch.evaluation.options import EvaluationOptions
    from imgsearch.evaluation.run import Run
    from imgsearch.library.models import Recipe

_MISSED: Final = 3  # exit code if a measure is below --fail-under


@click.command()
@click.argument("dataset", required=False, type=click.Path(exists=True))
@click.option("--db", metavar="URL", help="Store to search in, instead of memory.")
@click.option(
    "--collection",
    help="Name of the collection; without DATASET, the one to measure (images).",
)
@click.option(
    "--queries",
    type=click.Choice(("images", "names", "captions", "changes")),
    default="images",
    show_default=True,
    help="Queries: images, names (of the classes), captions (the first of each image in "
    "captions.jsonl) or changes (100 images, each changed in 14 ways).",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Encoder: lite (the default), classic, timm:NAME …; repeatable, compared with the first. "
    "Without DATASET: the encoder of a collection that does not name its own.",
)
@click.option("--weights", multiple=True, metavar="[NAME=]FILE", help="Weights file of the model.")
@click.option(
    "--option",
    "model_options",
    multiple=True,
    metavar="[NAME:]KEY=VALUE",
    help="Option of the model, e.g. pad_type=same; NAME: selects one of several models.",
)
@options.index
@options.max_pixels
@options.list_columns
@options.fields
@click.option(
    "--sample",
    default=1_000,
    show_default=True,
    type=click.IntRange(1),
    help="Number of queries drawn from a library.",
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page to this file."
)
@click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write tables to this file."
)
@click.option(
    "--fail-under",
    "floors",
    multiple=True,
    metavar="MEASURE=NUMBER",
    help=f"Exit with {_MISSED} if the first model's mean is lower, e.g. precision@10=0.55.",
)
@click.option(
    "--variants",
    is_flag=True,
    help="Compare one model's vectors raw, of unit length, and projected to 512.",
)
@click.option("--speed/--no-speed", default=True, help="Measure latency and throughput, too.")
@options.as_json
def evaluate(
    dataset: str | None,
    floors: tuple[str, ...],
    markdown: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **given: Any,
) -> None:
    """Measure how well encoders, or a library, find images.

    Each query image searches for images of its class, unless --queries selects other queries.

    DATASET is a folder with train/CLASS/* and test/CLASS/* (or val), a folder with CLASS/* (each
    image searches for the rest of its class), or a csv, tsv or parquet file with path and label
    columns. Without DATASET, an existing library is measured on its images' labels. If another
    program created the collection, --label-field and --path-field name its fields.

    \b
        imgsearch evaluate flowers/ --html report.html
        imgsearch evaluate flowers/ --model lite --model classic
        imgsearch evaluate --db photos.db --fail-under precision@10=0.5
    """  # noqa: D301  # \b is click's: leave these lines as they are
    from imgsearch.library.data_frames import require_pandas

    wanted = figures.floors(floors)
    require_pandas()  # before the embedding, because the tables are made at the end
    with show.progress(hidden=as_json) as bars:
        if not dataset:
            runs = _stored(given, bars)
        else:
            runs = (_variants if given["variants"] else _datasets)(dataset, given, bars)
    from imgsearch.report import evaluation

    if given["html"] is not None:
        show.write(given["html"], evaluation.page(runs))
        show.note(f"Page written to {given['html']}")
    if markdown is not None:
        show.write(markdown, evaluation.markdown(runs))
        show.note(f"Tables written to {markdown}")
    if as_json:
        show.echo_json(evaluation.plain(runs))
    else:
        figures.show_runs(runs)
    missed = figures.missed(next(iter(runs.values())), wanted)
    for line in missed:
        show.note(line)
    if missed:
        raise SystemExit(_MISSED)


def _datasets(dataset: str, given: Mapping[str, Any], bars: show.Bars) -> "dict[str, Run]":
    from imgsearch.evaluation.evaluator import evaluate as run_evaluation
    from imgsearch.evaluation.options import Target
    from imgsearch.library import stores

    loaded = _dataset(dataset, given)
    models = _models(given)
    if given["collection"] and len(models) > 1:
        raise click.UsageError("--collection holds the vectors of one --model only")
    target = Target(
        url=given["db"],
        collection=given["collection"],
        index=given["index"] or ("hnsw" if given["db"] else "flat"),
        metric=given["metric"] or "cosine",
    )
    runs = {}
    # pipelines open the store by URL only, so a connection with the token is kept open
    stored = (given["db"],) if given["db"] else ()
    with stores.connected(*stored, settings=Settings.from_environment()):
        for name, recipe in models.items():
            runs[name] = run_evaluation(
                loaded,
                model=recipe,
                queries=given["queries"],
                target=target,
                options=_options(given, bars, prefix=f"{name}: " if len(models) > 1 else ""),
            )
    return runs


def _options(given: Mapping[str, Any], bars: show.Bars, *, prefix: str = "") -> "EvaluationOptions":
    from imgsearch.evaluation.options import EvaluationOptions

    return EvaluationOptions(
        timed=given["speed"],
        mapped=given["html"] is not None,
        max_pixels=given["max_pixels"],
        on_progress=lambda stage, done, total: bars.update(f"{prefix}{stage}", done, total),
    )


def _variants(dataset: str, given: Mapping[str, Any], bars: show.Bars) -> "dict[str, Run]":
    from imgsearch.evaluation.variants import variants

    models = _models(given)
    if len(models) > 1 or given["db"] or given["queries"] != "images":
        raise click.UsageError("--variants takes one --model, without --db and --queries")
    (recipe,) = models.values()
    options_ = replace(_options(given, bars), mapped=False)
    return variants(_dataset(dataset, given), model=recipe, options=options_)


def _dataset(dataset: str, given: Mapping[str, Any]) -> "Dataset":
    if click.get_current_context().get_parameter_source("sample") is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "--sample draws queries from a library; a DATASET has its own queries"
        )
    from imgsearch.datasets.dataset import load as load_dataset
    from imgsearch.evaluation.queries import captioned

    if given["queries"] == "captions":
        return captioned(Path(dataset))
    return load_dataset(
        dataset, path_column=given["path_column"], label_column=given["label_column"]
    )


def _stored(given: Mapping[str, Any], bars: show.Bars) -> "dict[str, Run]":
    from imgsearch.evaluation.evaluator import evaluate_collection

    unused = ("index", "metric", "variants")
    named = given["models"] or given["weights"] or given["model_options"]
    if any(given[name] for name in unused) or given["queries"] != "images":
        raise click.UsageError(
            "--index, --metric, --variants and --queries need a DATASET; without one, a library "
            "is measured by its own vectors"
        )
    config = options.field_names(dict(given))
    if named:
        if len(given["models"]) != 1:
            raise click.UsageError("without DATASET, name one --model, the encoder of the vectors")
        config |= _models(given)[given["models"][0]].config()
    settings = Settings.from_environment()
    config["collection"] = given["collection"] or "images"
    with options.open_library(settings, given["db"], **config) as library:
        run = evaluate_collection(
            library.collection,
            library.url,
            label=given["label_column"] or "label",
            most=given["sample"],
            encoder=options.named_encoder(library) if named else None,
            options=_options(given, bars),
        )
    return {run.encoder.model: run}


def _models(given: Mapping[str, Any]) -> "dict[str, Recipe]":
    """Return model → recipe, from option values that may start with a model's name."""
    from imgsearch.library.models import DEFAULT, Recipe

    names = list(dict.fromkeys(given["models"])) or [DEFAULT]
    weights = _words_by_model(names, given["weights"], "=", "--weights")
    options_of = _words_by_model(names, given["model_options"], ":", "--option")
    for name, files in weights.items():
        if len(files) > 1:
            raise click.UsageError(f"--weights of {name} is given twice")
    return {
        name: Recipe(
            name,
            weights[name][0] if weights[name] else None,
            options.parse_options(tuple(options_of[name])),
        )
        for name in names
    }


def _words_by_model(
    names: Sequence[str], words: Sequence[str], sign: str, option: str
) -> dict[str, list[str]]:
    """Return model → option values. A value without a model's name needs a single model."""
    by_model: dict[str, list[str]] = {name: [] for name in names}
    for word in words:
        owners = [name for name in names if word.startswith(name + sign)]
        if owners:
            owner = max(owners, key=len)
            by_model[owner].append(word[len(owner) + 1 :])
        elif len(names) == 1:
            by_model[names[0]].append(word)
        else:
            raise click.UsageError(
                f"{option} {word!r} does not name its model. Begin it with one of "
                f"{', '.join(name + sign for name in names)}"
            )
    return by_model
