"""How the text side learns: rows of a table, so that their sums lie where texts are wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from imgsearch.encoders.lite.lexicon import Lexicon
from imgsearch.encoders.mini.training.teacher import unit_rows
from imgsearch.encoders.mini.training.vocabulary import Vocabulary
from imgsearch.types import Matrix


@dataclass(frozen=True)
class TextSchedule:
    """How long and how fast, and what holds rows back.

    `names` weighs that each entry by itself stays where it lies, `stay` that a row stays as it was.
    """

    steps: int = 400
    batch: int = 256
    rate: float = 3e-3
    names: float = 3.0
    stay: float = 0.3
    seed: int = 7


class TextLesson:
    """Fits the table of a vocabulary to texts and the unit vectors (n, dim) `wanted` for them."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        texts: Sequence[str],
        wanted: Matrix,
        schedule: TextSchedule | None = None,
    ) -> None:
        self._schedule = schedule or TextSchedule()
        self._lexicon = Lexicon(vocabulary.entries)
        found = [self._lexicon.find(text)[0] for text in texts]
        told = [place for place, rows in enumerate(found) if rows]
        self._rows = [found[place] for place in told]
        self._wanted = torch.from_numpy(np.ascontiguousarray(wanted[told]))
        self._places = torch.from_numpy(vocabulary.places)
        self._first = torch.from_numpy(vocabulary.table())
        self._table = nn.Parameter(self._first.clone())

    @property
    def table(self) -> Matrix:
        """The rows as they are now, float32 (n, dim)."""
        return np.array(self._table.detach().numpy(), dtype=np.float32)

    def run(self) -> Iterator[float]:
        """Train to the end; yield each step's mean cosine between texts and what is wanted."""
        schedule = self._schedule
        optimiser = torch.optim.Adam([self._table], lr=schedule.rate)
        random = np.random.default_rng(schedule.seed)
        for _ in range(schedule.steps):
            chosen = random.choice(len(self._rows), schedule.batch)
            alone = torch.from_numpy(random.choice(len(self._table), schedule.batch))
            rows, made = self._sums(chosen)
            cosine = (made * self._wanted[chosen]).sum(1).mean()
            by_itself = functional.normalize(self._table[alone], dim=1)
            apart = 1 - (by_itself * self._places[alone]).sum(1).mean()
            moved = (self._table[rows] - self._first[rows]).square().sum(1).mean()
            optimiser.zero_grad()
            (1 - cosine + schedule.names * apart + schedule.stay * moved).backward()
            optimiser.step()
            yield cosine.item()

    def vectors(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of texts; of one without a known word zeros."""
        table = self.table
        made = np.zeros((len(texts), table.shape[1]), dtype=np.float32)
        for place, text in enumerate(texts):
            made[place] = table[self._lexicon.find(text)[0]].sum(axis=0)
        return unit_rows(made)

    def _sums(self, chosen: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        rows = [self._rows[each] for each in chosen]
        starts = np.cumsum([0, *map(len, rows)])[:-1]
        flat = torch.tensor(np.concatenate(rows))
        summed = functional.embedding_bag(flat, self._table, torch.from_numpy(starts), mode="sum")
        return flat, functional.normalize(summed, dim=1)
