"""The training loop: the network learns a teacher's directions, image by image and pair by pair."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from imgsearch.encoders.mini.training.augment import augmented
from imgsearch.encoders.mini.training.network import MEAN, STD, MiniNetwork, scaled
from imgsearch.encoders.mini.training.packed import EDGE, Together
from imgsearch.encoders.mini.training.teacher import unit_rows
from imgsearch.encoders.reduction import Reduction
from imgsearch.errors import ConfigError
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
_SMALL: Final = 64  # pixels of an edge
_KEPT: Final = "last.pt"
_KEEP_EVERY: Final = 250  # steps; what an interruption costs at most
_AVERAGE: Final = 0.999  # of the weights that are shipped: an exponential mean over steps


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: `epochs` over the images, batches, the highest learning rate.

    `relations` weighs the pairs, `names` the classes' names, which count from the share
    `names_from` of these epochs on; `sharpness` multiplies the cosines to these before the softmax.
    Images have 64 pixels, and all of theirs from the share `large_from` on: half the time a step.
    `again` more epochs follow, with names and all pixels, down from `again_rate`.
    """

    epochs: float = 14
    again: float = 3
    batch: int = 256
    rate: float = 3e-3
    again_rate: float = 1e-3
    warm_up: int = 300
    decay: float = 0.02
    relations: float = 4.0
    names: float = 0.2
    names_from: float = 0.6
    large_from: float = 0.85
    sharpness: float = 20.0
    seed: int = 7


@dataclass(frozen=True)
class Guidance:
    """What images are: for each row of all images its class, int64 (n,), -1 where none is known.

    `places` are unit vectors of the classes' names among the targets, float32 (classes, dim).
    """

    classes: npt.NDArray[np.int64]
    places: Matrix


