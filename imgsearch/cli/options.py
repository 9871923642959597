"""Options that several commands share, and functions that open the selected library or archive."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from imgsearch import images
from imgsearch.cli import show
from imgsearch.errors import ConfigError, StoreLocked
from imgsearch.fields import declared
from imgsearch.library import stores
from imgsearch.settings import Settings

_MILLION: Final = 1_000_000
F = TypeVar("F", bound=Callable[..., Any])
FIELDS: Final = ("id_field", "vector_field", "path_field", "label_field")


def store(command: F) -> F:
    """Add --db and --collection."""
    db = click.option(
        "--db",
        metavar="URL",
        help="Store: PATH.db, milvus://HOST:PORT/NAME or tencent://HOST/NAME.",
    )
    collection = click.option(
        "--collection", default="images", show_default=True, help="Collection of the store."
    )
    return db(collection(command))


def encoder(command: F) -> F:
    """Add --model, --weights and --option."""
    model = click.option(
        "--model",
        metavar="NAME",
        help="Encoder: lite (the default), classic, timm:NAME …; see `imgsearch models`.",
    )
    option = click.option(
        "--option",
        "options",
        multiple=True,
        metavar="KEY=VALUE",
        help="Option of the model, e.g. pad_type=same or mean=0.5,0.5,0.5; repeatable.",
    )
    return model(weights(option(command)))


def weights(command: F) -> F:
    """Add --weights."""
    return click.option(
        "--weights",
        type=click.Path(path_type=Path),
        help="Weights file of the model: .safetensors, or .pth with tensors only.",
    )(command)


def url_hosts(command: F) -> F:
    """Add --url-host."""
    return click.option(
        "--url-host",
        "url_hosts",
        multiple=True,
        metavar="HOST",
        help="Private host, address or network that images and lists may be fetched from, and that "
        "endpoints of buckets may have; repeatable.",
    )(command)


def fields(command: F) -> F:
    """Add --id-field, --vector-field, --path-field and --label-field."""
    for option, text in (
        ("--label-field", "Field of the label in another program's collection."),
        ("--path-field", "Field of the image path in another program's collection."),
        ("--vector-field", "Vector field of another program's collection, if it has several."),
        ("--id-field", "Primary key of another program's collection."),
    ):
        command = click.option(option, metavar="NAME", help=text)(command)
    return command


def named_encoder(library: Any) -> Any:
    """Return the fingerprint of the encoder that the user selected for a library.

    Raises:
        EncoderMismatch: the collection's vectors have another dimension or encoder.
        EncoderError: the encoder cannot be loaded.
    """
    fingerprint = library.encoder.fingerprint
    library.collection.require(fingerprint)
    return fingerprint


def field_names(values: dict[str, Any]) -> dict[str, Any]:
    """Remove the field options from `values`, and return them as arguments for `imgsearch.open`."""
    return {name: values.pop(name) for name in FIELDS}


def index(command: F) -> F:
    """Add --index and --metric."""
    kind = click.option(
        "--index",
        metavar="KIND",
        help="Index: flat, ivf_flat:nlist=128, ivf_sq8, hnsw:M=16 …; docs/indexes.md has all.",
    )
    metric = click.option(
        "--metric", type=click.Choice(stores.METRICS), help="Metric that compares vectors."
    )
    return kind(metric(command))


def partition(command: F) -> F:
    """Add --partition."""
    return click.option(
        "--partition",
        metavar="FIELD",
        help="Field by which Milvus divides a new collection, such as the tenant: a search that "
        "filters by one value reads its part only.",
    )(command)


def list_columns(command: F) -> F:
    """Add --path-column and --label-column."""
    path = click.option(
        "--path-column",
        metavar="NAME",
        help="Column of the paths in a list; by default path, or a usual name such as filename.",
    )
    label = click.option(
        "--label-column",
        metavar="NAME",
        help="Column of the labels in a list, or a library's field; by default label, class …",
    )
    return path(label(command))


def declared_fields(command: F) -> F:
    """Add --field; the command receives the types of the declared fields, or None."""

    def parse(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> Any:
        return declared(texts) or None

    return click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME:TYPE",
        callback=parse,
        help="Field of your own, of the type str, int, float, bool or list, e.g. year:int; columns "
        "of lists fill it, and --where filters by it. Repeatable.",
    )(command)


def all_fields(command: F) -> F:
    """Add --all-fields."""
    return click.option(
        "--all-fields",
        is_flag=True,
        help="Declare a field for each further column of the lists, with the type of its values.",
    )(command)


def exif(command: F) -> F:
    """Add --exif."""
    return click.option(
        "--exif/--no-exif",
        default=None,
        help="Read fields from the files' metadata: taken, camera, lens, width, height, latitude, "
        "longitude, keywords, rating. By default on if the library has them.",
    )(command)


def ocr(command: F) -> F:
    """Add --ocr."""
    return click.option(
        "--ocr",
        is_flag=True,
        help="Read the text in each image into the field text, for searches by words.",
    )(command)


def preview(command: F) -> F:
    """Add --preview."""
    return click.option(
        "--preview/--no-preview",
        default=None,
        help="Show pictures of the first 10 hits in the terminal, by the protocols of kitty and "
        "iTerm2 or by sixel. By default on in kitty, Ghostty, Konsole, iTerm2, WezTerm, mintty, "
        "foot, mlterm and contour.",
    )(command)


def pipeline(command: F) -> F:
    """Add --pipeline; the command receives the steps, by "image" and "query"."""

    def load(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> Any:
        from imgsearch.library.own_steps import load_steps

        return load_steps(names) or None

    return click.option(
        "--pipeline",
        "steps",
        multiple=True,
        metavar="MODULE:NAME",
        callback=load,
        help="Open Towhee pipeline with your own steps, for each image that is added, or for each "
        "query; see `imgsearch.image_steps`. Repeatable.",
    )(command)


def max_pixels(command: F) -> F:
    """Add --max-pixels, in millions; the command receives the number of pixels."""
    return click.option(
        "--max-pixels",
        default=images.MAX_PIXELS // _MILLION,
        show_default=True,
        metavar="MILLIONS",
        type=click.IntRange(1),
        callback=lambda _context, _option, millions: millions * _MILLION,
        help="Limit on the decoded pixels of one image.",
    )(command)


def sync(command: F) -> F:
    """Add --dry-run and --yes."""
    dry_run = click.option(
        "--dry-run", is_flag=True, help="Print the changes of a sync, and change nothing."
    )
    yes = click.option(
        "--yes", is_flag=True, help="Confirm a sync that removes many images, or finds none."
    )
    return dry_run(yes(command))


def exclude(command: F) -> F:
    """Add --exclude."""
    return click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Files and folders to pass over, as in .gitignore, e.g. '*.tmp' or raw/; repeatable. "
        "Files called .imgsearchignore hold such patterns, too. Hidden files, linked folders, "
        "@eaDir, #recycle and node_modules are passed over by default.",
    )(command)


def frames(default: str) -> Callable[[F], F]:
    """Add --frames with a default."""
    return click.option(
        "--frames",
        default=default,
        show_default=True,
        metavar="SAMPLE",
        help="Take these frames of videos (extra video): one in so many seconds, scenes for the "
        "first of each scene, both as in 5,scenes, or none.",
    )


def report(command: F) -> F:
    """Add --report."""
    return click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write a line of JSON for each file that failed or was passed over.",
    )(command)


def archive(command: F) -> F:
    """Add --data and --db, which select a service's archive."""
    data = click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("imgsearch-data"),
        show_default=True,
        help="Folder of the service's catalog, originals and vectors.",
    )
    db = click.option("--db", metavar="URL", help="Vector store, if it is outside that folder.")
    return data(db(command))


