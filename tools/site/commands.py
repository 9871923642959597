"""The command line: each command with its arguments, options and defaults."""

from collections.abc import Iterator
from typing import Any

import click


def page() -> str:
    """Return all commands in Markdown."""
    from imgsearch.cli import cli

    context = click.Context(cli, info_name="imgsearch")
    return "\n".join([_options(cli, context), *_commands(cli, context)])


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        level = "#" * (2 + inner.command_path.count(" ") - 1)
        yield f"{level} {inner.command_path}\n"
        yield f"{_text(command.help or '')}\n"
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
            continue
        yield f"```text\n{inner.command_path} {usage}\n```\n"
        yield _options(command, inner)


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is None or not record[1]:
            continue
        names, text = record
        rows.append(f"| {', '.join(f'`{name}`' for name in names.split(', '))} | {_cell(text)} |")
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


def _text(text: str) -> str:
    r"""Return a help text as Markdown: click's mark \b keeps the lines of a paragraph."""
    parts = []
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.splitlines()
        if lines[0].strip() == "\b":
            parts.append("```text\n" + "\n".join(lines[1:]) + "\n```")
        else:
            parts.append(_escaped(" ".join(line.strip() for line in lines)))
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    """Escape the marks of Markdown outside of code."""
    parts = text.split("`")
    for letter in "\\*_<[":
        parts[::2] = [part.replace(letter, f"\\{letter}") for part in parts[::2]]
    return "`".join(parts)


def _cell(text: Any) -> str:
    return _escaped(" ".join(str(text).split())).replace("|", "\\|")
