"""data: download published datasets, and check them against their manifests."""

import shlex
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import click

from imgsearch.cli import options, show
from imgsearch.datasets.download import redact
from imgsearch.datasets.fetch import PUBLISHED, summarize
from imgsearch.datasets.fetch import fetch as fetch_dataset
from imgsearch.datasets.manifest import Manifest, OnProgress
from imgsearch.errors import DownloadError
from imgsearch.settings import Settings
from imgsearch.text import counted

_DEFAULT: Final = "imagenet-subset"
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_other = click.option(
    "--manifest",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Manifest to check against, written by `imgsearch data manifest`.",
)


@click.group()
def data() -> None:
    """Download a published dataset, or compare a folder with one."""


@data.command()
@click.argument("name", type=click.Choice(tuple(PUBLISHED)))
@click.option("--url", help="URL of the archive, if it is not the published one.")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, path_type=Path),
    help="Local archive, or folder with its files, to use without a download.",
)
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files.  [default: data/NAME]",
)
@_other
@options.as_json
def fetch(
    name: str,
    url: str | None,
    source: Path | None,
    folder: Path | None,
    file: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Download the dataset NAME, and check the sha256 of each file.

    Correct files are kept, so an interrupted download can be run again. Archives are zip files;
    only the files in the manifest are unpacked.
    """
    if url and source:
        raise click.UsageError("--url and --from exclude each other")
    published, place = PUBLISHED[name], folder or Path("data") / name
    manifest = _manifest(name, file)
    show.note(f"{name}: {counted(len(manifest.files), 'file')}, {manifest.total / 1e6:.1f} MB")
    show.note(published.terms)
    try:
        with show.progress(hidden=as_json) as bars:
            done = fetch_dataset(
                manifest,
                place,
                url=url or published.url,
                source=source,
                offline=Settings.from_environment().offline,
                on_progress=_megabytes(bars),
            )
    except DownloadError as error:
        hint = _offline_advice(name, redact(url or published.url), folder, file)
        raise DownloadError(f"{error}\n{hint}") from error
    if as_json:
        show.echo_json({"folder": str(place), **asdict(done)})
        return
    _note_names("skipped in the archive, because the manifest lacks them", done.passed)
    _note_names("in the folder, but not in the manifest", done.extra)
    changes = f"{done.written:,} written, {done.kept:,} unchanged" if done.written else "no changes"
    show.note(f"{show.printable(str(place))}: {changes}, all files are correct")


@data.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@_other
@options.as_json
@click.pass_context
def check(
    context: click.Context,
    folder: Path,
    file: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """List the differences between DIR and a published dataset.

    The dataset is imagenet-subset, unless --manifest names another one. A line is "missing PATH",
    "wrong PATH" (the size or content differs) or "extra PATH" (not in the manifest; hidden files
    are not listed). The exit code is 1 if there is a difference, because results would not be
    comparable with published ones.
    """
    with show.progress(hidden=as_json) as bars:
        verdict = _manifest(_DEFAULT, file).check(folder, _megabytes(bars))
    differing = {"missing": verdict.missing, "wrong": verdict.wrong, "extra": verdict.extra}
    if as_json:
        show.echo_json({"folder": str(folder), "good": len(verdict.good), **differing})
    else:
        for kind, paths in differing.items():
            for path in paths:
                click.echo(f"{kind} {show.printable(path)}")
        counts = ", ".join(f"{len(paths):,} {kind}" for kind, paths in differing.items())
        show.note(f"{len(verdict.good):,} correct, {counts}")
    context.exit(1 if any(differing.values()) else 0)


@data.command("manifest")
@click.argument("folder", metavar="DIR", type=_FOLDER)
def manifest_(folder: Path) -> None:
    """Print a line for each file in DIR: path, size and sha256."""
    click.echo(Manifest.of(folder).text(), nl=False)


def _manifest(name: str, file: Path | None) -> Manifest:
    return Manifest.read(file) if file else Manifest.published(name)


def _offline_advice(name: str, url: str, folder: Path | None, file: Path | None) -> str:
    """Return instructions for a machine without network access."""
    archive = PurePosixPath(urlsplit(url).path).name or "archive.zip"
    words = ["imgsearch", "data", "fetch", name, "--from", archive]
    words += ["--to", str(folder)] if folder else []
    words += ["--manifest", str(file)] if file else []
    return (
        f"Without network access, download {url} on another machine, save it in this folder as "
        f"{archive}, and run: {shlex.join(words)}"
    )


def _note_names(title: str, names: tuple[str, ...]) -> None:
    if names:
        show.note(show.printable(f"{title}: {summarize(names)}"))


def _megabytes(bars: Any) -> OnProgress:
    def update(stage: str, done: int, total: int) -> None:
        bars.update(stage, -(-done // 1_000_000), -(-total // 1_000_000), "MB")

    return update
