"""tune: find the cheapest index that reaches a recall on a collection's own vectors."""

import shlex
from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import Number
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.index.trials import Measurement
    from imgsearch.evaluation.index.tune import Tuning


@click.command()
@options.store
@options.encoder
@options.fields
@click.option(
    "--in", "place", metavar="URL", help="Store for the trials, if it is not the store of --db."
)
@click.option(
    "--index",
    "indexes",
    multiple=True,
    metavar="KIND",
    help="Index with its search efforts, e.g. hnsw:M=16@64,128; repeatable. By default the "
    "collection's own index and five others.",
)
@click.option(
    "--target",
    default=0.95,
    show_default=True,
    type=Number(0, 1, min_open=True),
    help="Recall to reach.",
)
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1, 16_384), help="Number of hits."
)
@click.option(
    "--queries",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Number of records to search for.",
)
@click.option("--seed", default=2026, show_default=True, help="Seed of the drawn queries.")
@options.as_json
def tune(
    db: str | None,
    collection: str,
    place: str | None,
    indexes: tuple[str, ...],
    target: float,
    k: int,
    queries: int,
    seed: int,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **config: Any,
) -> None:
    """Find the cheapest index that reaches a recall.

    Indexes are tried on the vectors of a collection, which is not changed. Some of its records are
    the queries. The rest is copied into a trial collection for each index, which is dropped
    afterwards. Recall is measured against exact search, not labels. No encoder is needed; --model
    checks that the vectors fit an encoder.

    \b
        imgsearch tune
        imgsearch tune --target 0.99 -k 50 --db milvus://HOST:19530
        imgsearch tune --index flat --index hnsw:M=16@32,64,128 --index hnsw:M=32
        imgsearch tune --db photos.db --in milvus://HOST:19530 --json
    """  # noqa: D301  # \b is click's: leave these lines as they are
    from imgsearch.evaluation.index.tune import tune as run
    from imgsearch.library import stores

    settings = Settings.from_environment()
    names = options.field_names(config)
    url = db or settings.store
    stores.require(url)
    if any(config.values()):
        config["options"] = options.parse_options(config["options"])
        with options.open_library(
            settings, db, collection=collection, **config, **names
        ) as library:
            options.named_encoder(library)
    with (
        stores.connected(url, place or url, settings=settings) as (source, trials),
        show.progress(hidden=as_json) as bars,
    ):
        done = run(
            source,
            collection,
            into=trials,
            indexes=indexes,
            k=k,
            target=target,
            queries=queries,
            seed=seed,
            names=stores.FieldNames(*names.values()),
            on_progress=bars.update,
        )
        same = place is None or trials.url == source.url
        extra = _encoder_words(config, names) if done.unmarked else []
        commands = _commands(done, url, url if same else str(place), trials.names(), extra)
    if as_json:
        show.echo_json({**done.to_dict(), "commands": commands})
    else:
        _print(done, commands)


def _encoder_words(encoder: Mapping[str, Any], names: Mapping[str, Any]) -> list[str]:
    """Return the search options for a collection without an encoder note."""
    words = ["--model", encoder["model"] or "NAME"]
    words += ["--weights", str(encoder["weights"])] if encoder["weights"] else []
    for name in ("path_field", "label_field"):
        words += [f"--{name.replace('_', '-')}", names[name]] if names[name] else []
    return words


def _commands(
    done: "Tuning", source: str, target: str, taken: Names[str], extra: Sequence[str]
) -> list[str]:
    """Return the commands that build the recommended index and search with its effort.

    `extra` are additional options for the search command.
    """
    best = done.best
    if best is None:
        return []
    commands, name = [], done.collection
    if source != target or (best.index != done.index and not done.stay):
        name = _free(f"{done.collection[:40]}_{best.index.partition(':')[0]}", taken)
        words = ["copy", source, target, "--collection", done.collection, "--as", name]
        commands.append(_line([*words, "--index", best.index]))
    words = ["search", "QUERY", "--db", target, "--collection", name, "-k", str(done.k)]
    effort = [] if best.effort is None else ["--effort", str(best.effort)]
    return [*commands, _line([*words, *effort, *extra])]


def _line(words: list[str]) -> str:
    return shlex.join(["imgsearch", *words])


def _free(name: str, taken: Names[str]) -> str:
    """Return `name`, with a number appended if a collection has that name already."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _print(done: "Tuning", commands: list[str]) -> None:
    disk = any(trial.disk is not None for trial in done.measurements)  # embedded stores only
    columns = ("recall", "p50", "p95", "p99", "build", "MB*", "B/vec*", *["disk"] * disk)
    rows = [(*_cells(trial)[: len(columns)], _index_option(trial)) for trial in done.measurements]
    show.table((*columns, "index@effort"), rows, right=len(columns))
    show.note(
        f"ann_recall@{done.k} of {counted(done.queries, 'query')}, left out of the "
        f"{counted(done.searched, 'vector')} that were searched ({done.dim}-d, {done.metric}), "
        f"in {done.url}. p50, p95, p99: "
        "milliseconds a query, one at a time, after a warm-up; build: seconds to write and index; "
        "MB*: the index in memory, and B/vec*: for a vector in bytes, by formula, not measured; "
        "--json has more. "
        f"The collection has {done.index} now."
    )
    for line in done.notes:
        show.note(f"  {line}")
    if done.best is None:
        best = max((trial.recall for trial in done.measurements), default=0.0)
        show.note(f"no index reaches a recall of {done.target:g}; the highest is {best:.4f}")
        return
    if done.stay:
        show.note(
            f"Keep {done.index}: it finds {done.best.recall:.4f} of the neighbors among "
            f"{done.searched:,} vectors, and a search takes {done.best.p50:.1f} ms. Other indexes "
            "pay off above about 50,000 vectors. To search as measured:"
        )
    else:
        _recommend(done, done.best)
    for command in commands:
        click.echo(f"  {command}")


def _recommend(done: "Tuning", best: "Measurement") -> None:
    show.note(
        f"{_index_option(best)} is the cheapest with a recall of at least {done.target:g} "
        f"({best.recall:.4f}, 95 % interval {best.low:.4f} to {best.high:.4f}). To use it:"
    )


def _cells(trial: "Measurement") -> tuple[str, ...]:
    return (
        f"{trial.recall:.4f}",
        *(f"{time:.2f}" for time in (trial.p50, trial.p95, trial.p99)),
        f"{trial.write + trial.build:.1f}",
        f"{trial.memory / 1e6:.1f}",
        f"{trial.bytes_per_vector:,.0f}",
        "" if trial.disk is None else f"{trial.disk / 1e6:.1f}",
    )


def _index_option(trial: "Measurement") -> str:
    """Return the value of --index that selects this trial."""
    return trial.index if trial.effort is None else f"{trial.index}@{trial.effort}"
