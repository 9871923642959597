"""Options of commands that fit something to images, and write it to a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from imgsearch.errors import ConfigError


def target(help_text: str) -> Callable[[Any], Any]:
    """Return the option ``--to``."""
    return click.option(
        "--to",
        "target",
        type=click.Path(dir_okay=False, path_type=Path),
        required=True,
        metavar="FILE.safetensors",
        help=help_text,
    )


def samples(help_text: str, *, default: int, least: int) -> Callable[[Any], Any]:
    """Return the option ``--samples``, a number of images of at least `least`."""
    return click.option(
        "--samples",
        type=click.IntRange(min=least),
        default=default,
        show_default=True,
        help=help_text,
    )


seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=2023,
    show_default=True,
    help="Seed of the random numbers.",
)
force = click.option("--force", is_flag=True, help="Replace the file if it is there.")


def check_new(target: Path, *, force: bool) -> None:
    """Check that the file does not exist, or may be replaced.

    Raises:
        ConfigError: it exists, and `force` is False.
    """
    if target.exists() and not force:
        raise ConfigError(f"{target} exists already; --force replaces it")
