"""backup and restore: copy a service's archive to files, and fill an empty archive from them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsearch.cli import options, show
from imgsearch.errors import ConfigError
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.archive.backup import Backup, Stores


@click.command()
@options.archive
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="Empty folder, or a new file whose name ends in .tar.",
)
@options.as_json
def backup(data: Path, db: str | None, target: Path, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Copy a service's archive to a folder or a tar file.

    Catalog, originals and vectors are copied. The copy has no store's own format: `imgsearch
    restore` fills stores of any kind from it. An interrupted backup can be run again. An embedded
    store is open in one process at a time, so stop its service first; servers can be backed up
    while the service runs. API keys are copied as hashes.
    """
    from imgsearch.archive.backup import backup as back_up
    from imgsearch.archive.backup_file import backup_to_file

    stores = _stores(data, db)
    if not data.is_dir() and str(data / "catalog.db") == stores.catalog:
        raise ConfigError(f"the folder {data} does not exist. Name the service's with --data.")
    with show.progress(hidden=as_json) as bars:
        if target.suffix == ".tar":
            done = backup_to_file(stores, target, on_progress=bars.update)
        else:
            done = back_up(stores, target, on_progress=bars.update)
    _report(done, "backed up", as_json=as_json)


@click.command()
@click.argument("source", metavar="BACKUP", type=click.Path(exists=True, path_type=Path))
@options.archive
@options.as_json
def restore(source: Path, data: Path, db: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Fill an empty archive from a BACKUP.

    BACKUP is a folder or a tar file of `imgsearch backup`. Each file is checked by its sha256
    first. The stores may be of other kinds: --db, IMGSEARCH_DB,
    IMGSEARCH_CATALOG and IMGSEARCH_OBJECTS name them. Stores that are not empty are refused. An
    interrupted restore can be run again.
    """
    from imgsearch.archive.backup_file import unpacked
    from imgsearch.archive.restore import restore as restore_to

    with show.progress(hidden=as_json) as bars, unpacked(source, data) as folder:
        done = restore_to(folder, data, _stores(data, db), on_progress=bars.update)
    _report(done, "restored", as_json=as_json)


def _stores(data: Path, db: str | None) -> "Stores":
    from imgsearch.archive.backup import Stores

    settings = Settings.from_environment()
    url = db or settings.db or str(data / "vectors.db")
    return Stores(
        db=url,
        catalog=settings.catalog or str(data / "catalog.db"),
        originals=settings.objects or str(data / "originals"),
        token=settings.token(url),
        catalog_password=settings.catalog_password,
        s3_key=settings.s3_key,
        s3_secret=settings.s3_secret,
        timeout=settings.timeout,
    )


def _report(done: "Backup", verb: str, *, as_json: bool) -> None:
    if as_json:
        counts = {"images": done.images, "vectors": done.vectors, "originals": done.originals}
        show.echo_json({"id": done.id, **counts, "missing": list(done.missing)})
        return
    show.note(
        f"{counted(done.images, 'image')}, {counted(done.vectors, 'vector')} and "
        f"{counted(done.originals, 'original')} {verb}"
    )
    if done.missing:
        show.note(f"  {counted(len(done.missing), 'original is', 'originals are')} missing")
