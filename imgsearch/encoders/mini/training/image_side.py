"""From clones of the training sets to the network's weights."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from imgsearch.encoders import Encoder
from imgsearch.encoders.mini.training import overlap, start, teacher, texts, validation
from imgsearch.encoders.mini.training.augment import augmented
from imgsearch.encoders.mini.training.distil import Distillation, Guidance, Schedule
from imgsearch.encoders.mini.training.instance import (
    InstanceHead,
    InstanceLesson,
    InstanceSchedule,
    changed,
)
from imgsearch.encoders.mini.training.network import MEAN, STD, MiniNetwork
from imgsearch.encoders.mini.training.packed import Packed, Together
from imgsearch.encoders.mini.training.prototypes import class_prototypes, set_prototypes
from imgsearch.encoders.mini.training.sources import SETS, TrainingSet
from imgsearch.encoders.reduction import Reduction
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
_DIM: Final = 256
_EVERY: Final = 50  # steps between two lines of the log
_MEASURED: Final = 1_024  # images that a shipped network's norms are measured on
_HIDDEN: Final = 20  # of so many classes one's labels are not learned from, to see how that carries


@dataclass(frozen=True)
class ImageSide:
    """What training gives: the targets' directions, the network and what is to be told of it."""

    targets: Reduction
    loop: Distillation
    instance: InstanceHead
    places: Matrix
    report: dict[str, Any]


@dataclass(frozen=True)
class Names:
    """The names of a teacher's classes, its classifier's rows (classes, d), a clone with words."""

    texts: Sequence[str]
    rows: Matrix
    dictionary: Path


def learn(
    clones: Path,
    knower: Encoder,
    evaluation: Sequence[Path],
    folder: Path,
    schedule: Schedule,
    names: Names,
    shipped: Path | None = None,
) -> ImageSide:
    """Train the network on what `knower`, the teacher, makes of `SETS`; goes on where it was.

    `shipped` is an ``image.onnx`` to begin with, of the same teacher and sets.
    """
    packed, features, left_out = _ready(SETS, clones, knower, evaluation, folder)
    told = [line for each, flags in zip(packed, left_out, strict=True) for line in _of(each, flags)]
    (folder / "left_out.txt").write_text("\n".join([*told, ""]), encoding="utf-8")
    targets = teacher.directions(features, _DIM)
    labels = [label for each in packed for label in each.labels]
    flags = np.concatenate(left_out)
    held = validation.held_out(labels, schedule.seed)
    rows = np.setdiff1d(np.flatnonzero(~flags), held)
    _log.info("%d to learn from, %d held out, %d left out", len(rows), len(held), flags.sum())
    images, both = Together([each.pixels for each in packed]), Together(list(features))
    classes = texts.classes(labels, names.dictionary, names.texts)
    hidden = sorted({label for label, known in zip(labels, classes, strict=True) if known >= 0})
    unguided = np.isin(labels, hidden[::_HIDDEN])
    guidance = Guidance(np.where(unguided, -1, classes), class_prototypes(names.rows, targets))
    begun = None
    if shipped is not None:
        begun = _begun(shipped, guidance.places, images, rows, schedule.seed)
    loop = Distillation(images, both, targets, rows, folder, schedule, guidance, begun)
    for figures in loop.run():
        if figures["step"] % _EVERY == 0:
            _log.info(json.dumps({name: round(value, 5) for name, value in figures.items()}))
    network, own = loop.averaged(), [labels[row] for row in held]
    instance = _instance(network, images, rows, folder, schedule.seed)
    report = {
        "learned_from": len(rows),
        "left_out": int(flags.sum()),
        "held_out": len(held),
        "precision@10": validation.precision_at_10(loop.vectors(held), own),
        "precision@10 of classes without labels": validation.precision_at_10(
            loop.vectors(held[unguided[held]]), [labels[row] for row in held[unguided[held]]]
        ),
        "targets_precision@10": validation.precision_at_10(loop.wanted(held), own),
    }
    return ImageSide(targets, loop, instance, guidance.places, report)


def _begun(
    shipped: Path, places: Matrix, images: Together, rows: npt.NDArray[np.int64], seed: int
) -> MiniNetwork:
    """Return a shipped network, its norms measured on some of the images as they are learned."""
    chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:_MEASURED])
    pixels = torch.from_numpy(images[chosen]).permute(0, 3, 1, 2)
    shown = (augmented(pixels, torch.Generator().manual_seed(seed)) - MEAN) / STD
    return start.read(shipped, places, shown)


def _instance(
    network: MiniNetwork,
    images: Together,
    rows: npt.NDArray[np.int64],
    folder: Path,
    seed: int,
) -> InstanceHead:
    """Return the head that tells images of a kind apart, trained on the network as it is."""
    schedule = InstanceSchedule(seed=seed)
    levels = changed(network, images, rows, folder / "levels.npy", schedule)
    torch.manual_seed(seed)
    lesson = InstanceLesson(levels, InstanceHead(), schedule)
    for figures in lesson.run():
        if figures["instance_step"] % _EVERY == 0:
            _log.info(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    return lesson.head


def places(
    known: TrainingSet,
    clones: Path,
    knower: Encoder,
    evaluation: Sequence[Path],
    folder: Path,
    targets: Reduction,
) -> tuple[list[str], Matrix]:
    """Return the names of a set's classes and where they lie among the targets."""
    packed, features, left_out = _ready([known], clones, knower, evaluation, folder)
    vectors = targets.apply(teacher.unit_rows(features[0]))
    labels = [
        "" if flag else label for label, flag in zip(packed[0].labels, left_out[0], strict=True)
    ]
    return set_prototypes(vectors, labels)


def _ready(
    sets: Sequence[TrainingSet],
    clones: Path,
    knower: Encoder,
    evaluation: Sequence[Path],
    folder: Path,
) -> tuple[list[Packed], list[npt.NDArray[np.float16]], list[npt.NDArray[np.bool_]]]:
    """Return sets packed, with the teacher's features, and which images are the evaluation's."""
    packed = []
    for known in sets:
        packed.append(Packed.of(known, clones / f"{known.name}.git", folder / "packed"))
        _log.info("%s: %d images", known.name, len(packed[-1]))
    features = [teacher.features(knower, each, folder / "features") for each in packed]
    shown = overlap.shown(evaluation)
    if not shown.small:
        return packed, features, [np.zeros(len(each), dtype=bool) for each in packed]
    vectors = teacher.vectors(knower, [*shown.small, *shown.large])
    left_out = [
        overlap.overlaps(each.pixels, teacher.unit_rows(rows), shown, vectors)
        | np.isin([path.rpartition("/")[2] for path in each.paths], list(shown.names))
        for each, rows in zip(packed, features, strict=True)
    ]
    return packed, features, left_out


def _of(packed: Packed, flags: npt.NDArray[np.bool_]) -> list[str]:
    return [
        f"{packed.name}: {path}" for path, flag in zip(packed.paths, flags, strict=True) if flag
    ]
