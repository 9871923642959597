"""Images and metadata as HTML. All text is escaped; pictures are embedded as data URLs."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imgsearch import images
from imgsearch.archive import Archive, Entry
from imgsearch.errors import ImgSearchError
from imgsearch.images.moments import file_of, title
from imgsearch.images.sources import printable
from imgsearch.ui.originals import link

# pixels of the longer edge
TILE: Final = 256  # the archive stores thumbnails of this size
DETAIL: Final = 640  # beside the metadata
FULL: Final = 4096  # in the full-size view; larger pictures are slow on a phone
_CROPPED: Final = 1024  # for marking a part of the image; wider than a column of the page

# characters with a meaning in Gradio's templates: {{…}} in Handlebars, ${…} in JavaScript
_TEMPLATE: Final = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})


@dataclass(frozen=True, slots=True)
class Region:
    """The part of an image that a search found: its box in pixels, the object, the image's size."""

    box: Sequence[int]
    object: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tile:
    """An image in a gallery; hits have a score, and a region if one was nearest."""

    id: str
    name: str
    note: str = ""
    score: float | None = None
    region: Region | None = None


def tile_of(entry: Entry) -> Tile:
    """Return the tile of an image that no search found."""
    note = entry.label if entry.state == "ready" else f"{entry.label} {entry.state}".strip()
    return Tile(entry.id, entry.name, note)


def text(words: object) -> str:
    """Escape text for HTML, in quoted attributes and between tags."""
    return html.escape(printable(str(words))).translate(_TEMPLATE)


def notice(words: str, *, kind: str = "note") -> str:
    """Return a message as HTML; `kind` is "note", "newest", "warning" or "error"."""
    role = "alert" if kind == "error" else "status"  # screen readers read both roles aloud
    return f'<p class="says {kind}" role="{role}">{text(words)}</p>' if words else ""


def gallery(archive: Archive, tiles: Sequence[Tile], *, name: str) -> str:
    """Return tiles as an HTML list of buttons, or "" if there are no tiles."""
    if not tiles:
        return ""
    items = "".join(_tile(archive, tile) for tile in tiles)
    return f'<ol class="tiles" aria-label="{text(name)}">{items}</ol>'


def details(
    archive: Archive,
    entry: Entry,
    *,
    score: float | None = None,
    region: Region | None = None,
    player: str = "",
) -> str:
    """Return a large picture of an image, with its metadata. A `player` takes its place."""
    picture = _picture(archive, entry.id, DETAIL, entry.name) + _frame(region)
    rows = fact_list(_facts(entry, score, region))
    full = (
        f'<button type="button" data-full="{text(entry.id)}" '
        f'title="Show at full size">{picture}</button>'
    )
    return (
        f'<figure class="detail">{player or full}<figcaption>{text(title(entry.name))}'
        f"</figcaption>{_actions(entry)}</figure>{rows}"
    )


def _actions(entry: Entry) -> str:
    """Return links to the original, and a button that copies the image's id."""
    name = file_of(entry.name)  # of a frame: its video
    return (
        f'<p class="actions"><a href="{text(link(entry.id))}" target="_blank" rel="noopener">'
        f'Open</a><a href="{text(link(entry.id, download=True))}" download="{text(name)}">'
        f'Download</a><button type="button" data-copy="{text(entry.id)}">Copy id</button></p>'
    )


def fact_list(facts: Mapping[str, str]) -> str:
    """Return named facts as an HTML list."""
    rows = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items()
    )
    return f"<dl>{rows}</dl>"


def full_size(archive: Archive, entry: Entry) -> str:
    """Return a dialog with the image, at most `FULL` pixels per side.

    Raises:
        ImgSearchError: the original is not available.
    """
    data = images.small(original(archive, entry.id), side=FULL, max_pixels=archive.max_pixels)
    return (
        f'<dialog aria-label="{text(entry.name)}"><form method="dialog"><button autofocus>Close'
        f'</button></form><img src="{data_url(data)}" alt="{text(entry.name)}"></dialog>'
    )


