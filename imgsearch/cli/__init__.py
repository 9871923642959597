"""The command line: runs library calls from options, and prints tables, JSON and HTML pages."""

from imgsearch.cli.main import cli, main

__all__ = ["cli", "main"]
