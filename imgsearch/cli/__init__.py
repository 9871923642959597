"""The command line: words in, tables out. No logic of its own."""

from imgsearch.cli.main import cli, main

__all__ = ["cli", "main"]
