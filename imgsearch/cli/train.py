"""train: train the last layers of a model on labeled images."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from imgsearch.cli import fit_options, options, show
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.training import Trained

_SHOWN: Final = ("hit@1", "precision@10", "recall@10", "map@10")


@click.command()
@click.argument("dataset")
@click.option("--model", metavar="timm:NAME", required=True, help="Model of timm to train.")
@options.weights
@fit_options.target("File to write the weights to, for --model FILE.")
@click.option(
    "--epochs",
    type=click.IntRange(1, 1_000),
    default=5,
    show_default=True,
    help="Passes over the images.",
)
@click.option(
    "--layers",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Layers to train, counted from the last.",
)
@fit_options.samples(
    "Limit on the images trained on, spread evenly over DATASET.", default=2_000, least=4
)
@fit_options.seed
@fit_options.force
def train(
    dataset: str,
    model: str,
    weights: Path | None,
    target: Path,
    epochs: int,
    layers: int,
    samples: int,
    seed: int,
    force: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Train the last layers of a model on labeled images.

    DATASET is a folder of class folders, or a list with labels, as for `evaluate`. A fifth of each
    class, or the queries of a dataset that has some, are held out. The model is evaluated on them
    before and after. An interrupted training continues with the next epoch when the command is run
    again.
    """
    from imgsearch.datasets.dataset import load
    from imgsearch.evaluation.training import TrainingOptions
    from imgsearch.evaluation.training import train as train_model

    fit_options.check_new(target, force=force)
    with show.progress(hidden=False) as bars:
        result = train_model(
            load(dataset),
            model,
            target,
            weights=weights,
            options=TrainingOptions(epochs=epochs, layers=layers, seed=seed),
            most=samples,
            on_progress=bars.update,
            on_failure=lambda reason: show.note(show.printable(reason)),
        )
    _print_result(result)


def _print_result(result: "Trained") -> None:
    if result.resumed:
        show.note(f"continued after {counted(result.resumed, 'epoch')}")
    click.echo(
        f"trained on {counted(result.images, 'image')}, measured with "
        f"{counted(result.held_out, 'query', 'queries')} held out"
    )
    click.echo(f"{'':14}{'before':>8}{'after':>8}")
    before, after = result.before.measures.metrics, result.after.measures.metrics
    for name in _SHOWN:
        click.echo(f"{name:14}{before[name]:8.3f}{after[name]:8.3f}")
    for note in result.notes:
        show.note(note)
    if after["map@10"] < before["map@10"]:
        show.note("the model got worse: keep the former weights, or train with fewer --layers")
    show.note(f"next: imgsearch add SOURCE --model {show.printable(str(result.path))}")
