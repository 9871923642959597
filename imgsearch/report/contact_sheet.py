"""Contact sheets: images side by side in one picture, for notebooks."""

import io
import re
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Final, TypeAlias

from imgsearch.errors import ConfigError, ImgSearchError
from imgsearch.images import small
from imgsearch.images.sources import printable, read
from imgsearch.types import Hit

if TYPE_CHECKING:
    from PIL import Image

ImageSource: TypeAlias = str | PathLike[str] | Hit
"""A path, or a hit with the field ``path``."""

_GAP: Final = 8
_LINE: Final = 16  # height of a caption in pixels
_LETTER: Final = 7  # approximate width of a character in pixels
_LINES: Final = 3  # of a caption; the rest is cut
_WORD: Final = re.compile(r"[^\s_]*[\s_]?")
_BACKGROUND: Final = "white"
_GRAY: Final = "#999999"


def contact_sheet(
    images: Iterable[ImageSource],
    *,
    query: ImageSource | None = None,
    captions: Sequence[str] | None = None,
    columns: int = 5,
    side: int = 128,
) -> "Image.Image":
    """Return one picture with the images in rows of `columns`, each in a square of `side` pixels.

    The caption of a path is its folder's name; the caption of a hit is its score and label.
    `captions` replaces these. Long captions wrap, into at most three lines. `query` comes first,
    with a frame. Unreadable files are shown as empty squares with a message.

    Raises:
        ConfigError: no image is given, or the numbers of images and captions differ.
    """
    from PIL import Image, ImageDraw, ImageFont

    sources = list(images)
    if captions is not None and len(captions) != len(sources):
        raise ConfigError(
            f"{len(captions)} captions for {len(sources)} images; give one for each image"
        )
    texts = list(captions) if captions is not None else list(map(_caption, sources))
    if query is not None:
        sources, texts = [query, *sources], ["query", *texts]
    if not sources:
        raise ConfigError("cannot draw a contact sheet without an image")
    columns = max(1, min(columns, len(sources)))
    lines = [_wrapped(text, max(1, side // _LETTER)) for text in texts]
    cell, tall = side + _GAP, side + max(map(len, lines)) * _LINE + _GAP
    rows = -(-len(sources) // columns)
    sheet = Image.new("RGB", (columns * cell + _GAP, rows * tall + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for number, (source, caption) in enumerate(zip(sources, lines, strict=True)):
        left = _GAP + number % columns * cell
        top = _GAP + number // columns * tall
        picture = _thumbnail(source, side)
        if picture is None:
            draw.rectangle((left, top, left + side - 1, top + side - 1), outline=_GRAY)
            draw.text((left + 6, top + side // 2), "cannot be read", fill=_GRAY, font=font)
        else:
            across, down = (side - picture.width) // 2, (side - picture.height) // 2
            sheet.paste(picture, (left + across, top + down))
        if query is not None and number == 0:
            draw.rectangle((left - 3, top - 3, left + side + 2, top + side + 2), outline="black")
        for place, line in enumerate(caption):
            draw.text((left, top + side + place * _LINE), line, fill="black", font=font)
    return sheet


def _caption(source: ImageSource) -> str:
    if not isinstance(source, Hit):
        return printable(str(source)).replace("\\", "/").split("/")[-2:][0]
    label = str(source.fields.get("label", ""))
    return f"{source.score:.3f} {label}".strip()


def _wrapped(caption: str, width: int) -> list[str]:
    """Return the lines of a caption, broken after spaces and underscores, or in a long word."""
    lines = [""]
    for word in _WORD.findall(caption[: 2 * _LINES * width]):
        for start in range(0, len(word), width):
            piece = word[start : start + width]
            if len((lines[-1] + piece).rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return [line.rstrip() for line in lines[:_LINES]]


def _thumbnail(source: ImageSource, side: int) -> "Image.Image | None":
    """Return a thumbnail, or None for an unreadable file."""
    from PIL import Image

    path = str(source.fields.get("path", "")) if isinstance(source, Hit) else str(source)
    try:
        jpeg = small(read(path), side=side, path=path)
    except ImgSearchError:
        return None
    return Image.open(io.BytesIO(jpeg))
