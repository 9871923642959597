"""The second part of a vector: by it an image is found again, whatever was done to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from imgsearch.encoders.mini.training.augment import HARD, USUAL, augmented
from imgsearch.encoders.mini.training.network import LEVELS, MEAN, STD, MiniNetwork
from imgsearch.encoders.mini.training.packed import Together

_FORMS: Final = (USUAL, HARD, HARD)
_CHUNK: Final = 256  # images at once


@dataclass(frozen=True)
class InstanceSchedule:
    """How long and how fast; `sharpness` multiplies the cosines before the softmax."""

    images: int = 40_000
    steps: int = 1_000
    batch: int = 2_048
    rate: float = 2e-3
    sharpness: float = 16.0
    seed: int = 7


class InstanceHead(nn.Module):  # type: ignore[misc]  # torch is not checked
    """The network's levels, (n, 1840) → (n, dim), of any norm."""

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(LEVELS, affine=False)
        self.head = nn.Linear(LEVELS, dim)

    def forward(self, levels: Any) -> Any:
        """Return the second part."""
        return self.head(self.scale(levels))


def changed(
    network: MiniNetwork,
    images: Together,
    rows: npt.NDArray[np.int64],
    file: Path,
    schedule: InstanceSchedule,
) -> npt.NDArray[np.float16]:
    """Return the levels of images changed a little, and twice much: float16 (n, 3, 1840).

    They are kept in `file`; what is there is not made again.
    """
    if not file.is_file():
        random = torch.Generator().manual_seed(schedule.seed)
        chosen = np.random.default_rng(schedule.seed).permutation(rows)[: schedule.images]
        chosen = np.sort(chosen)
        part = file.with_name(f".{file.name}.part")
        with part.open("wb") as written:
            for start in range(0, len(chosen), _CHUNK):
                batch = torch.from_numpy(images[chosen[start : start + _CHUNK]])
                pixels = batch.permute(0, 3, 1, 2)
                made = [_levels(network, augmented(pixels, random, form)) for form in _FORMS]
                written.write(np.stack(made, axis=1).astype(np.float16).tobytes())
        shape = (len(chosen), len(_FORMS), LEVELS)
        np.save(file, np.memmap(part, np.float16, "r", shape=shape))
        part.unlink()
    kept: npt.NDArray[np.float16] = np.load(file, mmap_mode="r")
    return kept


class InstanceLesson:
    """Trains a head so that of a batch's images each is nearest to its own change.

    The network stays as it is: `levels` (n, forms, 1840) is what `changed` made of images. The loss
    is the cross entropy of cosines, both ways. Source: van den Oord, Li, Vinyals, Representation
    Learning with Contrastive Predictive Coding, 2018.
    """

    def __init__(
        self, levels: npt.NDArray[np.float16], head: InstanceHead, schedule: InstanceSchedule
    ) -> None:
        self._levels, self.head, self._schedule = levels, head, schedule

    def run(self) -> Iterator[dict[str, float]]:
        """Train to the end; yield the loss and the share of images found, of each step."""
        schedule, head = self._schedule, self.head.train()
        optimiser = torch.optim.AdamW(head.parameters(), lr=schedule.rate, weight_decay=1e-2)
        plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
        random = np.random.default_rng(schedule.seed)
        size, forms = min(schedule.batch, len(self._levels)), self._levels.shape[1]
        right = torch.arange(size)
        for step in range(1, schedule.steps + 1):
            rows = np.sort(random.choice(len(self._levels), size, replace=False))
            one, other = random.choice(forms, 2, replace=False)
            both = np.concatenate([self._levels[rows, one], self._levels[rows, other]])
            made = functional.normalize(head(torch.from_numpy(both).float()), dim=1)
            scores = schedule.sharpness * made[:size] @ made[size:].T
            loss = functional.cross_entropy(scores, right)
            loss = loss + functional.cross_entropy(scores.T, right)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()
            found = float((scores.argmax(dim=0) == right).float().mean())
            yield {"instance_step": step, "loss": loss.item(), "found": found}
        head.eval()


def _levels(network: MiniNetwork, images: Any) -> npt.NDArray[np.float32]:
    inputs = ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        made: npt.NDArray[np.float32] = network.levels(inputs).float().numpy()
        return made
