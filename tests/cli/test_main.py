"""The help of every command: whole sentences, and examples as they are typed."""

import re

import click
import pytest

from imgsearch.cli import cli


def commands(group=cli, words=()):
    """Yield (words, command) of every command and group, the outermost first."""
    yield words, group
    for name in group.list_commands(None) if isinstance(group, click.Group) else ():
        yield from commands(group.get_command(None, name), (*words, name))


def first_word(text):
    """Return the first word of a help text, "" if the text is missing."""
    return re.match(r"[\w-]*", text or "")[0]


COMMANDS = dict(commands())

# first words of the help of commands and switches; a new command may add its verb
VERBS = {
    "Add", "Allow", "Cancel", "Check", "Compare", "Confirm", "Copy", "Count", "Create", "Declare",
    "Do", "Download", "Embed", "Estimate", "Fill", "Find", "Finish", "Fit", "Group", "Index",
    "Keep", "Leave", "Let", "List", "Log", "Make", "Measure", "Open", "Print", "Read", "Remove",
    "Replace", "Revoke", "Run", "Search", "Separate", "Serve", "Show", "Start", "Train", "Wait",
    "Write",
}  # fmt: skip
# words that begin a remark; the help of an option with a value names that value, or has a verb
REMARKS = {
    "a", "also", "an", "as", "at", "behind", "for", "from", "how", "if", "in", "instead", "it",
    "its", "likewise", "of", "one", "the", "when", "where", "whether", "which", "with", "without",
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_starts_with_a_verb_or_names_the_value(words):
    command = COMMANDS[words]
    assert first_word(command.help) in VERBS, command.help
    for option in command.params:
        if isinstance(option, click.Option):
            word = first_word(option.help)
            if option.is_flag:
                assert word in VERBS, f"{option.opts[-1]}: {option.help}"
            else:
                assert word[:1].isupper(), f"{option.opts[-1]}: {option.help}"
                assert word.lower() not in REMARKS, f"{option.opts[-1]}: {option.help}"


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


def test_constants_repeated_for_a_quick_help_equal_the_originals():
    from imgsearch.cli import calibrate, reduce
    from imgsearch.encoders.export import calibration
    from imgsearch.encoders.reduction import fit

    assert reduce._METHODS == fit.KINDS
    assert calibrate._LEAST == calibration.LEAST
