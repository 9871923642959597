"""Terminal output. Tables and JSON go to standard output, notes and bars to standard error.

rich is imported when it prints, because its import takes 25 ms of a search.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.errors import ConfigError
from imgsearch.images.sources import unprintable
from imgsearch.types import Failure

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LISTED: Final = 10
"""Failures in the terminal, which are followed by the number of the rest."""


def echo_json(data: Any) -> None:
    """Print `data` as JSON."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """Print a note on standard error."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True, highlight=False).print(Text(text))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 0) -> None:
    """Print a table, with the first `right` columns aligned to the right.

    If standard output is not a terminal, each row is one line of tab-separated cells.
    """
    if not sys.stdout.isatty():
        for row in (columns, *rows) if any(columns) else rows:
            click.echo("\t".join(printable(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        grid.add_column(column, justify="right" if place < right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(grid)


def figure(judged: Mapping[str, Any], name: str) -> str:
    """Format a measure with its interval; `judged` has the keys "NAME" and "NAME_interval"."""
    return "{:.3f} ({:.3f}–{:.3f})".format(judged[name], *judged[f"{name}_interval"])  # noqa: RUF001


def printable(text: str) -> str:
    """Return `text` with escaped control characters: file names must not control a terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text
    )


def paths(names: Sequence[str], *, nul: bool = False) -> None:
    """Print paths as file-system bytes, each followed by a newline, or by NUL with `nul`.

    On a terminal, control characters are escaped with `printable`.
    """
    if sys.stdout.isatty() and not nul:
        for name in names:
            click.echo(printable(name))
        return
    end = b"\0" if nul else b"\n"
    for name in names:
        click.echo(_file_name(name) + end, nl=False)


def _file_name(path: str) -> bytes:
    """Return a path as file-system bytes, undoing the escapes of `sources.printable`."""
    if "\\udc" in path and not os.path.lexists(path):
        path = unprintable(path)
    return os.fsencode(path)


@contextmanager
def progress(*, hidden: bool) -> Iterator["Bars"]:
    """Show progress bars on standard error while the block runs."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as bars:
        yield Bars(bars)


class Bars:
    """Progress bars, one for each stage; the first update of a stage adds its bar."""

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def update(self, stage: str, done: int, total: int, counts: str = "") -> None:
        """Update the bar of `stage`."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, counts=counts)
        self._bars.update(self._tasks[stage], completed=done, total=total, counts=counts)


def write(path: Path, content: str | bytes) -> None:
    """Write a result file atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def failures(failures: Sequence[Failure], number: int, report: Path | None) -> None:
    """Print the first of `number` failures. `report` is the file that names all, if any."""
    for failed in failures[:LISTED]:
        named = failed.path in failed.reason  # not an error of a step or of the store
        reason = failed.reason if named else f"{failed.path}: {failed.reason}"
        note(f"  {printable(reason)}")
    if number > LISTED:
        where = f"{report} lists all" if report else "--report FILE lists all"
        note(f"  … and {number - LISTED} more; {where}")
