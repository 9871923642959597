"""A progress bar of a load, for terminals and notebooks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imgsearch.library.progress import Progress

Update = Callable[[Progress], None]


@contextmanager
def progress_bar(progress: bool | None, on_progress: Update | None) -> Iterator[Update | None]:  # noqa: FBT001 - a caller's option
    """Yield the function that a load reports its progress to while the block runs.

    A bar is shown on standard error if `progress` is True. If it is None, the bar is shown in
    terminals and notebooks, unless the caller has its own `on_progress`, which is always called.
    """
    automatic = progress is None and on_progress is None and _is_interactive()
    if not (progress or automatic):
        yield on_progress
        return
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

        def update(now: Progress) -> None:
            counts = f"{now.added} added, {now.skipped} skipped, {now.failed} failed"
            bars.update(task, completed=now.done, total=now.found, description=counts)
            if on_progress is not None:
                on_progress(now)

        yield update


def _is_interactive() -> bool:
    """Return whether a person sees standard error: in a terminal, or in a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
