"""A progress bar of a load, for terminals and notebooks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from imgsearch.library.progress import Progress

Update = Callable[[Progress], None]
_INTERVAL: Final = 0.2  # seconds between two updates of a notebook's page


@contextmanager
def progress_bar(progress: bool | None, on_progress: Update | None) -> Iterator[Update | None]:  # noqa: FBT001 - a caller's option
    """Yield the function that a load reports its progress to while the block runs.

    A bar is shown on standard error if `progress` is True. If it is None, the bar is shown in
    terminals and notebooks, unless the caller has its own `on_progress`, which is always called.
    """
    automatic = progress is None and on_progress is None
    if progress is False or not (progress or (automatic and (_in_terminal() or _in_notebook()))):
        yield on_progress
        return
    with _notebook_bar() if _in_notebook() else _terminal_bar() as show:

        def update(now: Progress) -> None:
            show(now)
            if on_progress is not None:
                on_progress(now)

        yield update


@contextmanager
def _terminal_bar() -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("adding"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=None)
        yield lambda now: bars.update(
            task, completed=now.done, total=now.found, description=_counts(now)
        )


@contextmanager
def _notebook_bar() -> Iterator[Update]:
    """Yield a function that redraws one line of the cell's output; it needs no ipywidgets."""
    from IPython.display import HTML, display

    cell = display(HTML(""), display_id=True)
    last, drawn = Progress(), 0.0

    def draw(now: Progress) -> None:
        nonlocal last, drawn
        last = now
        if monotonic() - drawn >= _INTERVAL:
            cell.update(HTML(_html(now)))
            drawn = monotonic()

    try:
        yield draw
    finally:
        cell.update(HTML(_html(last)))


def _html(now: Progress) -> str:
    of = max(now.found, now.done)
    return (
        f'<progress value="{now.done}" max="{max(of, 1)}"></progress> '
        f"{now.done}/{of} {_counts(now)}"
    )


def _counts(now: Progress) -> str:
    return f"{now.added} added, {now.skipped} skipped, {now.failed} failed"


def _in_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
