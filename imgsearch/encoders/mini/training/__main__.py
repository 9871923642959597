"""The one command: from clones of the training sets to the network's weights."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from imgsearch import encoders
from imgsearch.encoders.mini.training import overlap, teacher, validation
from imgsearch.encoders.mini.training.distil import Distillation, Schedule
from imgsearch.encoders.mini.training.packed import Packed, Together
from imgsearch.encoders.mini.training.sources import SETS
from imgsearch.errors import ImgSearchError

_DIM = 256
_EVERY = 50  # steps between two lines of the log


@click.command()
@click.option(
    "--clones",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A folder with a bare clone NAME.git of each training set: "
    + ", ".join(each.name for each in SETS),
)
@click.option("--teacher", "model", default="timm:mobilenetv2_100", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="The teacher's.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the teacher.")
@click.option(
    "--evaluation",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of images that must not be learned from; may be repeated.",
)
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True)
@click.option("--epochs", default=Schedule.epochs, show_default=True)
@click.option("--batch", default=Schedule.batch, show_default=True)
def train(
    clones: Path,
    model: str,
    weights: Path | None,
    options: tuple[str, ...],
    evaluation: tuple[Path, ...],
    folder: Path,
    epochs: float,
    batch: int,
) -> None:
    """Train the image side of mini; each step goes on where it was when it is run again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        _train(clones, (model, weights, options), evaluation, folder, Schedule(epochs, batch))
    except ImgSearchError as error:
        raise click.ClickException(str(error)) from error


def _train(
    clones: Path,
    told: tuple[str, Path | None, tuple[str, ...]],
    evaluation: Sequence[Path],
    folder: Path,
    schedule: Schedule,
) -> None:
    log = logging.getLogger("mini")
    given = dict(option.split("=", 1) for option in told[2])
    plain = {name: _plain(value) for name, value in given.items()}
    knower = encoders.load(told[0], weights=told[1], options=plain or None)
    packed = []
    for known in SETS:
        packed.append(Packed.of(known, clones / f"{known.name}.git", folder / "packed"))
        log.info("%s: %d images", known.name, len(packed[-1]))
    features = [teacher.features(knower, each, folder / "features") for each in packed]
    left_out = _left_out(packed, features, evaluation, knower, folder)
    targets = teacher.directions(features, _DIM)
    labels = [label for each in packed for label in each.labels]
    held = validation.held_out(labels, schedule.seed)
    rows = np.setdiff1d(np.flatnonzero(~left_out), held)
    log.info("%d to learn from, %d held out, %d left out", len(rows), len(held), left_out.sum())
    images = Together([each.pixels for each in packed])
    loop = Distillation(images, Together(list(features)), targets, rows, folder, schedule)
    for figures in loop.run():
        if figures["step"] % _EVERY == 0:
            log.info(json.dumps({name: round(value, 5) for name, value in figures.items()}))
    own = [labels[row] for row in held]
    report = {
        "learned_from": len(rows),
        "left_out": int(left_out.sum()),
        "held_out": len(held),
        "precision@10": validation.precision_at_10(loop.vectors(held), own),
        "targets_precision@10": validation.precision_at_10(loop.wanted(held), own),
    }
    targets.save(folder / "targets.safetensors")
    _save(loop, folder / "mini.safetensors")
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    click.echo(json.dumps(report, indent=1))


def _left_out(
    packed: Sequence[Packed],
    features: Sequence[np.ndarray],
    evaluation: Sequence[Path],
    knower: encoders.Encoder,
    folder: Path,
) -> np.ndarray:
    """Tell of each image if it is one of the evaluation's; write down which are."""
    shown = overlap.pictures(evaluation)
    if not shown:
        return np.zeros(sum(map(len, packed)), dtype=bool)
    vectors = teacher.vectors(knower, shown)
    found = [
        overlap.overlaps(each.pixels, teacher.unit_rows(rows), shown, vectors)
        for each, rows in zip(packed, features, strict=True)
    ]
    paths = [
        f"{each.name}: {path}"
        for each, flags in zip(packed, found, strict=True)
        for path, flag in zip(each.paths, flags, strict=True)
        if flag
    ]
    (folder / "left_out.txt").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return np.concatenate(found)


def _plain(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _save(loop: Distillation, file: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: each.contiguous() for name, each in loop.average.items()}, file)


if __name__ == "__main__":
    train()
