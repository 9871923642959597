"""Small distinct pictures for tests, drawn quickly from a seed."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imgsearch.types import Pixels

_WORDS = ["river", "engine", "invoice", "größe", "stone", "garden", "paper", "market", "letter"]


def picture(seed: int, size: tuple[int, int] = (64, 48)) -> Pixels:
    """Return smooth random colors, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def write(folder: Path, number: int, *, start: int = 0, suffix: str = ".png") -> list[Path]:
    """Write pictures numbered from `start`; return their paths, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"bild-ü {place:04d}{suffix}" for place in range(start, start + number)]
    for place, path in enumerate(paths, start):
        Image.fromarray(picture(place)).save(path)
    return paths


def write_shade(folder: Path, number: int, *, start: int = 0, bright: bool) -> None:
    """Write pictures of the dark or bright half of the gray levels, which encoders distinguish."""
    for place, path in enumerate(write(folder, number, start=start), start):
        shade = picture(place) // 4 + np.uint8(190 if bright else 0)
        Image.fromarray(shade).save(path)


@lru_cache(maxsize=32)  # text takes 2 ms a line
def page(seed: int, size: tuple[int, int] = (300, 420)) -> Pixels:
    """Return a page of random words, black on white: pages differ only in their words."""
    rng = np.random.default_rng(seed)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for top in range(24, size[1] - 24, 16):
        words = " ".join(rng.choice(_WORDS, 9))
        draw.text((20, top), words, fill="black", font=font)
    return np.asarray(sheet)
