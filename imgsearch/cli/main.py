"""The command group, and exit codes for errors."""

import io
import re
import sys
from itertools import pairwise
from typing import Any

import click
from typing_extensions import override

from imgsearch import __version__
from imgsearch.cli import garbage
from imgsearch.errors import ImgSearchError

# command → its module in imgsearch.cli, imported when the command is used
_COMMANDS = {
    "add": "library",
    "backup": "backup",
    "calibrate": "calibrate",
    "compare": "compare",
    "copy": "copy",
    "data": "data",
    "dedup": "dedup",
    "demo": "demo",
    "doctor": "doctor",
    "embed": "embed",
    "evaluate": "evaluate",
    "fields": "fields",
    "find": "find",
    "info": "library",
    "jobs": "jobs",
    "keys": "keys",
    "list": "records",
    "migrate": "migrate",
    "mcp": "mcp",
    "models": "models",
    "plan": "plan",
    "reduce": "reduce",
    "remove": "library",
    "repair": "repair",
    "restore": "backup",
    "search": "search",
    "serve": "serve",
    "sync": "sync",
    "tag": "tag",
    "threshold": "threshold",
    "train": "train",
    "tune": "tune",
    "ui": "ui",
}

_WITHOUT_VALUE = re.compile(r"--[\w-]+=")


class _Lazy(click.Group):
    """A group that imports a command's module on use, so that other commands start quickly."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from importlib import import_module

        if cmd_name not in _COMMANDS:
            return None
        with garbage.paused():
            module = import_module(f"imgsearch.cli.{_COMMANDS[cmd_name]}")
        function = "list_images" if cmd_name == "list" else cmd_name  # not a builtin's name
        command: click.Command = getattr(module, function)
        return command

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # An unset variable in a script becomes an empty argument, which most options would ignore.
        for before, word in pairwise(("", *args)):
            if not word or _WITHOUT_VALUE.fullmatch(word):
                fault = (
                    f"{word} has no value" if word else f"the argument after {before!r} is empty"
                )
                raise click.UsageError(fault)
        return super().parse_args(ctx, args)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ImgSearchError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            raise
        except OSError as error:  # e.g. a full disk, or a name that is too long
            raise click.ClickException(f"{error.filename or 'output'}: {error.strerror}") from error


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Index folders of images, and search them with images or texts.

    The library is an embedded Milvus file, photos.db, unless --db or IMGSEARCH_DB names another
    store, such as milvus://HOST:19530.
    """


def main() -> None:
    """Run the command line. The exit code is 1 after an error and 2 after a usage error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # its encoding may lack characters of a file name
            stream.reconfigure(errors="backslashreplace")
    try:
        cli.main(standalone_mode=True)
    except BrokenPipeError:  # `imgsearch … | head`
        sys.exit(0)