class Distillation:
    """Trains a `MiniNetwork` on images (n, 80, 80, 3) to give what `targets` makes of `features`.

    The loss is 1 - cosine to the target, and the mean squared difference between the cosines of
    the batch's pairs and those of their targets; with `guidance` also the cross entropy of the
    cosines to the names of classes, of images whose class is known. `folder` keeps the state: a run
    that was interrupted goes on from it, with the batches it would have seen. `network` is one to
    begin with in the place of random weights.
    """

    def __init__(
        self,
        images: Together,
        features: Together,
        targets: Reduction,
        rows: npt.NDArray[np.int64],
        folder: Path,
        schedule: Schedule,
        guidance: Guidance | None = None,
        network: MiniNetwork | None = None,
    ) -> None:
        self._guidance = guidance
        self._images, self._features, self._targets = images, features, targets
        self._rows, self._folder, self._schedule = np.sort(rows), folder, schedule
        if len(rows) < schedule.batch:
            raise ConfigError(f"{len(rows)} images are less than a batch of {schedule.batch}")
        torch.manual_seed(schedule.seed)
        self.network = network or MiniNetwork(targets.dim)
        self.network.to(memory_format=torch.channels_last)
        self.average = {name: each.clone() for name, each in self.network.state_dict().items()}
        self._optimiser = torch.optim.AdamW(self._groups(), lr=schedule.rate)
        self.step = 0
        self._first = int(schedule.epochs * len(rows) / schedule.batch)
        self.steps = self._first + int(schedule.again * len(rows) / schedule.batch)
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self) -> Iterator[dict[str, float]]:
        """Train to the end; yield the figures of each step."""
        self.network.train()
        started, first = time.monotonic(), self.step
        while self.step < self.steps:
            figures = self._one(self._batch(self.step))
            self.step += 1
            seconds = time.monotonic() - started
            seen = (self.step - first) * self._schedule.batch
            yield {**figures, "step": self.step, "images_a_second": seen / seconds}
            if self.step % _KEEP_EVERY == 0 or self.step == self.steps:
                self._keep()

    def vectors(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the unit vectors of images by the averaged weights, in inference mode."""
        network = self.averaged()
        made = []
        with torch.inference_mode():
            for start in range(0, len(rows), 512):
                batch = torch.from_numpy(self._images[rows[start : start + 512]])
                made.append(network(scaled(batch.permute(0, 3, 1, 2))).numpy())
        return unit_rows(np.concatenate(made))

    def averaged(self) -> MiniNetwork:
        """Return the network with the averaged weights, in inference mode."""
        network = MiniNetwork(self._targets.dim)
        network.load_state_dict(self.average)
        network.eval().to(memory_format=torch.channels_last)
        return network

    def wanted(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the targets of images: unit vectors."""
        return unit_rows(self._targets.apply(unit_rows(self._features[rows])))

    def _batch(self, step: int) -> npt.NDArray[np.int64]:
        size = self._schedule.batch
        epoch, place = divmod(step, len(self._rows) // size)
        order = np.random.default_rng([self._schedule.seed, epoch]).permutation(self._rows)
        return np.sort(order[place * size : (place + 1) * size])

    def _one(self, rows: npt.NDArray[np.int64]) -> dict[str, float]:
        schedule, random = self._schedule, torch.Generator().manual_seed(self.step)
        rate = self._rate(self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        pixels = torch.from_numpy(self._images[rows]).permute(0, 3, 1, 2)
        small = self.step < schedule.large_from * self._first
        images = (augmented(pixels, random, edge=_SMALL if small else EDGE) - MEAN) / STD
        wanted = torch.from_numpy(self.wanted(rows))
        with torch.autocast("cpu", torch.bfloat16):
            made = self.network(images.contiguous(memory_format=torch.channels_last))
        made = functional.normalize(made.float(), dim=1)
        apart = 1 - (made * wanted).sum(1).mean()
        pairs = (made @ made.T - wanted @ wanted.T).square().mean()
        loss = apart + schedule.relations * pairs + schedule.names * self._named(made, rows)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        self._mix()
        return {"cosine": 1 - apart.item(), "pairs": pairs.item(), "rate": rate}

    def _named(self, made: Any, rows: npt.NDArray[np.int64]) -> Any:
        """Return the cross entropy to the names of those of the batch that have a class."""
        if self._guidance is None or self.step < self._schedule.names_from * self._first:
            return 0.0
        classes = self._guidance.classes[rows]
        known = np.flatnonzero(classes >= 0)
        if not len(known):
            return 0.0
        cosines = made[known] @ torch.from_numpy(self._guidance.places).T
        right = torch.from_numpy(classes[known])
        return functional.cross_entropy(self._schedule.sharpness * cosines, right)

    def _rate(self, step: int) -> float:
        """Return the learning rate: up in a line, down in half a cosine to 1 %; down again."""
        schedule, again = self._schedule, step - self._first
        if again >= 0:
            return schedule.again_rate * _down(again / (self.steps - self._first))
        return schedule.rate * min(1.0, (step + 1) / schedule.warm_up) * _down(step / self._first)

    def _mix(self) -> None:
        kept = min(_AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.dtype.is_floating_point:
                    self.average[name].lerp_(tensor, 1 - kept)
                else:
                    self.average[name].copy_(tensor)

    def _groups(self) -> list[dict[str, Any]]:
        """Return the weights that decay, and biases and norms, which do not."""
        tensors = list(self.network.parameters())
        return [
            {
                "params": [each for each in tensors if each.ndim > 1],
                "weight_decay": self._schedule.decay,
            },
            {"params": [each for each in tensors if each.ndim <= 1], "weight_decay": 0.0},
        ]

    def _keep(self) -> None:
        part = self._folder / f".{_KEPT}.part"
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "schedule": asdict(self._schedule),
        }
        torch.save(state, part)
        part.replace(self._folder / _KEPT)

    def _resume(self) -> None:
        file = self._folder / _KEPT
        if not file.is_file():
            return
        state = torch.load(file, weights_only=True)
        if state["schedule"] != asdict(self._schedule):
            raise ConfigError(f"{file} is of a run by another schedule; name another folder")
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.average, self.step = state["average"], state["step"]
        _log.info("goes on from step %d of %d", self.step, self.steps)


def _down(share: float) -> float:
    return 0.99 * 0.5 * (1 + math.cos(math.pi * share)) + 0.01
