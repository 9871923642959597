"""Trains an encoder on labeled images, and evaluates it before and after on images held out."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from imgsearch import encoders
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.encoders import Recipe
from imgsearch.encoders.embedding import model_input
from imgsearch.encoders.timm import training
from imgsearch.encoders.timm.encoder import TimmEncoder
from imgsearch.encoders.timm.training import Trainer, TrainingOptions
from imgsearch.encoders.weights.trained import SUFFIX
from imgsearch.errors import ConfigError, DatasetError, ImageError, SourceError
from imgsearch.evaluation.evaluator import evaluate
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.evaluation.run import Run
from imgsearch.images import sources

__all__ = ["Trained", "TrainingOptions", "train"]

OnProgress = Callable[[str, int, int], None]
"""Called with the stage ("read", "train" or "evaluate"), the number done, and the total."""

_TORCH: Final = {"runtime": "torch", "device": "cpu", "precision": "f32"}
_SHARE: Final = 5  # one image of so many is held out, at least 2 of a class


@dataclass(frozen=True)
class Trained:
    """A training: the file of weights, and the evaluation before and after it.

    `images` were trained on and `held_out` were not. `losses` has an entry for each epoch that ran
    in this call, and `resumed` epochs ran before it.
    """

    path: Path
    before: Run
    after: Run
    images: int
    held_out: int
    losses: tuple[float, ...]
    resumed: int
    notes: tuple[str, ...]


def train(
    dataset: Dataset,
    model: str,
    to: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    options: TrainingOptions = TrainingOptions(),  # noqa: B008 - frozen
    most: int = 2_000,
    on_progress: OnProgress | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> Trained:
    """Train the last layers of a timm model on labeled images; write its weights to `to`.

    A dataset with queries of its own is trained on its gallery, and its queries are held out.
    Otherwise a fifth of each class is held out. At most `most` images are trained on, because they
    are in memory (0.15 MB each at 224 x 224 pixels). `to` can be given to `imgsearch.open` as
    `model`. After an interruption, the same call continues with the next epoch.

    Raises:
        ConfigError: the model is not timm's, has options, or `to` is not NAME.safetensors.
        DatasetError: there are fewer than two classes, or too few images.
        EncoderError: the encoder cannot be built. Errors of `evaluate` are also raised.
    """
    path = _target(to)
    encoder = _encoder(model, weights)
    part, test = split(dataset)
    report = on_progress or (lambda *_: None)
    by_path = {str(item.path): item for item in part}
    items = [by_path[file] for file in sources.spread(list(by_path), most)]
    inputs, labels = _read(encoder, items, report, on_failure)
    trainer = Trainer(encoder, inputs, labels, options)
    digest = _digest(encoder, inputs, labels, options)
    draft = path.with_name(f".{path.name}.training")
    first = _resume(trainer, draft, digest)
    losses = []
    for number in range(first, options.epochs):
        report("train", number, options.epochs)
        losses.append(trainer.epoch(number))
        training.save(draft, trainer.state(), {"epochs": str(number + 1), "digest": digest})
    report("train", options.epochs, options.epochs)
    trainer.save(path, encoder.fingerprint.model)
    file = None if weights is None else str(weights)
    before = _evaluate(test, Recipe(model, file, _TORCH), report)
    after = _evaluate(test, Recipe(encoder.fingerprint.model, str(path), _TORCH), report)
    draft.unlink(missing_ok=True)
    notes = () if not dataset.held_out else ("The gallery of the evaluation was trained on.",)
    return Trained(
        path,
        before,
        after,
        images=len(inputs),
        held_out=len(test.queries),
        losses=tuple(losses),
        resumed=first,
        notes=notes,
    )


def split(dataset: Dataset) -> tuple[list[Item], Dataset]:
    """Return the images to train on, and the dataset to evaluate on, whose queries are others.

    Equal files are on one side.

    Raises:
        DatasetError: there are fewer than two classes with images to train on, or no class has two
            images to hold out.
    """
    groups: dict[str, dict[str, Item]] = defaultdict(dict)
    queries = {_content(item) for item in dataset.queries} if dataset.held_out else set()
    seen: set[str] = set()
    for item in dataset.gallery:
        content = _content(item)
        if content not in seen and content not in queries:
            seen.add(content)
            groups[item.label][content] = item
    part: list[Item] = []
    held: list[Item] = []
    for _, items in sorted(groups.items()):
        # by content, so that renamed and added files do not change the other images' sides
        ordered = [item for _, item in sorted(items.items())]
        count = max(2, len(ordered) // _SHARE) if len(ordered) >= 4 else 0
        held += ordered[:count] if not dataset.held_out else []
        part += ordered[count:] if not dataset.held_out else ordered
    if len({item.label for item in part}) < 2:
        raise DatasetError("training needs at least two classes with images.")
    if dataset.held_out:
        return part, dataset
    if not held:
        raise DatasetError("no class has 4 images, of which 2 are held out for the evaluation.")
    rows = tuple(held)
    return part, replace(dataset, gallery=rows, queries=rows)


def _content(item: Item) -> str:
    try:
        return sources.content_id(sources.read(item.path))
    except SourceError as error:
        raise DatasetError(f"cannot read {item.path}: {error}") from error


def _target(to: str | PathLike[str]) -> Path:
    path = Path(to).expanduser()
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"the file of a trained model is named NAME{SUFFIX}, not {path}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path} cannot be written: its folder does not exist")
    return path.absolute()


def _encoder(model: str, weights: str | PathLike[str] | None) -> TimmEncoder:
    encoder = encoders.load(model, weights=weights, options=_TORCH)
    if not isinstance(encoder, TimmEncoder) or encoder.fingerprint.options:
        raise ConfigError(
            f"{model} cannot be trained: name a model of timm, timm:NAME, without options."
        )
    return encoder


def _read(
    encoder: TimmEncoder,
    items: Sequence[Item],
    report: OnProgress,
    on_failure: Callable[[str], None] | None,
) -> tuple[Any, list[int]]:
    """Return the prepared images and the numbers of their classes, without unusable images."""
    inputs: list[Any] = []
    labels: list[str] = []
    for number, item in enumerate(items):
        report("read", number, len(items))
        try:
            inputs.append(model_input(encoder, sources.read(item.path), str(item.path)))
            labels.append(item.label)
        except (SourceError, ImageError) as error:
            if on_failure:
                on_failure(str(error))
    report("read", len(items), len(items))
    names = sorted(set(labels))
    if len(names) < 2:
        raise DatasetError("training needs at least two classes with usable images.")
    return np.stack(inputs), [names.index(label) for label in labels]


def _digest(
    encoder: TimmEncoder, inputs: Any, labels: Sequence[int], options: TrainingOptions
) -> str:
    """Return a hash of everything that decides the trained weights, but the number of epochs."""
    settings = {**asdict(options), "epochs": 0, "base": encoder.fingerprint.weights}
    known = hashlib.sha256(json.dumps([settings, list(labels)]).encode())
    known.update(inputs.tobytes())
    return known.hexdigest()


def _resume(trainer: Trainer, draft: Path, digest: str) -> int:
    """Continue an interrupted training of the same weights; return its finished epochs."""
    if not draft.is_file():
        return 0
    with suppress(Exception):  # a draft that cannot be read is of no use, and is replaced
        state, metadata = training.load(draft)
        if metadata["digest"] == digest:
            trainer.resume(state)
            return int(metadata["epochs"])
    return 0


def _evaluate(test: Dataset, recipe: Recipe, report: OnProgress) -> Run:
    options = EvaluationOptions(on_progress=lambda _, done, total: report("evaluate", done, total))
    return evaluate(test, model=recipe, options=options)
