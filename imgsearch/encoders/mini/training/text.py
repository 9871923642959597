"""The text side of `mini`: a table of word parts and two layers, and how they learn."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from imgsearch.encoders.mini.words import BUCKETS, Features, features
from imgsearch.types import Matrix

_WIDTH: Final = 96
_HIDDEN: Final = 384


class TextNetwork(nn.Module):  # type: ignore[misc]  # torch is not checked
    """Sparse features of n texts → float32 (n, dim), of any norm."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(BUCKETS, _WIDTH, mode="sum", include_last_offset=True)
        nn.init.normal_(self.table.weight, std=1.0)
        self.hidden, self.head = nn.Linear(_WIDTH, _HIDDEN), nn.Linear(_HIDDEN, dim)

    def forward(self, buckets: Any, shares: Any, starts: Any) -> Any:
        """Return the embeddings."""
        summed = self.table(buckets, starts, per_sample_weights=shares)
        return self.head(functional.gelu(self.hidden(summed)))


class TextLesson:
    """Trains a `TextNetwork` to give unit vectors `wanted`, (n, dim), for n texts.

    `weights` (n,) tells how often a text is drawn, against others; the same seed draws the same.
    """

    def __init__(
        self,
        texts: Sequence[str],
        wanted: Matrix,
        weights: npt.NDArray[np.float64],
        *,
        steps: int = 6_000,
        batch: int = 512,
        rate: float = 2e-3,
        seed: int = 7,
    ) -> None:
        torch.manual_seed(seed)
        self.network = TextNetwork(wanted.shape[1])
        self._features, self._wanted = features(texts), torch.from_numpy(wanted)
        self._chances = weights / weights.sum()
        self._steps, self._batch, self._rate, self._seed = steps, batch, rate, seed

    def run(self) -> Iterator[float]:
        """Train to the end; yield each step's mean cosine to what is wanted."""
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=self._rate, weight_decay=0.01)
        plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self._steps)
        random = np.random.default_rng(self._seed)
        for _ in range(self._steps):
            rows = random.choice(len(self._chances), self._batch, p=self._chances)
            made = functional.normalize(self.network(*tensors(picked(self._features, rows))), dim=1)
            cosine = (made * self._wanted[rows]).sum(1).mean()
            optimiser.zero_grad(set_to_none=True)
            (1 - cosine).backward()
            optimiser.step()
            plan.step()
            yield cosine.item()

    def vectors(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of texts."""
        with torch.inference_mode():
            made = self.network.eval()(*tensors(features(texts)))
            return np.asarray(functional.normalize(made, dim=1).numpy(), dtype=np.float32)


def picked(rows: Features, chosen: npt.NDArray[np.int64]) -> Features:
    """Return the features of some rows, in the order chosen."""
    lengths = rows.starts[chosen + 1] - rows.starts[chosen]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    places = np.repeat(rows.starts[chosen], lengths) + within
    return Features(rows.buckets[places], rows.shares[places], starts)


def tensors(rows: Features) -> tuple[Any, Any, Any]:
    """Return features as the network takes them."""
    return tuple(map(torch.from_numpy, (rows.buckets, rows.shares, rows.starts)))
