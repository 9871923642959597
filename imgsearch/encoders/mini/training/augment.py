"""What happens to training images on the way: what must not change a vector much."""

import math
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Chances:
    """The shares of images to which something rare happens."""

    tight: float = 0.2
    turned: float = 0.08
    barred: float = 0.1
    grey: float = 0.08
    blurred: float = 0.1
    noisy: float = 0.1


USUAL: Final = Chances()
HARD: Final = Chances(tight=0.45, turned=0.2, barred=0.35, grey=0.25, blurred=0.2)
"""For finding an image again, whatever was done to it."""


def augmented(
    pixels: Any, random: torch.Generator, chances: Chances = USUAL, edge: int | None = None
) -> Any:
    """Return images, float32 (n, 3, edge, edge) in [0, 1], from a tensor uint8 (n, 3, h, w).

    Each is cropped, stretched, mirrored and turned a little, some cropped to a quarter of their
    area, some turned by a quarter or half; brightness, contrast and colour change, some lose colour
    altogether, some are blurred, some get noise, some a bar of one colour across.
    """
    images = _moved(pixels.float() / 255, random, chances, edge or pixels.shape[-1])
    images = _coloured(images, random, chances)
    _bar(images, random, chances)
    blurred = _chance(len(images), chances.blurred, random)
    if blurred.any():
        around = functional.pad(images[blurred], (1, 1, 1, 1), mode="reflect")
        images[blurred] = functional.avg_pool2d(around, 3, 1)
    noisy = _chance(len(images), chances.noisy, random)
    if noisy.any():
        noise = torch.randn(images[noisy].shape, generator=random)
        images[noisy] = images[noisy] + 0.05 * noise
    return images.clamp(0, 1)


def _moved(images: Any, random: torch.Generator, chances: Chances, edge: int) -> Any:
    count, channels = images.shape[:2]
    scale = _between(0.6, 1.1, count, random).sqrt()
    tight = _chance(count, chances.tight, random)
    scale[tight] = _between(0.25, 0.6, int(tight.sum()), random).sqrt()
    aspect = (_between(math.log(0.8), math.log(1.25), count, random) / 2).exp()
    angle = 0.12 * torch.randn(count, generator=random)  # radians; 7 degrees
    angle[_chance(count, 0.5, random)] = 0
    turned = _chance(count, chances.turned, random)
    angle[turned] += math.pi / 2 * torch.randint(1, 4, (int(turned.sum()),), generator=random)
    wide, high = scale * aspect, scale / aspect
    mirror = torch.where(_chance(count, 0.5, random), -1.0, 1.0)
    across = _between(-1, 1, count, random) * (1 - wide).clamp(min=0)
    down = _between(-1, 1, count, random) * (1 - high).clamp(min=0)
    cosine, sine = angle.cos(), angle.sin()
    first = torch.stack([wide * cosine * mirror, -high * sine, across], 1)
    second = torch.stack([wide * sine * mirror, high * cosine, down], 1)
    grid = functional.affine_grid(
        torch.stack([first, second], 1), [count, channels, edge, edge], align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _coloured(images: Any, random: torch.Generator, chances: Chances) -> Any:
    count = len(images)
    brightness = _between(0.6, 1.5, count, random)[:, None, None, None]
    contrast = _between(0.7, 1.3, count, random)[:, None, None, None]
    colour = _between(0.4, 1.4, count, random)[:, None, None, None]
    colour[_chance(count, chances.grey, random)] = 0
    images = images * brightness
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * contrast + middle
    grey = (images * torch.tensor(_GREY)[:, None, None]).sum(1, keepdim=True)
    return grey + (images - grey) * colour


def _bar(images: Any, random: torch.Generator, chances: Chances) -> None:
    """Draw up to three bars of one colour across some images, in place."""
    height = images.shape[2]
    for row in torch.nonzero(_chance(len(images), chances.barred, random)).flatten().tolist():
        thick = int(torch.randint(2, height // 8, (1,), generator=random))
        colour = torch.rand(3, generator=random).round()  # black, white, or a plain one
        for _ in range(int(torch.randint(1, 4, (1,), generator=random))):
            top = int(torch.randint(0, height - thick, (1,), generator=random))
            images[row, :, top : top + thick] = colour[:, None, None]


def _between(low: float, high: float, count: int, random: torch.Generator) -> Any:
    return low + (high - low) * torch.rand(count, generator=random)


def _chance(count: int, share: float, random: torch.Generator) -> Any:
    return torch.rand(count, generator=random) < share
