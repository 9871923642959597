"""The documentation builds without warnings, and has every command, option and variable."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from imgsearch.cli import cli
from imgsearch.settings import VARIABLES
from tools.site import hooks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.long, pytest.mark.process]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def commands(group, context):
    """Yield each command with its context."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from commands(command, inner)
        else:
            yield command, inner


def test_page_of_the_command_line_has_every_command_and_option(site):
    page = re.sub(r"<[^>]+>", "", (site / "cli.html").read_text(encoding="utf-8"))
    for command, context in commands(cli, click.Context(cli, info_name="imgsearch")):
        start = page.index(f"\n{context.command_path} ", page.index("All commands and options"))
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in page[start:], (context.command_path, option.opts)


def test_options_do_not_break_at_hyphens():
    html = "<p><code>sync --dry-run</code> a--b <code>x-y</code></p>"
    assert hooks.on_page_content(html, None, None, None) == (
        '<p><code>sync <span class="option">--dry-run</span></code> a--b <code>x-y</code></p>'
    )


def test_page_of_the_settings_has_every_variable(site):
    page = (site / "settings.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in page for name in VARIABLES)


def test_pages_load_nothing_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 100
    loaded = re.compile(
        r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
        r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//"
        r"|@import|url\([\"']?https?:"
    )
    for path in (*pages, *site.rglob("*.css")):
        assert not loaded.search(path.read_text(encoding="utf-8")), path


def test_public_names_have_a_description(site):
    import imgsearch

    text = "".join(path.read_text(encoding="utf-8") for path in (site / "python").glob("*.html"))
    for name in imgsearch.__all__:
        if name not in ("__version__", "errors"):
            assert re.search(rf'id="imgsearch\.[\w.]*\b{name}"', text) or name in (
                "models",
                "load_encoder",
            ), name
