"""mcp: serve a library, or a service's images, to a language model."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options
from imgsearch.settings import Settings


@click.command()
@options.store
@options.encoder
@options.fields
@click.option(
    "--service",
    metavar="URL",
    help="Service to search instead of a store; its key is in IMGSEARCH_API_KEY.",
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder that the model may add images from; without one it cannot add. Repeatable.",
)
def mcp(
    db: str | None, collection: str, service: str | None, folders: tuple[Path, ...], **rest: Any
) -> None:
    """Serve images to a language model, by MCP.

    The server speaks over standard input and output.

    The model searches by text or by an image that it found, and looks at pictures. Programs that
    use MCP start this command themselves; their configuration is, for example:

        {"mcpServers": {"photos": {"command": "imgsearch", "args": ["mcp", "--db", "photos.db"]}}}
    """
    from imgsearch.integrations.mcp import build, service_images

    if service is not None and db is not None:
        raise click.UsageError("--service and --db exclude each other")
    settings = Settings.from_environment()
    with ExitStack() as stack:
        if service is not None:
            images: Any = service_images(service, settings.api_key, collection)
        else:
            encoder: dict[str, Any] = {name: rest[name] for name in ("model", "weights")}
            encoder |= {"options": options.parse_options(rest["options"])}
            encoder |= options.field_names(rest)
            images = options.open_library(settings, db, collection=collection, **encoder)
        build(stack.enter_context(images), folders=folders).run()
