"""What happens to training images on the way: what must not change a vector much."""

import math
from typing import Any

import torch
from torch.nn import functional

_GREY = (0.299, 0.587, 0.114)


def augmented(pixels: Any, random: torch.Generator) -> Any:
    """Return images, float32 (n, 3, h, w) in [0, 1], from a tensor uint8 of that shape.

    Each is cropped, stretched, mirrored and turned a little; its brightness, contrast and colour
    change, some lose colour altogether, some are blurred, some get noise.
    """
    images = _moved(pixels.float() / 255, random)
    images = _coloured(images, random)
    blurred = _chance(len(images), 0.1, random)
    if blurred.any():
        around = functional.pad(images[blurred], (1, 1, 1, 1), mode="reflect")
        images[blurred] = functional.avg_pool2d(around, 3, 1)
    noisy = _chance(len(images), 0.1, random)
    if noisy.any():
        noise = torch.randn(images[noisy].shape, generator=random)
        images[noisy] = images[noisy] + 0.05 * noise
    return images.clamp(0, 1)


def _moved(images: Any, random: torch.Generator) -> Any:
    count = len(images)
    scale = _between(0.65, 1.1, count, random).sqrt()
    aspect = (_between(math.log(0.8), math.log(1.25), count, random) / 2).exp()
    angle = 0.12 * torch.randn(count, generator=random)  # radians; 7 degrees
    angle[_chance(count, 0.5, random)] = 0
    wide, high = scale * aspect, scale / aspect
    mirror = torch.where(_chance(count, 0.5, random), -1.0, 1.0)
    across = _between(-1, 1, count, random) * (1 - wide).clamp(min=0)
    down = _between(-1, 1, count, random) * (1 - high).clamp(min=0)
    cosine, sine = angle.cos(), angle.sin()
    first = torch.stack([wide * cosine * mirror, -high * sine, across], 1)
    second = torch.stack([wide * sine * mirror, high * cosine, down], 1)
    grid = functional.affine_grid(
        torch.stack([first, second], 1), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _coloured(images: Any, random: torch.Generator) -> Any:
    count = len(images)
    brightness, contrast = (_between(0.65, 1.35, count, random)[:, None, None, None] for _ in "12")
    colour = _between(0.4, 1.4, count, random)[:, None, None, None]
    colour[_chance(count, 0.08, random)] = 0
    images = images * brightness
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * contrast + middle
    grey = (images * torch.tensor(_GREY)[:, None, None]).sum(1, keepdim=True)
    return grey + (images - grey) * colour


def _between(low: float, high: float, count: int, random: torch.Generator) -> Any:
    return low + (high - low) * torch.rand(count, generator=random)


def _chance(count: int, share: float, random: torch.Generator) -> Any:
    return torch.rand(count, generator=random) < share
