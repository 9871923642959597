"""Wraps models for export, so that they take unscaled pixels."""

from typing import Any


def with_pixels(model: Any, mean: Any, std: Any) -> Any:
    """Return a torch module that applies `model` to uint8 pixels (n, height, width, 3).

    `mean` and `std` are tensors of three channels in [0, 1].
    """
    import torch

    class Pixels(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer("mean", mean.detach().cpu() * 255)
            self.register_buffer("std", std.detach().cpu() * 255)

        def forward(self, pixels: Any) -> Any:
            scaled = (pixels.float() - self.mean) / self.std
            return self.model(scaled.permute(0, 3, 1, 2)).float()

    return Pixels().eval()
