"""The one command: from clones and texts to the files that are shipped."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from imgsearch import encoders
from imgsearch.encoders.mini.training import export, image_side, text_side, texts
from imgsearch.encoders.mini.training.distil import Schedule
from imgsearch.encoders.mini.training.sources import NAMED, SETS
from imgsearch.encoders.mini.training.text_side import TextSources
from imgsearch.errors import ImgSearchError, WeightsInvalid

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--clones",
    type=_FOLDER,
    required=True,
    help="A folder with a bare clone NAME.git of each training set: "
    + ", ".join(dict.fromkeys(each.name for each in (*SETS, *NAMED))),
)
@click.option("--teacher", "model", default="timm:mobilenetv2_100", show_default=True)
@click.option("--weights", type=_FILE, required=True, help="The teacher's, as safetensors.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the teacher.")
@click.option("--classifier", default="classifier.weight", show_default=True)
@click.option("--names", type=_FILE, required=True, help="The teacher's classes, one a line.")
@click.option("--captions", type=_FILE, required=True, help="As COCO publishes them.")
@click.option("--sentences", type=_FOLDER, required=True, help="A sentence encoder's folder.")
@click.option(
    "--evaluation",
    multiple=True,
    type=_FOLDER,
    help="A folder of images and captions that must not be learned from; may be repeated.",
)
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True)
@click.option("--epochs", default=Schedule.epochs, show_default=True)
@click.option("--again", default=Schedule.again, show_default=True, help="Epochs after these.")
@click.option("--batch", default=Schedule.batch, show_default=True)
@click.option("--start", type=_FILE, help="A shipped image.onnx to go on from.")
@click.option("--rate", default=Schedule.rate, show_default=True, help="The highest of learning.")
@click.option(
    "--names-from",
    default=Schedule.names_from,
    show_default=True,
    help="The share of the epochs after which classes' names count.",
)
@click.option(
    "--large-from",
    default=Schedule.large_from,
    show_default=True,
    help="The share of the epochs after which images have all their pixels.",
)
def train(**told: Any) -> None:
    """Train mini, both sides; each step goes on where it was when it is run again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        click.echo(json.dumps(_train(**told), indent=1))
    except ImgSearchError as error:
        raise click.ClickException(str(error)) from error


def _train(
    *,
    clones: Path,
    model: str,
    weights: Path,
    options: tuple[str, ...],
    classifier: str,
    names: Path,
    captions: Path,
    sentences: Path,
    evaluation: tuple[Path, ...],
    folder: Path,
    epochs: float,
    again: float,
    batch: int,
    start: Path | None,
    rate: float,
    names_from: float,
    large_from: float,
) -> dict[str, Any]:
    given = dict(option.split("=", 1) for option in options)
    plain = {name: _plain(value) for name, value in given.items()}
    knower = encoders.load(model, weights=weights, options=plain or None)
    dictionary = clones / f"{SETS[0].name}.git"
    rows = _classifier(weights, classifier)
    known_names = image_side.Names(texts.class_names(names), rows, dictionary)
    schedule = Schedule(epochs, again, batch, rate, names_from=names_from, large_from=large_from)
    made = image_side.learn(clones, knower, evaluation, folder, schedule, known_names, start)
    made.targets.save(folder / "targets.safetensors")
    export.write_images(made.loop.averaged(), made.instance, made.places, folder / "image.onnx")
    named = [
        image_side.places(each, clones, knower, evaluation, folder, made.targets) for each in NAMED
    ]
    sources = TextSources(names, captions, sentences, dictionary, evaluation)
    known, table = text_side.learn(sources, rows, made.targets, named, folder / "sentences")
    export.write_texts(known.entries, table, folder / "text.npz")
    report = {**made.report, "words": len(known.entries)}
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    return report


def _classifier(weights: Path, name: str) -> Any:
    """Return the rows of the teacher's classifier, float32 (classes, d)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(weights)[name].astype("float32")
    except (SafetensorError, KeyError) as error:
        raise WeightsInvalid(f"{weights} holds no tensor {name!r} as safetensors") from error


def _plain(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    train()