def cropper(data: bytes, name: str, *, max_pixels: int) -> str:
    """Return an image in which visitors can mark a part; `data` is the image file."""
    picture = images.small(data, side=_CROPPED, max_pixels=max_pixels)
    return (
        f'<div class="crop" role="group" aria-label="Part of {text(name)}"><div class="cut">'
        f'<img draggable="false" src="{data_url(picture)}" alt="{text(name)}"><span></span></div>'
        + "".join(map(_edge, _EDGES))
        + '<div class="row"><button type="button" data-crop="search">Search this part</button>'
        '<button type="button" data-crop="cancel">Cancel</button></div></div>'
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table, which scrolls if it is wider than the page."""
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def progress(done: int, total: int, words: str) -> str:
    """Return an HTML progress bar."""
    return (
        f'<label class="bar">{text(words)}<progress max="{max(total, 1)}" value="{done}">'
        "</progress></label>"
    )


def original(archive: Archive, id_: str) -> bytes:
    """Return the bytes of an image's original.

    Raises:
        ImgSearchError: the original was not stored, or a store failed.
    """
    return archive.picture(id_)


_EDGES: Final = (("left", 0), ("top", 0), ("right", 100), ("bottom", 100))


def _edge(edge: tuple[str, int]) -> str:
    name, value = edge
    return (
        f'<label>{name.capitalize()} edge, %<input type="range" min="0" max="100" step="1" '
        f'value="{value}" data-edge="{name}"></label>'
    )


def _tile(archive: Archive, tile: Tile) -> str:
    picture = _picture(archive, tile.id, TILE, tile.name) + _frame(tile.region)
    score = "" if tile.score is None else f"<b>{tile.score:.3f}</b> "
    name = title(tile.name)  # of a frame: its video and the moment
    note = f"<small>{text(tile.note)}</small>" if tile.note else ""
    return (
        f'<li><button type="button" data-id="{text(tile.id)}" aria-pressed="false" '
        f'title="{text(name)}">{picture}<span>{score}{text(name)}</span>{note}'
        "</button></li>"
    )


def _frame(region: Region | None) -> str:
    """Return a frame that lies over a picture of the whole image, or "" without a region."""
    if region is None or not (region.width and region.height):
        return ""
    left, top, right, bottom = region.box
    return (
        f'<svg class="frame" viewBox="0 0 {region.width} {region.height}" aria-hidden="true">'
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )


def _picture(archive: Archive, id_: str, edge: int, name: str) -> str:
    try:
        return f'<img src="{data_url(archive.thumbnail(id_, edge))}" alt="{text(name)}">'
    except ImgSearchError:  # e.g. a file added in place does not exist any more
        return '<span class="none">no picture</span>'


def data_url(data: bytes) -> str:
    """Return the bytes of an image file as a data URL."""
    kind = (images.sniff(data[: images.HEAD]) or "JPEG").lower()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _facts(entry: Entry, score: float | None, region: Region | None) -> Mapping[str, str]:
    size = f"{entry.width} x {entry.height} pixels" if entry.width else ""
    facts = {
        "Score": "" if score is None else f"{score:.4f}",
        "Object": region.object if region else "",
        "Label": entry.label,
        **{name: str(value) for name, value in entry.fields.items()},
        "Size": f"{size}, {entry.size:,} bytes".lstrip(", "),
        "Format": entry.format,
        "Source": entry.source,
        "Collection": entry.collection,
        "Encoder": entry.encoder,
        "State": f"{entry.state}: {entry.error}" if entry.error else entry.state,
        "Original": "stored" if entry.stored else "left in place",
        "Added": f"{entry.created:%Y-%m-%d %H:%M:%S} UTC",
        "Changed": f"{entry.updated:%Y-%m-%d %H:%M:%S} UTC",
        "Id": entry.id,
        "Content": entry.content,
    }
    return {name: value for name, value in facts.items() if value}