def open_archive(
    settings: Settings, data: Path, db: str | None, *, new: bool = False, **making: Any
) -> Any:
    """Return a context manager for the archive that options and environment select; see `opened`.

    Raises:
        ConfigError: the folder does not exist, and `new` is False.
    """
    from imgsearch.archive import CollectionOptions, opened

    url = db or settings.db
    if not new and not data.is_dir() and None in (url, settings.catalog, settings.objects):
        raise ConfigError(f"the folder {data} does not exist. `imgsearch serve` creates it.")
    return opened(
        data,
        db=url,
        token=settings.token(url or ""),
        timeout=settings.timeout,
        catalog=settings.catalog,
        catalog_password=settings.catalog_password,
        originals=settings.objects,
        s3_key=settings.s3_key,
        s3_secret=settings.s3_secret,
        roots=(*settings.roots, *making.pop("roots", ())),
        creation=replace(making.pop("creation", CollectionOptions()), **settings.new_encoder),
        **making,
    )


def as_json(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print only JSON.")(command)


def open_library(settings: Settings, db: str | None, *, new: bool = False, **config: Any) -> Any:
    """Open the library that the options select; with `new`, create it if it does not exist.

    While another process has an embedded store open, this waits until the settings' timeout.

    Raises:
        CollectionNotFound: the store does not exist, and `new` is False.
        StoreLocked: another process has the store open for longer.
    """
    from imgsearch.library.open import open as open_url

    url = db or settings.store
    if not new:
        stores.require(url)
    encoder = settings.new_encoder
    options = {"token": settings.token(url), "timeout": settings.timeout, **encoder, **config}
    return stores.when_unlocked(
        partial(open_url, url, wait=0, **options),
        seconds=settings.timeout,
        on_wait=lambda: show.note(f"{url} is open in another process; waiting until it is closed"),
    )


@contextmanager
def read_library(settings: Settings, db: str | None, **config: Any) -> Iterator[Any]:
    """Open the library that the options select, to read it only.

    While another process has an embedded store open, what it has written so far is read.

    Raises:
        CollectionNotFound: the store does not exist.
    """
    from imgsearch.library.open import open as open_url

    url = db or settings.store
    stores.require(url)
    with ExitStack() as stack:
        try:
            options = {"token": settings.token(url), "timeout": settings.timeout, **config}
            library = open_url(url, wait=0, **options)
        except StoreLocked:
            show.note(f"{url} is open in another process; reading what it has written so far")
            copy = stack.enter_context(stores.snapshot(url))
            library = open_url(copy, timeout=settings.timeout, **config)
        yield stack.enter_context(library)


def parse_options(options: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Parse ``KEY=VALUE`` arguments into a mapping, or None without arguments.

    A value is a number, true, false, several comma-separated numbers, or a string.

    Raises:
        click.BadParameter: an argument has no equals sign, or repeats a key.
    """
    values: dict[str, Any] = {}
    for word in options:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{word!r} is not KEY=VALUE", param_hint="--option")
        if key.strip() in values:
            raise click.BadParameter(f"{key.strip()} is given twice", param_hint="--option")
        parts = [_value(part) for part in text.split(",")]
        is_list = len(parts) > 1 and all(type(part) in (int, float) for part in parts)
        values[key.strip()] = parts if is_list else _value(text)
    return values or None


def _value(text: str) -> str | int | float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
