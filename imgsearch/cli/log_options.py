"""Options for the logs of the commands that serve."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from imgsearch import logs
from imgsearch.cli import show
from imgsearch.errors import ImgSearchError

F = TypeVar("F", bound=Callable[..., Any])
_log = logging.getLogger(logs.NOTES)


def log(command: F) -> F:
    """Add --log-format, --log-level and --access-log."""
    form = click.option(
        "--log-format",
        type=click.Choice(logs.FORMATS),
        default="text",
        show_default=True,
        help="Format of log lines: text, or one JSON object a line.",
    )
    level = click.option(
        "--log-level",
        type=click.Choice(logs.LEVELS),
        default="warning",
        show_default=True,
        help="Lowest level of log lines.",
    )
    access = click.option(
        "--access-log",
        is_flag=True,
        help="Log each request: method, route, status, ms, bytes, and the ids of key and request.",
    )
    return form(level(access(command)))


@contextmanager
def logging_by(
    log_format: logs.Format, log_level: logs.Level, *, access_log: bool
) -> Iterator[Callable[[str], None]]:
    """Log as the options say, within the block. Provides the function that prints notes.

    In the format json the notes are log lines, too, and an error that ends the command is one.
    """
    with logs.logging_to_stderr(log_format, log_level, access=access_log):
        if log_format == "text":
            yield show.note
            return
        try:
            yield _log.info
        except ImgSearchError as error:
            _log.error("%s", error)
            sys.exit(1)
