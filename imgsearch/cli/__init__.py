"""The command line. It translates options to use cases, and results to tables, JSON and pages."""

from imgsearch.cli.main import cli, main

__all__ = ["cli", "main"]
