"""The help of every command: whole sentences, and examples as they are typed."""

import click
import pytest

from imgsearch.cli import cli


def commands(group=cli, words=()):
    """Yield (words, command) of every command and group, the outermost first."""
    yield words, group
    for name in group.list_commands(None) if isinstance(group, click.Group) else ():
        yield from commands(group.get_command(None, name), (*words, name))


COMMANDS = dict(commands())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_whole_sentences_and_no_control_letters(run, words):
    done = run(*words, "--help")
    assert done.exit_code == 0
    listed = done.stdout.partition("Commands:")[2]
    assert not [line for line in listed.splitlines() if line.endswith(("...", "…"))]
    assert "\\b" not in done.stdout
    assert "\b" not in done.stdout


def test_examples_are_a_line_each(run):
    for command in ("serve", "evaluate", "tune"):
        lines = run(command, "--help").stdout.splitlines()
        examples = [line for line in lines if line.startswith(f"      imgsearch {command}")]
        assert len(examples) >= 2, command
