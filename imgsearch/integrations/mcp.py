"""An MCP server: a model searches, looks at and adds the images of a library or a service.

MCP is the Model Context Protocol, https://modelcontextprotocol.io. `imgsearch mcp` runs the server.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imgsearch.client import Client
from imgsearch.errors import ConfigError, ImgSearchError, MissingExtra, SourceError
from imgsearch.images import small, sources
from imgsearch.images.references import Reference
from imgsearch.library.interface import SearchableImages
from imgsearch.query import Query
from imgsearch.text import counted
from imgsearch.types import Hit

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

_MOST: Final = 50  # hits in an answer, which a model has to read
_EDGES: Final = (64, 128, 256, 512, 1024)  # pixels; the sizes of a service's thumbnails
_FAILURES: Final = 10  # named in an answer
_INSTRUCTIONS: Final = (
    "Searches a collection of images by text or by a similar image. Call search, then look with "
    "the id of a hit to see the picture."
)


def build(images: SearchableImages, *, folders: Sequence[Path] = ()) -> "MCPServer":
    """Return a server with the tools ``search`` and ``look``, and ``add`` if `folders` are given.

    ``add`` takes files and folders inside `folders` only; links and lists do not lead outside.
    Nothing else is read or written, and pictures are those of the collection.

    Raises:
        MissingExtra: the package mcp is not installed.
        ConfigError: a folder does not exist.
    """
    try:
        from mcp.server.mcpserver import Image, MCPServer
    except ModuleNotFoundError as error:
        raise MissingExtra("imgsearch mcp needs mcp", extra="mcp", name=error.name) from error
    roots = [_root(folder) for folder in folders]
    server = MCPServer("imgsearch", instructions=_INSTRUCTIONS)

    @server.tool()
    def search(
        query: str = "", like: str = "", k: int = 5, where: str = ""
    ) -> list[dict[str, Any]]:
        """Find images, nearest first. Give `query`, a text, or `like`, the id of an image.

        `where` filters on fields, e.g. "label in ('cat', 'dog') and year >= 2019". A hit has its id
        for `look`, a score (higher is nearer), and fields such as path and label.
        """
        with _tool_errors():
            return [_as_json(hit) for hit in _search(images, query, like, k, where)]

    @server.tool()
    def look(id: str, edge: int = 512) -> Image:  # noqa: A002 - the name in hits
        """Show the picture with this id. `edge` is its longer side: 64, 128, 256, 512 or 1024."""
        with _tool_errors():
            return Image(data=_picture(images, id, edge), format="jpeg")

    if roots:
        _offer_add(server, images, roots)
    return server


def service_images(url: str, key: str | None, collection: str) -> SearchableImages:
    """Return the images of a service, for `build`.

    Raises: as for `Client`.
    """
    return Client(url, key, collection=collection)


def _offer_add(server: "MCPServer", images: SearchableImages, roots: Sequence[Path]) -> None:
    @server.tool(description=_add_description(roots))
    def add(paths: list[str]) -> dict[str, Any]:
        with _tool_errors():
            named = [_inside(path, roots) for path in paths]
            report = images.add(_checked(named, roots), url_hosts=None)
        return {
            "added": report.added,
            "skipped": report.skipped,
            "failed": report.failed,
            "failures": [failure.reason for failure in report.failures[:_FAILURES]],
        }


def _add_description(roots: Sequence[Path]) -> str:
    names = ", ".join(map(str, roots))
    return f"Add image files, or all images of folders, to the collection. Give paths in {names}."


def _search(images: SearchableImages, query: str, like: str, k: int, where: str) -> list[Hit]:
    if bool(query.strip()) == bool(like):
        raise ConfigError("give either query, a text, or like, the id of an image")
    if not 1 <= k <= _MOST:
        raise ConfigError(f"k must be 1 to {_MOST}, not {k}")
    if not like:
        return images.search(Query.text(query), k=k, where=where or None)
    hits = images.search(_picture(images, like, 512), k=k + 1, where=where or None)
    return [hit for hit in hits if hit.id != like][:k]


def _picture(images: SearchableImages, id_: str, edge: int) -> bytes:
    """Return an image of the collection as JPEG."""
    if edge not in _EDGES:
        raise ConfigError(f"edge must be one of {', '.join(map(str, _EDGES))}, not {edge}")
    if isinstance(images, Client):
        data = images.thumbnail(id_, edge=edge)
        return small(data, side=edge)
    path = str(images.get(id_).fields.get("path", ""))
    return small(sources.read(path), side=edge, path=path)


def _root(folder: Path) -> Path:
    try:
        real = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{folder}: no such folder to add images from") from error
    if not real.is_dir():
        raise ConfigError(f"{folder} is not a folder to add images from")
    return real


def _inside(path: str, roots: Sequence[Path]) -> str:
    """Return the real path of a file or folder inside one of `roots`.

    Raises:
        SourceError: it is outside, or does not exist. The message is the same.
    """
    try:
        real = Path(path).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        real = None
    if real is None or not any(real.is_relative_to(root) for root in roots):
        folders = counted(len(roots), "folder")
        raise SourceError(f"{path!r} is not in the {folders} that this server adds from", path=path)
    return str(real)


def _checked(paths: Sequence[str], roots: Sequence[Path]) -> Iterator[Reference]:
    """Yield the images of paths. One outside `roots`, by a link or in a list, becomes a failure."""
    for path in paths:
        for reference in sources.references(path):
            try:
                _inside(reference.path, roots)
            except SourceError as error:
                yield replace(reference, content=error)
            else:
                yield reference


def _as_json(hit: Hit) -> dict[str, Any]:
    return {"id": hit.id, "score": round(hit.score, 4), **dict(hit.fields)}


@contextmanager
def _tool_errors() -> Iterator[None]:
    """Return errors of imgsearch to the model as text."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        yield
    except ImgSearchError as error:
        raise ToolError(str(error)) from error
